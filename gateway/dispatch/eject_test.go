package dispatch

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
)

// plainEjector ejects for BaseTime after so many failures in a row.
type plainEjector struct {
	config.Eject
	until map[*balancer.Endpoint]int64
}

func withEjection(o *Options) {
	o.NewEjector = func(c config.Eject) Ejector { return &plainEjector{c, make(map[*balancer.Endpoint]int64)} }
}

func (j *plainEjector) Success(e *balancer.Endpoint) {
	if e.Failures.Load() != 0 {
		e.Failures.Store(0)
	}
}

func (j *plainEjector) Failure(e *balancer.Endpoint, now int64) (bool, int64) {
	if n := e.Failures.Add(1); j.ConsecutiveFailures == 0 || n < int64(j.ConsecutiveFailures) {
		return false, 0
	}
	e.Failures.Store(0)
	j.until[e] = now + int64(j.BaseTime)
	return true, j.until[e]
}

func (j *plainEjector) Due(now int64) (due []*balancer.Endpoint) {
	for e, until := range j.until {
		if until <= now {
			due = append(due, e)
			delete(j.until, e)
		}
	}
	return due
}

func (j *plainEjector) Next() (next int64) {
	for _, until := range j.until {
		if next == 0 || until < next {
			next = until
		}
	}
	return next
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
		time.Sleep(1)
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
	f := newFixture(t, onePool(2, ejecting), withEjection)
	for range 2 {
		f.fail("10.0.0.1:8000", UpstreamBroken)
	}
	for range 6 {
		f.fail("10.0.0.2:8000", UpstreamBroken)
	}
	if got := f.states("llama"); got != "ejected ready" {
		t.Errorf("states: %s; want the last one ready", got)
	}
	f.SetHealthy("llama", "10.0.0.2:8000", false, "status 500")
	if got := f.states("llama"); got != "ready unhealthy" {
		t.Errorf("states: %s; want the ejected one back, as there is no other", got)
	}
	complete(f.admit(), 200)
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

func TestErrorsDoNotLookFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(2, "balance: peak-ewma\n"))
		use := func(address string, takes time.Duration, status int) {
			x := f.admit()
			var others []*Exchange
			for x.Endpoint.Address != address {
				others = append(others, x)
				x = f.admit()
			}
			time.Sleep(takes)
			complete(x, status)
			for _, o := range others {
				o.Finish(ClientGone)
			}
		}
		use("10.0.0.1:8000", 100*time.Millisecond, 200)
		use("10.0.0.2:8000", 100*time.Millisecond, 200)
		for range 20 {
			use("10.0.0.2:8000", time.Millisecond, 503)
		}
		count := make(map[string]int)
		for range 100 {
			x := f.admit()
			count[x.Endpoint.Address]++
			x.Finish(ClientGone)
		}
		if count["10.0.0.2:8000"] > 90 {
			t.Errorf("requests go to %v: fast errors attract them", count)
		}
	})
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
