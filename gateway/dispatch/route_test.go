package dispatch

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// fakeHeader is a request's header fields by lower-case name.
type fakeHeader map[string]string

func (h fakeHeader) Lookup(name string) ([]byte, bool) {
	v, ok := h[name]
	return []byte(v), ok
}

func (h fakeHeader) Next(name string, from int) ([]byte, int, bool) {
	v, ok := h[name]
	return []byte(v), 1, ok && from == 0
}

const twoPools = `
pools:
  stable: {endpoints: ["http://10.0.1.1:8000", "http://10.0.1.2:8000", "http://10.0.1.3:8000", "http://10.0.1.4:8000"]}
  canary: {endpoints: ["http://10.0.2.1:8000"]}
  shadow: {endpoints: ["http://10.0.3.1:8000"]}
routes:
  - name: split
    match: {model: llama, path: /v1}
    split: [{pool: stable, weight: 50}, {pool: canary, weight: 50, model: llama-next}]
    sticky: {header: x-user}
    mirror: {pool: shadow, percent: 100}
  - name: rest
    match: {path: /plain}
    split: [{pool: stable}]
`

func (f *fixture) match(method, path, model string, h fakeHeader) (*Exchange, Action, *Reply) {
	x := &Exchange{}
	x.Reset(f.Dispatcher)
	x.Request.Method, x.Request.Path, x.Request.Header = []byte(method), []byte(path), h
	action, reply := x.Match()
	if action == NeedModel {
		x.Request.Model, x.Request.ModelKnown = []byte(model), true
		action, reply = x.Match()
	}
	return x, action, reply
}

func TestMatchSetsWhereTheRequestGoes(t *testing.T) {
	f := newFixture(t, twoPools)
	x, action, _ := f.match("POST", "/v1/completions", "llama", nil)
	if action != Forward || x.Route.Name != "split" || x.Pool.Name != x.Target.Pool || x.Mirror == nil || x.Mirror.Name != "shadow" {
		t.Errorf("Match says %v: %+v", action, x)
	}
	x, action, _ = f.match("POST", "/plain/x", "", nil)
	if action != Forward || x.Route.Name != "rest" || x.Pool.Name != "stable" || x.Mirror != nil {
		t.Errorf("Match says %v: %+v", action, x)
	}
}

func TestNeedModel(t *testing.T) {
	f := newFixture(t, twoPools)
	x := &Exchange{}
	x.Reset(f.Dispatcher)
	x.Request.Method, x.Request.Path = []byte("POST"), []byte("/v1/completions")
	if action, _ := x.Match(); action != NeedModel || x.Route != nil || x.Pool != nil {
		t.Errorf("Match says %v, route %v; want NeedModel and no route", action, x.Route)
	}
}

func TestMissesAreRefused(t *testing.T) {
	f := newFixture(t, twoPools)
	long := strings.Repeat("m", 500)
	for _, c := range []struct {
		path, model string
		status      int
		code, says  string
	}{
		{"/v1/completions", "gpt-5", 404, "model_not_found", `the model "gpt-5" is not served here`},
		{"/v1/completions", "", 400, "model_required", "names no model"},
		{"/other", "", 404, "route_not_found", "no route takes"},
		{"/v1/../admin", "", 400, "path_not_normalized", "dot segment"},
		{"/v1/completions", long, 404, "model_not_found", `the model "` + long[:128] + `" is not`},
	} {
		x, action, reply := f.match("POST", c.path, c.model, nil)
		if action != Refuse {
			t.Fatalf("%s with model %q: Match says %v; want Refuse", c.path, c.model, action)
		}
		wantRefusal(t, reply, c.status, c.code, 0)
		if x.Refusal != reply || !strings.Contains(reply.Message, c.says) {
			t.Errorf("refused with %q; want %q within", reply.Message, c.says)
		}
	}
}

func TestStickySplit(t *testing.T) {
	f := newFixture(t, twoPools)
	of := make(map[string]string)
	count := make(map[string]int)
	for i := range 400 {
		user := fmt.Sprint("user-", i%100)
		x, _, _ := f.match("POST", "/v1/completions", "llama", fakeHeader{"x-user": user})
		if was := of[user]; was != "" && was != x.Pool.Name {
			t.Fatalf("%s goes to %s after %s", user, x.Pool.Name, was)
		}
		of[user] = x.Pool.Name
		count[x.Pool.Name]++
	}
	if count["stable"] < 100 || count["canary"] < 100 {
		t.Errorf("users are spread as %v; want about half each", count)
	}
}

// The random number that chooses among a split's targets must not decide which of the target's endpoints is picked, too.
func TestSplitLeavesAllEndpointsToPick(t *testing.T) {
	f := newFixture(t, strings.Replace(twoPools, "stable: {", "stable: {balance: random, ", 1))
	for range 400 {
		x, _, _ := f.match("POST", "/v1/completions", "llama", nil)
		if x.Admit() != nil {
			t.Fatal("refused")
		}
		complete(x, 200)
	}
	for _, e := range f.Pool("stable").Endpoints() {
		if n := e.Requests(); n < 15 {
			t.Errorf("%s got %d of about 200 requests over 4 endpoints", e.Address, n)
		}
	}
}

// A pool without endpoints keeps its share of a split: its requests wait, they are not spilled to the other pool.
func TestEmptyTargetIsNotSpilled(t *testing.T) {
	f := newFixture(t, twoPools)
	if err := f.SetEndpoints("canary", nil); err != nil {
		t.Fatal(err)
	}
	count := 0
	for range 100 {
		if x, _, _ := f.match("POST", "/v1/completions", "llama", nil); x.Pool.Name == "canary" {
			count++
		}
	}
	if count < 25 {
		t.Errorf("an empty pool with half of the weight is chosen for %d of 100 requests", count)
	}
}

func TestSinglePoolTakesEverything(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	x, action, _ := f.match("DELETE", "/any/path?x=1", "", nil)
	if action != Forward || x.Pool.Name != "llama" || x.Route.Name != "default" {
		t.Errorf("Match says %v, route %+v", action, x.Route)
	}
}

func TestNothingIsConfiguredYet(t *testing.T) {
	f := newFixture(t, "")
	_, action, reply := f.match("GET", "/", "", nil)
	if action != Refuse {
		t.Fatalf("Match says %v; want Refuse", action)
	}
	wantRefusal(t, reply, 404, "route_not_found", 0)
}

func TestModelsAreAnsweredLocally(t *testing.T) {
	page := &Reply{Status: 200, Body: []byte("{}")}
	local := func(o *Options) { o.Models = func(*Exchange) *Reply { return page } }
	own := strings.Replace(onePool(1, ""), "pools:", "routes: [{match: {path: /v1/models}, split: [{pool: llama}]}]\npools:", 1)
	wide := strings.Replace(own, "/v1/models", "/v1", 1)
	for _, c := range []struct {
		config, method, path string
		want                 Action
	}{
		{twoPools, "GET", "/v1/models", Local},
		{twoPools, "GET", "/v1/models?limit=1", Local},
		{twoPools, "GET", "/v1/models/llama", Local},
		{twoPools, "POST", "/v1/models", NeedModel},
		{twoPools, "GET", "/v1/modelsome", NeedModel},
		{onePool(1, ""), "GET", "/v1/models", Local},
		{wide, "GET", "/v1/models", Local},
		{own, "GET", "/v1/models", Forward},
	} {
		f := newFixture(t, c.config, local)
		x := &Exchange{}
		x.Reset(f.Dispatcher)
		x.Request.Method, x.Request.Path = []byte(c.method), []byte(c.path)
		action, _ := x.Match()
		if action != c.want {
			t.Errorf("%s %s: Match says %v; want %v", c.method, c.path, action, c.want)
		}
		if action == Local && x.Local() != page {
			t.Errorf("%s %s: Local does not return what Options.Models does", c.method, c.path)
		}
	}
	f := newFixture(t, onePool(1, ""))
	if _, action, _ := f.match("GET", "/v1/models", "", nil); action != Forward {
		t.Errorf("without Options.Models, Match says %v; want Forward", action)
	}
}

func TestStatsBelongToRouteAndPool(t *testing.T) {
	f := newFixture(t, twoPools)
	seen := make(map[string]any)
	for range 50 {
		x, _, _ := f.match("POST", "/v1/completions", "llama", nil)
		if x.Stats().Load() == nil {
			x.Stats().Store(x.Pool.Name)
		}
		seen[x.Pool.Name] = x.Stats().Load()
	}
	for _, name := range []string{"stable", "canary"} {
		if seen[name] != name {
			t.Errorf("the stats of pool %s are %v", name, seen[name])
		}
	}
	x, _, _ := f.match("POST", "/plain", "", nil)
	if x.Stats().Load() != nil {
		t.Error("another route has the same stats")
	}
	x, _, _ = f.match("POST", "/none", "", nil)
	x.Stats().Store("none")
	y, _, _ := f.match("POST", "/neither", "", nil)
	if y.Stats().Load() != "none" {
		t.Error("requests without route do not share their stats")
	}
	f.apply(twoPools)
	if z, _, _ := f.match("POST", "/none", "", nil); z.Stats().Load() != nil {
		t.Error("the stats outlive Apply")
	}
}

func TestSessionsStayOnTheirEndpoint(t *testing.T) {
	for _, key := range []string{"{header: X-Session}", "{cookie: sid}", "{clientIP: true}"} {
		f := newFixture(t, onePool(4, "balance: session\nsession: "+key+"\n"))
		used := make(map[string]bool)
		for i := range 40 {
			session := i % 8
			x := &Exchange{}
			var first string
			for range 3 {
				x.Reset(f.Dispatcher)
				x.ClientIP = netip.AddrFrom4([4]byte{10, 9, 8, byte(session)})
				x.Request.Header = fakeHeader{"x-session": fmt.Sprint(session), "cookie": fmt.Sprintf("a=b; sid=%d", session)}
				x.Match()
				if x.Admit() != nil {
					t.Fatal("refused")
				}
				if first == "" {
					first = x.Endpoint.Address
				}
				if x.Endpoint.Address != first {
					t.Fatalf("session %d by %s goes to %s after %s", session, key, x.Endpoint.Address, first)
				}
				complete(x, 200)
			}
			used[first] = true
		}
		if len(used) < 2 {
			t.Errorf("8 sessions by %s share %d endpoint", key, len(used))
		}
	}
}
