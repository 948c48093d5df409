package dispatch

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/health"
)

// withEjection makes ejectors as the gateway does.
func withEjection(o *Options) {
	o.NewEjector = func(c config.Eject) Ejector {
		return health.NewEjector(health.EjectConfig{
			ConsecutiveFailures: c.ConsecutiveFailures, BaseTime: c.BaseTime.Std(), MaxTime: c.MaxTime.Std(), MaxPercent: c.MaxPercent,
		})
	}
}

const ejecting = "eject: {consecutiveFailures: 2, baseTime: 5s, maxTime: 5s, maxPercent: 50}\nslowStart: 10s\nbalance: round-robin\n"

// fail sends requests until one has met the endpoint, and fails that.
func (f *fixture) fail(address string, o Outcome) {
	f.t.Helper()
	for range 100 {
		x := f.admit()
		if x.Endpoint.Address == address {
			x.Finish(o)
			return
		}
		x.Finish(ClientGone)
	}
	f.t.Fatalf("%s gets no requests", address)
}

func (f *fixture) states(pool string) string {
	var states []string
	for _, e := range f.Pool(pool).Endpoints() {
		states = append(states, e.State().String())
	}
	return strings.Join(states, " ")
}

func TestFailingEndpointIsEjectedForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(3, ejecting), withEjection)
		time.Sleep(time.Minute)
		const bad = "10.0.0.2:8000"
		f.fail(bad, ConnectFailed)
		f.fail(bad, UpstreamTimeout)
		if got := f.states("llama"); got != "ready ejected ready" {
			t.Fatalf("states after two failures: %s", got)
		}
		for range 20 {
			x := f.admit()
			if x.Endpoint.Address == bad {
				t.Fatal("an ejected endpoint is picked")
			}
			complete(x, 200)
		}
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		if got := f.states("llama"); got != "ready ejected ready" {
			t.Errorf("states before the ejection ends: %s", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := f.states("llama"); got != "ready ready ready" {
			t.Errorf("states after the ejection: %s", got)
		}
		if w := f.Pool("llama").Describe().Endpoints[1].Weight; w != 0.1 {
			t.Errorf("an endpoint comes back with weight %v; want a slow start at 0.1", w)
		}
		if n := f.endpoint("llama", bad).Ejections(); n != 1 {
			t.Errorf("%d ejections; want 1", n)
		}
	})
}

func TestWhatDoesNotEject(t *testing.T) {
	f := newFixture(t, onePool(2, ejecting), withEjection)
	for _, o := range []Outcome{ClientGone, StaleConnection, Refused, ClientGone, StaleConnection, Refused} {
		f.fail("10.0.0.1:8000", o)
	}
	for range 20 {
		complete(f.admit(), 503)
		complete(f.admit(), 400)
		complete(f.admit(), 500)
	}
	f.fail("10.0.0.1:8000", UpstreamReset)
	for range 2 {
		complete(f.admit(), 200) // round robin: one of them is on the endpoint that failed
	}
	f.fail("10.0.0.1:8000", UpstreamReset)
	if got := f.states("llama"); got != "ready ready" {
		t.Errorf("states: %s; want no ejection", got)
	}
}

func TestBackPressureIsCounted(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	complete(f.admit(), 429)
	complete(f.admit(), 503)
	complete(f.admit(), 500)
	x := f.admit()
	x.Busy = true
	complete(x, 200)
	x = f.admit()
	x.Refusal = replyTimeout // the gateway's own answer is not the endpoint's
	complete(x, 503)
	if n := f.Pool("llama").Endpoints()[0].BackPressure(); n != 3 {
		t.Errorf("%d answers count as back-pressure; want 3", n)
	}
}

func TestLastEndpointIsNeverEjected(t *testing.T) {
	f := newFixture(t, onePool(2, strings.Replace(ejecting, "maxPercent: 50", "maxPercent: 100", 1)), withEjection)
	for range 2 {
		f.fail("10.0.0.1:8000", UpstreamBroken)
	}
	for range 6 {
		f.fail("10.0.0.2:8000", UpstreamBroken)
	}
	if got := f.states("llama"); got != "ejected ready" {
		t.Errorf("states: %s; want the last one ready", got)
	}
	if n := f.endpoint("llama", "10.0.0.2:8000").Ejections(); n != 0 {
		t.Errorf("the last one was ejected %d times", n)
	}
	f.SetHealthy("llama", "10.0.0.2:8000", false, "status 500")
	if got := f.states("llama"); got != "ready unhealthy" {
		t.Errorf("states: %s; want the ejected one back, as there is no other", got)
	}
	complete(f.admit(), 200)
}

func TestEjectedEndpointThatProbesFindUnhealthy(t *testing.T) {
	f := newFixture(t, onePool(3, ejecting), withEjection)
	for range 2 {
		f.fail("10.0.0.1:8000", UpstreamBroken)
	}
	f.SetHealthy("llama", "10.0.0.1:8000", false, "status 500")
	f.SetHealthy("llama", "10.0.0.1:8000", true, "")
	if got := f.states("llama"); got != "ready ready ready" {
		t.Errorf("states: %s; want it ready, as a probe has found it well since", got)
	}
}

func TestEjectionIsBounded(t *testing.T) {
	f := newFixture(t, onePool(4, ejecting), withEjection)
	for _, e := range f.Pool("llama").Endpoints() {
		for range 2 {
			f.fail(e.Address, UpstreamBroken)
		}
	}
	if got := f.states("llama"); got != "ejected ejected ready ready" {
		t.Errorf("states: %s; want half of the pool ejected", got)
	}
	f.apply(onePool(4, strings.Replace(ejecting, "consecutiveFailures: 2", "consecutiveFailures: 3", 1)))
	if got := f.states("llama"); got != "ready ready ready ready" {
		t.Errorf("states: %s; want all back under new settings", got)
	}
}

// A request that waits must not get the room that the failure of an endpoint makes on that very endpoint.
func TestWaiterIsNotSentToWhatWasJustEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(2, ejecting+busyPool), withEjection)
		f.fail("10.0.0.1:8000", ConnectFailed)
		first, second, x := f.admit(), f.admit(), f.begin()
		if first.Endpoint.Address != "10.0.0.1:8000" {
			first, second = second, first
		}
		done := admitLater(x)
		synctest.Wait()
		first.Finish(ConnectFailed)
		synctest.Wait()
		select {
		case <-done:
			t.Fatalf("a request that waited is sent to %s, which was just ejected", x.Endpoint.Address)
		default:
		}
		complete(second, 200)
		if reply := <-done; reply != nil || x.Endpoint.Address != "10.0.0.2:8000" {
			t.Fatalf("reply %v, endpoint %v; want 10.0.0.2:8000", reply, x.Endpoint)
		}
		complete(x, 200)
	})
}

// recorder notes what the balancer's policy is told.
type recorder struct {
	balancer.Policy
	done   []balancer.Done
	random []uint64
}

func (r *recorder) Pick(s *balancer.Snapshot, q *balancer.Request) *balancer.Endpoint {
	r.random = append(r.random, q.Rand)
	return r.Policy.Pick(s, q)
}

func (r *recorder) Done(_ *balancer.Endpoint, _ *balancer.Request, d balancer.Done) {
	r.done = append(r.done, d)
}

func (f *fixture) record() *recorder {
	p := f.Pool("llama")
	r := &recorder{Policy: newPolicy(p.settings.Load())}
	p.balancer.SetPolicy(r)
	return r
}

// What a policy learns of an endpoint: an error comes fast, and its endpoint must not look fast for it.
func TestPolicyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, ""))
		r := f.record()
		const ms = int64(time.Millisecond)
		for _, c := range []struct {
			outcome   Outcome
			status    int
			firstByte int64 // after the start; 0 for none
			failed    bool
		}{
			{Completed, 200, 20 * ms, false},
			{Completed, 400, 0, false},
			{Completed, 429, 0, false},
			{Completed, 500, 0, false},
			{Completed, 503, 0, false},
			{ClientGone, 200, 20 * ms, false},
			{StaleConnection, 0, 20 * ms, false},
			{ConnectFailed, 0, 20 * ms, true},
			{UpstreamReset, 0, 20 * ms, true},
			{UpstreamBroken, 200, 20 * ms, true},
			{UpstreamTimeout, 0, 20 * ms, true},
			{Refused, 413, 20 * ms, false},
		} {
			x := f.admit()
			start := Now()
			time.Sleep(20 * time.Millisecond)
			x.FirstByte()
			time.Sleep(10 * time.Millisecond)
			x.Status = c.status
			x.Finish(c.outcome)
			want := balancer.Done{Started: start, Now: start + 30*ms, Failed: c.failed, Busy: c.status == 429 || c.status == 503}
			if c.firstByte != 0 {
				want.FirstByte = start + c.firstByte
			}
			if got := r.done[len(r.done)-1]; got != want {
				t.Errorf("%s with status %d tells the policy %+v; want %+v", c.outcome, c.status, got, want)
			}
		}
	})
}

func TestEveryPickHasItsRandomNumber(t *testing.T) {
	f := newFixture(t, onePool(3, ""))
	r := f.record()
	x := f.admit()
	x.Retry(ConnectFailed, true)
	x.Retry(ConnectFailed, true)
	complete(x, 200)
	complete(f.admit(), 200)
	seen := make(map[uint64]bool)
	for _, n := range r.random {
		seen[n] = true
	}
	if len(seen) != 4 || len(r.random) != 4 {
		t.Errorf("picks had the random numbers %v; want 4 different ones", r.random)
	}
}

func TestDescribe(t *testing.T) {
	f := newFixture(t, onePool(2, ejecting), withEjection)
	f.fail("10.0.0.1:8000", UpstreamReset)
	f.SetHealthy("llama", "10.0.0.2:8000", false, "status 500")
	x := f.admit()
	d := f.Pool("llama").Describe()
	x.Finish(ClientGone)
	if d.Name != "llama" || d.Policy != "round-robin" || d.Ready != 1 || d.InFlight != 1 || d.Outstanding != 1 || len(d.Endpoints) != 2 {
		t.Fatalf("described as %+v", d)
	}
	a, b := d.Endpoints[0], d.Endpoints[1]
	if a.State != "ready" || a.Weight != 1 || a.InFlight != 1 || a.Failures["upstream_reset"] != 1 || a.FailuresInRow != 1 || a.LastFailure.Cause != "upstream_reset" {
		t.Errorf("endpoint is described as %+v", a)
	}
	if b.State != "unhealthy" || b.Cause != "status 500" || b.Weight != 0 || b.LastFailure.Cause != "probe: status 500" {
		t.Errorf("endpoint is described as %+v", b)
	}
	if states := []string{Ready.String(), Draining.String()}; !slices.Equal(states, []string{"ready", "draining"}) {
		t.Errorf("states are called %v", states)
	}
}
