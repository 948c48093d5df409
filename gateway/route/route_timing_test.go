package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// busyHead is a request head as clients of the OpenAI libraries send it.
func busyHead(extra ...string) head {
	return newHead(append([]string{
		"Host", "api.example.com", "Accept", "application/json", "Content-Type", "application/json", "User-Agent", "OpenAI/Python 1.99.0",
		"X-Stainless-Lang", "python", "X-Stainless-Runtime", "CPython", "Authorization", "Bearer sk-0123456789", "Content-Length", "512",
	}, extra...)...)
}

type matchCase struct {
	name  string
	table *Table
	req   Request
}

func chat(host, model string, known bool, h HeaderSource) Request {
	return Request{Method: []byte("POST"), Host: []byte(host), Path: []byte("/v1/chat/completions"), Model: []byte(model), ModelKnown: known, Header: h}
}

func matchCases(tb testing.TB) []matchCase {
	small := []Rule{
		{Model: "llama-3-8b", Headers: map[string]string{"x-canary": "yes"}, Targets: to("next")},
		{Model: "llama-3-8b", Targets: to("llama")},
		{Host: "*.internal.example.com", Path: "/v1", Targets: to("internal")},
		{GRPCService: "inference.GRPCInferenceService", Targets: to("triton")},
		{Path: "/v1", Targets: to("rest")},
	}
	var models, tenants, hosts []Rule
	for i := range 1000 {
		model := fmt.Sprintf("org/model-%d", i)
		models = append(models, Rule{Model: model, Path: "/v1", Targets: to("p")})
		tenants = append(tenants, Rule{Headers: map[string]string{"x-tenant": fmt.Sprint("tenant-", i)}, Path: "/v1", Targets: to("p")})
		hosts = append(hosts, Rule{Host: fmt.Sprintf("t%d.example.com", i), Path: "/v1", Model: fmt.Sprint("m", i%10), Targets: to("p")})
	}
	models = append(models, Rule{Path: "/", Targets: to("rest")})
	return []matchCase{
		{"one rule", mustTable(tb, Rule{Targets: to("p")}), chat("api.example.com", "", false, busyHead())},
		{"small, canary", mustTable(tb, small...), chat("api.example.com:8000", "llama-3-8b", true, busyHead("x-canary", "yes"))},
		{"small, model", mustTable(tb, small...), chat("API.example.com:8000", "llama-3-8b", true, busyHead())},
		{"small, last", mustTable(tb, small...), chat("api.example.com:8000", "other", true, busyHead())},
		{"small, unknown", mustTable(tb, small...), chat("api.example.com:8000", "", false, busyHead())},
		{"1000 models, last", mustTable(tb, models...), chat("api.example.com:8000", "org/model-999", true, busyHead())},
		{"1000 models, none", mustTable(tb, models...), chat("api.example.com:8000", "org/none", true, busyHead())},
		{"1000 models, unknown", mustTable(tb, models...), chat("api.example.com:8000", "", false, busyHead())},
		{"1000 tenants, last", mustTable(tb, tenants...), chat("api.example.com:8000", "m", true, busyHead("x-tenant", "tenant-999"))},
		{"1000 hosts, last", mustTable(tb, hosts...), chat("T999.example.com:8000", "m9", true, busyHead())},
		{"1000 hosts, unknown", mustTable(tb, hosts...), chat("T999.example.com:8000", "", false, busyHead())},
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, c := range matchCases(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if rt, needModel := c.table.Match(&c.req); rt == nil && !needModel {
					b.Fatal("nothing matched")
				}
			}
		})
	}
}

func BenchmarkChoose(b *testing.B) {
	rt := splitOf(b, 95, 5)
	rng := rand.New(rand.NewPCG(1, 1))
	b.Run("drawn", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rt.Choose(0, false, rng.Uint64())
		}
	})
	b.Run("sticky", func(b *testing.B) {
		b.ReportAllocs()
		req := Request{Header: busyHead("x-user", "user-0123456789")}
		for b.Loop() {
			key, ok := rt.StickyKey(&req, netip.Addr{})
			rt.Choose(key, ok, 0)
		}
	})
}

func TestNothingAllocates(t *testing.T) {
	none := func(what string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	for _, c := range matchCases(t) {
		none("match "+c.name, func() { c.table.Match(&c.req) })
		none("miss "+c.name, func() { c.table.Miss(&c.req) })
	}
	prefix := "/api"
	rule := Rule{Path: "/v1", RewritePrefix: &prefix, Targets: []Target{{Pool: "a", Weight: 1}, {Pool: "b", Weight: 2}},
		RequestHeaders: Edit{Remove: []string{"cookie"}}, Mirror: &Mirror{Pool: "m", Percent: 1}}
	req := Request{Path: []byte("/v1/models"), Header: busyHead("x-user", "u", "cookie", "a=b; sid=c")}
	ip := netip.MustParseAddr("2001:db8::1")
	buf := make([]byte, 0, 64)
	for _, key := range []Key{{Header: "x-user"}, {Cookie: "sid"}, {ClientIP: true}} {
		rule.Sticky = &key
		rt := mustTable(t, rule).Routes()[0]
		none("a route", func() {
			key, ok := rt.StickyKey(&req, ip)
			if !ok || rt.Choose(key, ok, 1) == nil {
				t.Error("no key or no target")
			}
			rt.MirrorSample(key)
			rt.RequestEdit.Drops([]byte("cookie"))
			buf = rt.AppendPath(buf[:0], req.Path)
		})
	}
}
