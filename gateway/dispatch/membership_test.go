package dispatch

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/config"
)

func (f *fixture) setEndpoints(numbers ...int) {
	f.t.Helper()
	if err := f.SetEndpoints("llama", found(MemberReady, numbers...)); err != nil {
		f.t.Fatal(err)
	}
}

func TestRemovedEndpointDrains(t *testing.T) {
	f := newFixture(t, onePool(2, "balance: round-robin\n"))
	a, b := f.admit(), f.admit()
	gone, up := a.Endpoint, f.upstream(a.Endpoint.Address)
	if gone.Address != "10.0.0.1:8000" {
		a, b = b, a
		gone, up = a.Endpoint, f.upstream(a.Endpoint.Address)
	}
	f.setEndpoints(2)
	if got := f.states("llama"); got != "ready draining" || up.closed.Load() != 0 {
		t.Errorf("states: %s, closed %d times; want it to drain", got, up.closed.Load())
	}
	for range 10 {
		x := f.admit()
		if x.Endpoint == gone {
			t.Fatal("a draining endpoint is picked")
		}
		complete(x, 200)
	}
	if n := f.Pool("llama").InFlight(); n != 2 {
		t.Errorf("%d in flight; want 2, the one that drains included", n)
	}
	complete(a, 200)
	if got := f.states("llama"); got != "ready" || up.closed.Load() != 1 {
		t.Errorf("states: %s, closed %d times; want it gone and closed", got, up.closed.Load())
	}
	complete(b, 200)
	f.setEndpoints()
	if n := f.upstream("10.0.0.2:8000").closed.Load(); n != 1 || len(f.Pool("llama").Endpoints()) != 0 {
		t.Errorf("an idle endpoint that is removed is closed %d times; want once, at once", n)
	}
}

func TestEndpointThatComesBackGoesOn(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	x := f.admit()
	e := x.Endpoint
	f.setEndpoints(2)
	f.setEndpoints(1, 2)
	if f.endpoint("llama", "10.0.0.1:8000") != e || f.states("llama") != "ready ready" {
		t.Fatalf("states: %s; want the same endpoint ready again", f.states("llama"))
	}
	complete(x, 200)
	if e.Requests() != 1 || f.upstream(e.Address).closed.Load() != 0 {
		t.Errorf("%d requests, closed %d times; want the counters to go on", e.Requests(), f.upstream(e.Address).closed.Load())
	}
}

func TestApplyKeepsWhatDidNotChange(t *testing.T) {
	f := newFixture(t, onePool(2, ""))
	before := f.Pool("llama").Endpoints()
	f.apply(onePool(3, "balance: random\nmaxInFlight: 5\nretry: {attempts: 1}\n"))
	after := f.Pool("llama").Endpoints()
	if len(after) != 3 || !slices.Equal(before, after[:2]) {
		t.Errorf("endpoints are %v after %v", after, before)
	}
	f.apply(onePool(3, "idleTimeout: 2s\n"))
	if got := f.Pool("llama").Endpoints(); len(got) != 3 || got[0] == before[0] || got[0].Config.IdleTimeout != 2*time.Second {
		t.Errorf("endpoints keep their connections under another idle timeout")
	}
	for _, u := range f.upstreams[:3] {
		if u.closed.Load() != 1 {
			t.Errorf("%s is closed %d times; want once", u.config.Address, u.closed.Load())
		}
	}
}

func TestDiscoveredEndpointsOutliveApply(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	f.setEndpoints(5, 6)
	f.apply(onePool(1, "maxInFlight: 9\n"))
	if got := f.Pool("llama").Endpoints(); len(got) != 2 || got[0].Address != "10.0.0.5:8000" {
		t.Errorf("an unchanged list undoes SetEndpoints: %d endpoints", len(got))
	}
	f.apply(onePool(3, ""))
	if got := f.Pool("llama").Endpoints(); len(got) != 3 || got[0].Address != "10.0.0.1:8000" {
		t.Errorf("a changed list has no effect: %d endpoints", len(got))
	}
}

func TestSetEndpointsErrors(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	if err := f.SetEndpoints("qwen", found(MemberReady, 1)); err == nil || !strings.Contains(err.Error(), `pool "qwen": there is no such pool`) {
		t.Errorf("a pool that is not configured: error %v", err)
	}
	if got := f.Pool("llama").Endpoints(); len(got) != 1 || got[0].Address != "10.0.0.1:8000" {
		t.Error("an error changed the endpoints")
	}
	for _, given := range []MemberList{found(MemberReady, 9, 9), found(MemberReady, 2, 1)} {
		if err := f.SetEndpoints("llama", given); err == nil || !strings.Contains(err.Error(), "want them by address, each address once") {
			t.Errorf("%v: error %v", given, err)
		}
	}
}

func TestProbes(t *testing.T) {
	f := newFixture(t, onePool(2, "probe: {path: /health}\n"))
	if got := f.states("llama"); got != "unhealthy unhealthy" {
		t.Errorf("states before the first probe: %s", got)
	}
	f.SetHealthy("llama", "10.0.0.1:8000", true, "")
	f.SetHealthy("llama", "10.0.0.2:8000", true, "")
	f.SetHealthy("llama", "10.0.0.99:8000", true, "")
	f.SetHealthy("other", "10.0.0.1:8000", true, "")
	f.SetHealthy("llama", "10.0.0.2:8000", false, "status 503")
	f.SetHealthy("llama", "10.0.0.2:8000", false, "timeout")
	if got := f.states("llama"); got != "ready unhealthy" {
		t.Errorf("states: %s", got)
	}
	if d := f.Pool("llama").Describe(); d.Endpoints[1].Cause != "timeout" {
		t.Errorf("cause %q; want the last one, timeout", d.Endpoints[1].Cause)
	}
	f.apply(onePool(2, "probe: {path: /health}\nidleTimeout: 2s\n"))
	if got := f.states("llama"); got != "ready unhealthy draining" && got != "ready unhealthy" {
		t.Errorf("states after other connection settings: %s; want what probes found to hold", got)
	}
	f.setEndpoints(1, 2, 3)
	if got := f.states("llama"); got != "ready unhealthy unhealthy" {
		t.Errorf("states: %s; want a new endpoint to wait for its first probe", got)
	}
	f.apply(onePool(2, ""))
	f.setEndpoints(1, 2, 3)
	if got := f.states("llama"); got != "ready ready ready" {
		t.Errorf("states without probes: %s; want all ready", got)
	}
}

// Whoever probes tells changes alone, so that an endpoint that comes back goes by what was told meanwhile.
func TestEndpointThatComesBackGoesByTheLatestProbe(t *testing.T) {
	const probed = "probe: {path: /health}\n"
	for name, c := range map[string]struct {
		before, between bool
		want            string
	}{
		"it recovered": {false, true, "ready draining"},
		"it failed":    {true, false, "unhealthy draining"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, onePool(1, probed))
			const address = "10.0.0.1:8000"
			f.SetHealthy("llama", address, true, "")
			x := f.admit()
			f.SetHealthy("llama", address, c.before, "status 503")
			f.apply(onePool(1, probed+"idleTimeout: 2s\n"))
			f.SetHealthy("llama", address, true, "")
			y := f.admit()
			f.SetHealthy("llama", address, c.between, "status 503")
			f.apply(onePool(1, probed))
			if got := f.states("llama"); got != c.want {
				t.Errorf("states: %s, want %s", got, c.want)
			}
			complete(x, 200)
			complete(y, 200)
		})
	}
}

func TestEndpointThatComesBackWhereNothingIsProbedAnyMore(t *testing.T) {
	f := newFixture(t, onePool(1, "probe: {path: /health}\n"))
	f.SetHealthy("llama", "10.0.0.1:8000", true, "")
	x := f.admit()
	f.SetHealthy("llama", "10.0.0.1:8000", false, "status 503")
	f.setEndpoints(2)
	f.apply(onePool(1, ""))
	f.setEndpoints(1)
	if got := f.states("llama"); got != "ready" {
		t.Errorf("states: %s, want ready", got)
	}
	complete(x, 200)
}

func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, "slowStart: 10s\n"))
		weight := func(i int) float64 { return f.Pool("llama").Describe().Endpoints[i].Weight }
		if w := weight(0); w != 1 {
			t.Errorf("the first endpoint has weight %v; want no slow start where nobody else can take the load", w)
		}
		f.setEndpoints(1, 2)
		if w := weight(1); w != 0.1 {
			t.Errorf("a new endpoint has weight %v; want 0.1", w)
		}
		time.Sleep(5 * time.Second)
		f.setEndpoints(1, 2, 3)
		if a, b, c := weight(0), weight(1), weight(2); a != 1 || b != 0.55 || c != 0.1 {
			t.Errorf("weights %v, %v, %v; want 1, 0.55, 0.1: a change of others does not restart the slow start", a, b, c)
		}
		time.Sleep(10 * time.Second)
		f.SetHealthy("llama", "10.0.0.1:8000", false, "")
		f.SetHealthy("llama", "10.0.0.1:8000", true, "")
		if w := weight(0); w != 0.1 {
			t.Errorf("a recovered endpoint has weight %v; want 0.1", w)
		}
	})
}

const otherPool = "pools: {qwen: {endpoints: [\"http://10.0.9.1:8000\"]}}"

func TestRemovedPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		p := f.Pool("llama")
		holder, waiting, matched, reading := f.admit(), f.begin(), f.begin(), &Exchange{}
		reading.Reset(f.Dispatcher)
		done := admitLater(waiting)
		synctest.Wait()
		f.apply(otherPool)
		wantRefusal(t, <-done, 503, "no_endpoint", 1)
		waiting.Finish(Refused)
		wantRefusal(t, matched.Admit(), 503, "no_endpoint", 1)
		matched.Finish(Refused)
		if action, _ := reading.Match(); action != Forward || reading.Pool.Name != "qwen" {
			t.Errorf("a request that was not matched yet: Match says %v, pool %s; want what there is now", action, reading.Pool.Name)
		}
		reading.Finish(ClientGone)
		copied := &Exchange{}
		copied.UseMirror(f.Dispatcher, p)
		if copied.AdmitNow() {
			t.Error("a removed pool takes a copy")
		}
		if f.Pool("llama") != nil || !p.Removed() || p.InFlight() != 1 {
			t.Errorf("listed %v, removed %v, %d in flight", f.Pool("llama"), p.Removed(), p.InFlight())
		}
		if err := f.SetEndpoints("llama", found(MemberReady, 1)); err == nil {
			t.Error("a removed pool gets endpoints")
		}
		complete(holder, 200)
		up := f.upstream("10.0.0.1:8000")
		if up.closed.Load() != 1 || p.InFlight() != 0 || len(f.pools) != 1 {
			t.Errorf("closed %d times, %d in flight, %d pools kept; want it closed and forgotten", up.closed.Load(), p.InFlight(), len(f.pools))
		}
	})
}

func TestPoolThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		p, holder := f.Pool("llama"), f.admit()
		f.apply(otherPool)
		f.apply(onePool(1, busyPool))
		if f.Pool("llama") != p || f.states("llama") != "ready" {
			t.Fatalf("states: %s; want the pool as it was", f.states("llama"))
		}
		x := f.begin()
		done := admitLater(x)
		synctest.Wait()
		complete(holder, 200)
		if reply := <-done; reply != nil {
			t.Fatalf("refused: %s", reply.Message)
		}
		y := f.begin()
		wantRefusal(t, y.Admit(), 504, "queue_timeout", 10)
		y.Finish(Refused)
		complete(x, 200)
		if n := p.Requests(); n != 3 || f.upstream("10.0.0.1:8000").closed.Load() != 0 {
			t.Errorf("%d requests counted; want 3, and nothing closed", n)
		}
	})
}

func TestIdlePoolIsForgottenAtOnce(t *testing.T) {
	f := newFixture(t, onePool(2, ""))
	f.apply(otherPool)
	if len(f.pools) != 1 || len(f.Pools()) != 1 {
		t.Errorf("%d pools kept, %d listed; want 1", len(f.pools), len(f.Pools()))
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	table, endpoints := f.table.Load(), f.Pool("llama").Endpoints()
	unreadable := parse(t, onePool(2, ""))
	unreadable.Pools["qwen"] = &config.Pool{Endpoints: []string{"https://10.0.9.1:8000"}, Balance: "random", TLS: &config.UpstreamTLS{CA: "/nowhere/ca.pem"}}
	unreadable.Routes = []config.Route{{Split: []config.Target{{Pool: "llama"}}}}
	if err := f.Apply(unreadable); err == nil ||
		!strings.Contains(err.Error(), `pool "qwen": field ca: cannot read the certificate authorities: open /nowhere/ca.pem`) {
		t.Errorf("error %v", err)
	}
	wrong := parse(t, onePool(2, ""))
	wrong.Pools["llama"].Balance = "astrology"
	if err := f.Apply(wrong); err == nil || !strings.Contains(err.Error(), `pool "llama": field balance: unknown policy "astrology"`) {
		t.Errorf("error %v", err)
	}
	wrong = parse(t, twoPools)
	wrong.Routes[0].Split[0].Pool = "nowhere"
	if err := f.Apply(wrong); err == nil || !strings.Contains(err.Error(), `route "split": it names pool "nowhere", which is not configured`) {
		t.Errorf("error %v", err)
	}
	if f.table.Load() != table || len(f.Pools()) != 1 || !slices.Equal(f.Pool("llama").Endpoints(), endpoints) {
		t.Error("a configuration that cannot be applied changed something")
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(2, busyPool+ejecting[strings.Index(ejecting, "slowStart"):]))
		a, b, x := f.admit(), f.admit(), f.begin()
		done := admitLater(x)
		synctest.Wait()
		f.Close()
		f.Close()
		wantRefusal(t, <-done, 503, "no_endpoint", 1)
		x.Finish(Refused)
		for _, u := range f.upstreams {
			if u.closed.Load() != 1 {
				t.Errorf("%s is closed %d times; want once", u.config.Address, u.closed.Load())
			}
		}
		complete(a, 200)
		complete(b, 200)
		for _, u := range f.upstreams {
			if u.closed.Load() != 1 {
				t.Errorf("%s is closed %d times at the end; want once", u.config.Address, u.closed.Load())
			}
		}
		if len(f.pools) != 0 {
			t.Errorf("%d pools kept", len(f.pools))
		}
		if err := f.Apply(parse(t, otherPool)); err == nil {
			t.Error("a closed dispatcher takes a configuration")
		}
	})
}

// Whoever reads what is ready whenever Changed is called knows at the end what is.
func TestChangedIsCalledForAllThatChanges(t *testing.T) {
	var calls atomic.Int64
	f := newFixture(t, onePool(2, "probe: {path: /}\n"), func(o *Options) { o.Changed = func() { calls.Add(1) } })
	expect := func(what string, change func()) {
		t.Helper()
		calls.Store(0)
		change()
		if calls.Load() == 0 {
			t.Errorf("%s was not told", what)
		}
	}
	expect("a healthy endpoint", func() { f.SetHealthy("llama", "10.0.0.1:8000", true, "") })
	calls.Store(0)
	if f.SetHealthy("llama", "10.0.0.1:8000", true, ""); calls.Load() != 0 {
		t.Error("told although nothing changed")
	}
	expect("an unhealthy endpoint", func() { f.SetHealthy("llama", "10.0.0.1:8000", false, "why") })
	expect("a new list of endpoints", func() { f.setEndpoints(7) })
	expect("a configuration", func() { f.apply(onePool(2, "")) })
	f.SetHealthy("llama", "10.0.0.1:8000", true, "")
	expect("the end", f.Close)
}

// A route is ready by the pools that get a share of its requests, under the table that is in force.
func TestRoutesAreReadyByTheirShares(t *testing.T) {
	f := newFixture(t, `
pools:
  up: {endpoints: ["http://10.0.0.1:8000"]}
  down: {endpoints: ["http://10.0.0.2:8000"], probe: {path: /}}
routes:
  - {name: both, match: {model: a}, split: [{pool: up}, {pool: down}]}
  - {name: cold, match: {model: b}, split: [{pool: up, weight: 0}, {pool: down, weight: 1}]}
  - {name: mirrored, match: {model: c}, split: [{pool: down}], mirror: {pool: up, percent: 1}}
`)
	ready := func() string {
		var all []string
		for _, r := range f.Routes() {
			if r.Ready() {
				all = append(all, r.Name)
			}
		}
		return strings.Join(all, " ")
	}
	if got := ready(); got != "both" {
		t.Errorf("ready are %q", got)
	}
	f.SetHealthy("down", "10.0.0.2:8000", true, "")
	if got := ready(); got != "both cold mirrored" {
		t.Errorf("after a probe ready are %q", got)
	}
	f.apply(onePool(1, ""))
	if got := ready(); got != "default" {
		t.Errorf("without routes ready are %q", got)
	}
}
