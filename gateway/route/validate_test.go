package route

import (
	"math"
	"strings"
	"testing"
)

func TestBadRulesAreRefused(t *testing.T) {
	slash := "api"
	two := []Target{{Pool: "a", Weight: 1}, {Pool: "b", Weight: 1}}
	tests := []struct {
		rule Rule
		want string
	}{
		{Rule{}, "no target"},
		{Rule{Targets: []Target{{}}}, "a target has no pool"},
		{Rule{Targets: []Target{{Pool: "a"}, {Pool: "b"}}}, "every weight is 0"},
		{Rule{Targets: []Target{{Pool: "a", Weight: -1}, {Pool: "b", Weight: 1}}}, `weight -1 of pool "a" is out of range`},
		{Rule{Targets: []Target{{Pool: "a", Weight: MaxWeight + 1}, {Pool: "b", Weight: 1}}}, "out of range"},
		{Rule{Targets: []Target{{Pool: "a", Weight: 1}, {Pool: "a", Weight: 1}}}, `pool "a" stands twice`},
		{Rule{Targets: []Target{{Pool: "a", Model: "x\r\ny"}}}, "control character"},
		{Rule{Targets: two, Path: "v1"}, `path "v1" does not begin with "/"; write "/v1"`},
		{Rule{Targets: two, Path: "/v1?x"}, "query or fragment"},
		{Rule{Targets: two, Path: "/v1/é"}, "percent-encode it"},
		{Rule{Targets: two, Path: "/v1/../x"}, "dot segment"},
		{Rule{Targets: two, RewritePrefix: &slash}, `rewrite prefix "api" does not begin with "/"`},
		{Rule{Targets: two, Host: "example.com:80"}, "has a port"},
		{Rule{Targets: two, Host: "*"}, `misplaced "*"`},
		{Rule{Targets: two, Host: "*."}, `misplaced "*"`},
		{Rule{Targets: two, Host: "a.*.com"}, `misplaced "*"`},
		{Rule{Targets: two, Host: "*example.com"}, `misplaced "*"`},
		{Rule{Targets: two, Host: "http://x"}, "has a port"},
		{Rule{Targets: two, Host: "x/y"}, "not a host name"},
		{Rule{Targets: two, Host: strings.Repeat("a", 256)}, "longer than a DNS name"},
		{Rule{Targets: two, Method: "GET POST"}, "not an HTTP method"},
		{Rule{Targets: two, GRPCMethod: "M"}, "no gRPC service"},
		{Rule{Targets: two, Headers: map[string]string{"a b": "c"}}, "not a token"},
		{Rule{Targets: two, Headers: map[string]string{"a": "c\r\nd: e"}}, "control character"},
		{Rule{Targets: two, Headers: map[string]string{"a": " c"}}, "surrounding whitespace"},
		{Rule{Targets: two, Sticky: &Key{}}, "exactly one"},
		{Rule{Targets: two, Sticky: &Key{Header: "a", ClientIP: true}}, "exactly one"},
		{Rule{Targets: two, Sticky: &Key{Cookie: "a b"}}, "not a header or cookie name"},
		{Rule{Targets: two, Mirror: &Mirror{}}, "mirror has no pool"},
		{Rule{Targets: two, Mirror: &Mirror{Pool: "a", Percent: 101}}, "mirror percent 101"},
		{Rule{Targets: two, Mirror: &Mirror{Pool: "a", Percent: math.NaN()}}, "mirror percent NaN"},
		{Rule{Targets: two, Mirror: &Mirror{Pool: "a", MaxBodyBytes: -1}}, "mirror body limit -1"},
		{Rule{Targets: two, RequestHeaders: Edit{Set: map[string]string{"Content-Length": "1"}}}, "belongs to the gateway"},
		{Rule{Targets: two, ResponseHeaders: Edit{Remove: []string{"Transfer-Encoding"}}}, "belongs to the gateway"},
		{Rule{Targets: two, RequestHeaders: Edit{Set: map[string]string{"a": "1", "A": "2"}}}, "set twice"},
		{Rule{Targets: two, RequestHeaders: Edit{Set: map[string]string{"a": "1\n"}}}, "control character"},
		{Rule{Targets: two, RequestHeaders: Edit{Remove: []string{":path"}}}, "not a token"},
	}
	for _, tt := range tests {
		_, err := NewTable([]Rule{{Targets: to("ok")}, tt.rule})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `cannot use route "route-1"`) {
			t.Errorf("%+v:\n got error %v\nwant one with %q", tt.rule, err, tt.want)
		}
	}
}

func TestAllErrorsAreReported(t *testing.T) {
	_, err := NewTable([]Rule{
		{Name: "one", Path: "x", Method: "a b", Targets: to("p")}, {Name: "two"}, {Name: "same", Targets: to("p")}, {Name: "same", Targets: to("p")},
	})
	if err == nil {
		t.Fatal("bad rules were accepted")
	}
	for _, want := range []string{`"x"`, `"a b"`, `"two"`, `cannot use route "same": another route has this name`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestEmptyTable(t *testing.T) {
	table := mustTable(t)
	if rt, need := table.Match(&Request{Path: []byte("/")}); rt != nil || need {
		t.Errorf("an empty table matched: %v, %v", rt, need)
	}
}
