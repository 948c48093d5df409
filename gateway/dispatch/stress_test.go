package dispatch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stress is what the requests of TestEverythingAtOnce have seen.
type stress struct {
	*fixture
	admitted, refused, left, retried atomic.Int64
}

const stressQueue = 8

func stressConfig(withQwen bool, limit, timeoutMillis int) string {
	policy := []string{"least-outstanding", "least-tokens", "prefix"}[limit%3]
	settings := fmt.Sprintf("balance: %s\nmaxInFlight: %d\nqueue: {size: %d, timeout: %dms}\n", policy, limit, stressQueue, timeoutMillis) +
		"eject: {consecutiveFailures: 2, baseTime: 2ms, maxTime: 2ms, maxPercent: 50}\nretry: {attempts: 2, budgetPercent: 100}\n"
	text := onePool(4, settings)
	if withQwen {
		text += strings.NewReplacer("pools:\n", "", "llama:", "qwen:", "10.0.0.", "10.0.9.").Replace(onePool(3, settings))
		return text + "routes: [{split: [{pool: llama}, {pool: qwen}]}]\n"
	}
	return text + "routes: [{split: [{pool: llama}]}]\n"
}

// request runs one request from its beginning to its end, some of them with failures and a client that leaves.
func (s *stress) request(x *Exchange, r *rand.Rand) {
	x.Reset(s.Dispatcher)
	if action, _ := x.Match(); action != Forward {
		panic("not forwarded")
	}
	x.Prompt = prompt(r.Int64N(5000), r.Uint64N(3))
	if r.IntN(4) == 0 {
		var leaving sync.WaitGroup
		leaving.Go(x.Cancel)
		defer leaving.Wait()
	}
	reply := x.Admit()
	for reply == nil {
		up := x.Endpoint.Upstream.(*fakeUpstream)
		up.send()
		if r.IntN(3) == 0 {
			time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
		}
		up.sent()
		if r.IntN(2) == 0 {
			x.Answered(Now())
		}
		s.admitted.Add(1)
		if n := s.Pool("llama").QueueLen(); n > stressQueue {
			s.t.Errorf("%d requests wait; the queue's size is %d", n, stressQueue)
		}
		if r.IntN(5) > 0 {
			complete(x, 200)
			return
		}
		outcome := []Outcome{ConnectFailed, StaleConnection, UpstreamReset, UpstreamTimeout, ClientGone}[r.IntN(5)]
		reply = x.Retry(outcome, outcome == ConnectFailed || outcome == StaleConnection)
		s.retried.Add(1)
	}
	if reply == ClientLeft {
		s.left.Add(1)
		x.Finish(ClientGone)
		return
	}
	s.refused.Add(1)
	x.Status = reply.Status
	x.Finish(Refused)
}

func (s *stress) mirror(x *Exchange) {
	x.UseMirror(s.Dispatcher, s.Pool("llama"))
	if !x.AdmitNow() {
		x.Finish(Refused)
		return
	}
	up := x.Endpoint.Upstream.(*fakeUpstream)
	up.send()
	up.sent()
	complete(x, 200)
}

// disturb changes what can be changed while requests run.
func (s *stress) disturb(r *rand.Rand) {
	address := fmt.Sprintf("10.0.0.%d:8000", 1+r.IntN(6))
	switch r.IntN(5) {
	case 0:
		s.apply(stressConfig(r.IntN(2) == 0, 1+r.IntN(3), 1+r.IntN(5)))
	case 1:
		var some []int
		for n := 1; n <= 6; n++ {
			if r.IntN(2) == 0 {
				some = append(some, n)
			}
		}
		s.setEndpoints(some...)
	case 2:
		s.SetHealthy("llama", address, false, "the test says so")
	case 3:
		s.SetHealthy("llama", address, true, "")
	case 4:
		for _, p := range s.Pools() {
			p.Describe()
		}
	}
}

// TestEverythingAtOnce runs requests that fail, wait, leave and are retried while pools, endpoints and health change under them. At
// the end nothing is counted any more, every connection pool is closed exactly once and was never used after that.
func TestEverythingAtOnce(t *testing.T) {
	s := &stress{fixture: newFixture(t, stressConfig(true, 2, 2), withEjection)}
	s.observer.forget = true
	ends := time.Now().Add(700 * time.Millisecond)
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			r, x := rand.New(rand.NewPCG(uint64(i), 1)), &Exchange{}
			for time.Now().Before(ends) {
				if r.IntN(10) == 0 {
					s.mirror(x)
				} else {
					s.request(x, r)
				}
			}
		})
	}
	for i := range 2 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for time.Now().Before(ends) {
				s.disturb(r)
				time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
			}
		})
	}
	all.Wait()
	t.Logf("%d admitted, %d refused, %d left, %d attempts failed, %d upstreams",
		s.admitted.Load(), s.refused.Load(), s.left.Load(), s.retried.Load(), len(s.upstreams))
	s.checkQuiet()
	s.apply(otherPool)
	if len(s.pools) != 1 {
		t.Errorf("%d pools kept; want only the one that is configured", len(s.pools))
	}
	s.Close()
	for _, u := range s.upstreams {
		if u.closed.Load() != 1 || u.misuse.Load() != 0 {
			t.Errorf("%s of pool %s is closed %d times, and used %d times after that; want once and never",
				u.config.Address, u.config.Pool, u.closed.Load(), u.misuse.Load())
		}
	}
}

// checkQuiet checks that nothing is counted where nothing is underway.
func (s *stress) checkQuiet() {
	s.t.Helper()
	for _, p := range s.pools {
		if p.Outstanding() != 0 {
			s.t.Errorf("pool %s: %d queued, %d in flight; want none", p.Name, p.QueueLen(), p.InFlight())
		}
		for _, e := range p.Endpoints() {
			if n := e.Balancer.PromptTokens(); n != 0 {
				s.t.Errorf("%s has %d prompt tokens outstanding; want none", e.Address, n)
			}
			if e.State() == Draining || e.InFlight() != 0 || !e.isIdle() {
				s.t.Errorf("%s is %s with %d in flight, %d begun and %d ended", e.Address, e.State(), e.InFlight(), e.begun.Load(), e.ended.Load())
			}
		}
	}
}
