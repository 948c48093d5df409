package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestMatchHost(t *testing.T) {
	table := mustTable(t,
		Rule{Host: "API.example.com", Targets: to("exact")},
		Rule{Host: "*.example.com", Targets: to("below")},
		Rule{Host: "example.com.", Targets: to("apex")},
		Rule{Host: "[2001:DB8::1]", Targets: to("v6")},
	)
	for host, want := range map[string]string{
		"api.example.com": "exact", "API.EXAMPLE.COM:8000": "exact", "api.example.com.": "exact", "api.example.com.:80": "exact",
		"a.example.com": "below", "a.b.c.Example.com:1": "below", ".example.com": "",
		"example.com": "apex", "example.com:": "apex",
		"[2001:db8::1]": "v6", "[2001:DB8::1]:8000": "v6", "[2001:db8::2]": "",
		"example.org": "", "notexample.com": "", "api.example.com.evil.org": "", "": "", ":80": "", "[": "",
		strings.Repeat("a.", 150) + "example.com": "", strings.Repeat("a", 243) + ".EXAMPLE.com": "below",
	} {
		if got := pool(table, &Request{Host: []byte(host), Path: []byte("/")}); got != want {
			t.Errorf("host %q: got %q, want %q", host, got, want)
		}
	}
}

func TestMatchPath(t *testing.T) {
	table := mustTable(t,
		Rule{Path: "/v1/chat", Targets: to("chat")},
		Rule{Path: "/v1/", Targets: to("v1")},
		Rule{Path: "/v2/models/a%2Fb", Targets: to("encoded")},
		Rule{Path: "/", Method: "GET", Targets: to("root")},
	)
	for path, want := range map[string]string{
		"/v1": "v1", "/v1/": "v1", "/v1/models": "v1", "/v1?x=/v1/chat": "v1", "/v1/chatter": "v1", "/v1//chat": "v1",
		"/v1/chat": "chat", "/v1/chat?a": "chat", "/v1/chat/completions?a=/../b": "chat",
		"/v10": "", "/": "", "/V1": "", "//v1": "", "/%761": "", "v1": "", "*": "", "": "", "/v1%2Fchat": "",
		"/v2/models/a%2Fb/infer": "encoded", "/v2/models/a%2fb/infer": "", "/v2/models/a/b/infer": "",
		"/v1/models/llama-3.1": "v1", "/v1/..a": "v1", "/v1/a..": "v1", "/v1/...": "v1", "/v1/%2e%2e%2e/x": "v1", "/v1/a.%2e/x": "v1",
	} {
		if got := pool(table, &Request{Method: []byte("POST"), Path: []byte(path)}); got != want {
			t.Errorf("path %q: got %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]string{"/": "root", "/x": "root", "//": "root", "*": "", "": ""} {
		if got := pool(table, &Request{Method: []byte("GET"), Path: []byte(path)}); got != want {
			t.Errorf("GET path %q: got %q, want %q", path, got, want)
		}
	}
}

func TestDotSegmentsMatchNothingWherePathsCount(t *testing.T) {
	paths := []string{
		"/v1/../admin", "/v1/./x", "/..", "/.", "/v1/..", "/v1/.", "/v1/../", "/v1/..?q", "/v1/%2e%2E/admin", "/v1/.%2e/admin", "/v1/%2E/x",
		`/v1/..\admin`, `/v1\..\admin`, "/v1/..%2fadmin", "/v1/x%2F..%2Fadmin", "/v1/x%5c..%5Cadmin", "/v1/..;a=b/admin", "/v1/..%3Ba/admin",
		"/v1/x;a/../y",
	}
	withPath := mustTable(t, Rule{Path: "/v1", Targets: to("v1")}, Rule{Targets: to("rest")})
	without := mustTable(t, Rule{Method: "POST", Targets: to("post")}, Rule{Targets: to("rest")})
	for _, path := range paths {
		r := &Request{Path: []byte(path), ModelKnown: true}
		if got := pool(withPath, r); got != "" || withPath.Miss(r) != DotSegment {
			t.Errorf("path %q: got pool %q, reason %d; want none, DotSegment", path, got, withPath.Miss(r))
		}
		if got := pool(without, r); got != "rest" {
			t.Errorf("path %q in a table without paths: got pool %q, want rest", path, got)
		}
	}
	for _, path := range []string{"/v1/;..", "/v1/a;../x", "/v1/x?a=../b", "/v1/%2", "/v1/%", "/v1/%2g", "/.well-known/x", "/v1/a%2eb"} {
		if hasDotSegment(withoutQuery([]byte(path))) {
			t.Errorf("path %q was taken to have a dot segment", path)
		}
	}
}

func TestMatchMethodHeadersAndGRPC(t *testing.T) {
	table := mustTable(t,
		Rule{Method: "DELETE", Targets: to("delete")},
		Rule{Headers: map[string]string{"X-Canary": "yes", "x-tier": "gold"}, Targets: to("both")},
		Rule{Headers: map[string]string{"x-canary": "yes"}, Targets: to("canary")},
		Rule{GRPCService: "inference.GRPCInferenceService", GRPCMethod: "ModelInfer", Targets: to("infer")},
		Rule{GRPCService: "inference.GRPCInferenceService", Targets: to("service")},
	)
	tests := []struct {
		name string
		req  Request
		want string
	}{
		{"method", Request{Method: []byte("DELETE")}, "delete"},
		{"method case", Request{Method: []byte("delete")}, ""},
		{"header", Request{Header: fields{"X-CANARY", "yes"}}, "canary"},
		{"header value case", Request{Header: fields{"x-canary", "Yes"}}, ""},
		{"several fields", Request{Header: fields{"x-canary", "no", "a", "b", "x-canary", "yes"}}, "canary"},
		{"list is one value", Request{Header: fields{"x-canary", "no, yes"}}, ""},
		{"both", Request{Header: fields{"x-tier", "gold", "x-canary", "yes"}}, "both"},
		{"one of both", Request{Header: fields{"x-tier", "gold"}}, ""},
		{"no headers", Request{}, ""},
		{"grpc method", Request{GRPCService: []byte("inference.GRPCInferenceService"), GRPCMethod: []byte("ModelInfer")}, "infer"},
		{"grpc service", Request{GRPCService: []byte("inference.GRPCInferenceService"), GRPCMethod: []byte("ServerLive")}, "service"},
		{"grpc case", Request{GRPCService: []byte("inference.grpcinferenceservice")}, ""},
	}
	for _, tt := range tests {
		if got := pool(table, &tt.req); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNeedModelOnlyWhereItDecides(t *testing.T) {
	table := mustTable(t,
		Rule{Path: "/health", Targets: to("health")},
		Rule{Path: "/v1", Model: "a", Targets: to("a")},
		Rule{Path: "/v1", Model: "b", Targets: to("b")},
		Rule{Method: "GET", Targets: to("get")},
		Rule{Path: "/v2", Model: "c", Targets: to("c")},
	)
	tests := []struct {
		method, path, model string
		known               bool
		want                string
		miss                MissReason
	}{
		{"POST", "/health", "", false, "health", 0},
		{"POST", "/v1/x", "a", false, "model?", 0}, // an unset ModelKnown makes Model meaningless
		{"POST", "/v1/x", "a", true, "a", 0},
		{"POST", "/v1/x", "b", true, "b", 0},
		{"POST", "/v1/x", "z", true, "", UnknownModel},
		{"POST", "/v1/x", "", true, "", MissingModel},
		{"POST", "/v2/x", "a", true, "", UnknownModel},
		{"GET", "/v1/x", "", false, "model?", 0},
		{"GET", "/v1/x", "z", true, "get", 0},
		{"GET", "/v2/x", "", false, "get", 0},
		{"POST", "/v2/x", "", false, "model?", 0},
		{"POST", "/v3", "", false, "", NoRoute},
		{"POST", "/v3", "a", true, "", NoRoute},
	}
	for _, tt := range tests {
		r := &Request{Method: []byte(tt.method), Path: []byte(tt.path), Model: []byte(tt.model), ModelKnown: tt.known}
		got := pool(table, r)
		if got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
		if got == "" && table.Miss(r) != tt.miss {
			t.Errorf("%+v: got reason %d", tt, table.Miss(r))
		}
	}
	if plain := mustTable(t, Rule{Targets: to("x")}); plain.HasModels() || !table.HasModels() {
		t.Error("HasModels does not tell tables with models from those without")
	}
}

// TestIndexAgreesWithTryingAllRules compares tables of random rules with the plain meaning of "first match in order".
func TestIndexAgreesWithTryingAllRules(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	one := func(from ...string) string { return from[rng.IntN(len(from))] }
	for range 400 {
		rules := make([]Rule, 1+rng.IntN(60))
		for i := range rules {
			rules[i] = Rule{
				Host:    one("", "", "a.io", "b.io", "*.io", "*.b.io", "x.b.io"),
				Path:    one("", "", "/", "/v1", "/v1/chat", "/v2"),
				Method:  one("", "", "GET"),
				Model:   one("", "", "m1", "m2", "m3", fmt.Sprint("m", i)),
				Targets: to(fmt.Sprint(i)),
			}
			if rng.IntN(3) == 0 {
				rules[i].Headers = map[string]string{one("x-a", "x-b"): one("1", "2", fmt.Sprint(i))}
			}
			if rng.IntN(8) == 0 {
				rules[i].GRPCService = one("s", "t")
			}
		}
		table := mustTable(t, rules...)
		for range 100 {
			r := &Request{
				Method: []byte(one("GET", "POST")), Host: []byte(one("a.io", "b.io", "X.b.io", "y.x.b.io:1", "c")),
				Path: []byte(one("/", "/v1", "/v1/chat/x", "/v2/y?z", "/v3")), Model: []byte(one("", "m1", "m2", "m7", "m9", "none")),
				ModelKnown: rng.IntN(2) == 0, GRPCService: []byte(one("", "", "s", "t")),
				Header: fields{one("x-a", "x-b", "x-c"), one("1", "2", "3"), one("X-A", "x-d"), one("1", "2", "5")},
			}
			if got, want := pool(table, r), firstByTrial(rules, r); got != want {
				t.Fatalf("request %s %s%s model %q (known %v): got %q, want %q", r.Method, r.Host, r.Path, r.Model, r.ModelKnown, got, want)
			}
		}
	}
}

func firstByTrial(rules []Rule, r *Request) string {
	for i := range rules {
		rule := &rules[i]
		c := newCondition(rule)
		c.model = ""
		var buf [maxHost]byte
		if !c.matches(&view{Request: r, host: canonicalHost(r.Host, &buf), path: withoutQuery(r.Path)}) {
			continue
		}
		switch {
		case rule.Model == "" || r.ModelKnown && rule.Model == string(r.Model):
			return rule.Targets[0].Pool
		case !r.ModelKnown:
			return "model?"
		}
	}
	return ""
}

func TestNamesAndCopies(t *testing.T) {
	targets := to("p")
	sticky := &Key{Header: "X-User"}
	rules := []Rule{{Targets: targets, Sticky: sticky}, {Name: "named", Targets: to("q")}}
	table := mustTable(t, rules...)
	targets[0].Pool, sticky.Header = "changed", "changed"
	rules[1].Name = "changed"
	var names []string
	for _, rt := range table.Routes() {
		names = append(names, rt.Name)
	}
	if want := []string{"route-0", "named"}; !slices.Equal(names, want) {
		t.Errorf("got names %q, want %q", names, want)
	}
	if rt := table.Routes()[0]; rt.Targets[0].Pool != "p" || rt.Sticky.Header != "x-user" {
		t.Errorf("the table shares its rules with the caller: %+v", rt.Rule)
	}
}
