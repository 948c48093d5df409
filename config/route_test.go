package config

import (
	"fmt"
	"slices"
	"testing"
)

func TestWeights(t *testing.T) {
	for text, want := range map[string][]int{
		`[{pool: a}]`:            {1},
		`[{pool: a, weight: 7}]`: {7},
		`[{pool: a}, {pool: b}, {pool: a, model: x}]`:    {1, 1, 1},
		`[{pool: a, weight: 100}, {pool: b, weight: 0}]`: {100, 0},
	} {
		c := parse(t, `pools: {a: {endpoints: ["http://a:1"]}, b: {endpoints: ["http://a:1"]}}`+"\nroutes: [{split: "+text+"}]")
		if got := c.Routes[0].Weights(); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	if got := new(Route).Weights(); len(got) != 0 {
		t.Errorf("a route without split has weights %v", got)
	}
}

func TestDisplayName(t *testing.T) {
	if got := (&Route{}).DisplayName(3); got != "route-3" {
		t.Errorf("got %s", got)
	}
	if got := (&Route{Name: "canary"}).DisplayName(3); got != "canary" {
		t.Errorf("got %s", got)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		a, b Match
		want bool
	}{
		{Match{}, Match{}, true},
		{Match{}, Match{Model: "m"}, true},
		{Match{Model: "m"}, Match{}, false},
		{Match{Model: "m"}, Match{Model: "m", Method: "POST"}, true},
		{Match{Path: "/v1"}, Match{Path: "/v1"}, true},
		{Match{Path: "/v1"}, Match{Path: "/v1/models"}, true},
		{Match{Path: "/v1"}, Match{Path: "/v10"}, false},
		{Match{Path: "/v1/models"}, Match{Path: "/v1"}, false},
		{Match{Path: "/v1"}, Match{}, false},
		{Match{Path: "/"}, Match{}, true},
		{Match{Host: "*.a.com"}, Match{Host: "b.a.com"}, true},
		{Match{Host: "*.a.com"}, Match{Host: "*.b.a.com"}, true},
		{Match{Host: "*.a.com"}, Match{Host: "a.com"}, false},
		{Match{Host: "*.a.com"}, Match{Host: "xa.com"}, false},
		{Match{Host: "b.a.com"}, Match{Host: "*.a.com"}, false},
		{Match{Headers: map[string]string{"X-A": "1"}}, Match{Headers: map[string]string{"x-a": "1", "x-b": "2"}}, true},
		{Match{Headers: map[string]string{"x-a": "1"}}, Match{Headers: map[string]string{"x-a": "2"}}, false},
		{Match{Headers: map[string]string{"x-a": ""}}, Match{}, false},
		{Match{Path: "/a.B"}, Match{GRPCService: "a.B"}, true},
		{Match{Path: "/a.B"}, Match{GRPCService: "a.B", GRPCMethod: "C"}, true},
		{Match{Path: "/a.B/C"}, Match{GRPCService: "a.B"}, false},
		{Match{GRPCService: "a.B"}, Match{Path: "/a.B"}, false},
		{Match{GRPCService: "a.B"}, Match{GRPCService: "a.B", GRPCMethod: "C"}, true},
		{Match{GRPCService: "a.B", GRPCMethod: "C"}, Match{GRPCService: "a.B"}, false},
		{Match{Method: "POST"}, Match{GRPCService: "a.B"}, true},
		{Match{Method: "GET"}, Match{GRPCService: "a.B"}, false},
	} {
		if got := covers(&c.a, &c.b); got != c.want {
			t.Errorf("%+v covers %+v: got %v", c.a, c.b, got)
		}
	}
}

func TestRedacted(t *testing.T) {
	const text = minimal + `
routes:
  - match: {headers: {x-api-key: k1, accept: p1}}
    split: [{pool: llama}]
    requestHeaders: {set: {Authorization: Bearer k2, user-agent: p2}, remove: [cookie]}
    responseHeaders: {set: {Set-Cookie: k3}}
`
	c, before := parse(t, text), parse(t, text)
	shown := c.Redacted()
	r := shown.Routes[0]
	got := fmt.Sprint(r.Match.Headers, r.RequestHeaders.Set, r.RequestHeaders.Remove, r.ResponseHeaders.Set)
	want := "map[accept:p1 x-api-key:REDACTED] map[Authorization:REDACTED user-agent:p2] [cookie] map[Set-Cookie:REDACTED]"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	checkRoundTrip(t, shown)
	if c.Routes[0].Match.Headers["x-api-key"] != "k1" || c.Routes[0].RequestHeaders.Set["Authorization"] != "Bearer k2" {
		t.Error("Redacted changed the configuration itself")
	}
	checkRoundTrip(t, before)
}
