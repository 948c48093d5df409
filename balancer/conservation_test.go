package balancer

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

const (
	conservedLimit  = 3
	conservedTokens = 10_000 // most of a prompt
)

// orderPolicy checks that the head of the queue only moves forward: waiters carry rising tickets in Session, and their picks
// happen under the Balancer's lock, which is why last needs none (the race detector sees to that). Arrivals carry ticket 0.
type orderPolicy struct {
	Policy
	t    *testing.T
	last uint64
}

func (p *orderPolicy) Pick(s *Snapshot, r *Request) *Endpoint {
	if ticket := r.Session; ticket != 0 {
		if ticket < p.last {
			p.t.Errorf("waiter %d came to the head of the queue after waiter %d", ticket, p.last)
		}
		p.last = ticket
	}
	return p.Policy.Pick(s, r)
}

// crowd is many goroutines at one balancer.
type crowd struct {
	t        *testing.T
	balancer *Balancer
	clock    atomic.Int64
	tickets  sync.Mutex // held while a ticket is drawn and its waiter enqueued, so that tickets are in the queue's order
	ticket   uint64
}

// prompt returns a request with some prompt, often one that others have, too.
func (c *crowd) prompt(seed uint64) Request {
	r := Request{Rand: seed, Now: c.clock.Add(1), Tokens: int64(seed>>40%conservedTokens) - 100, KeyCount: int(seed >> 20 % (PrefixKeys + 1))}
	r.Keys[0], r.Keys[PrefixKeys-1] = seed>>50%3, seed>>50%7
	return r
}

// worker makes requests; some give up waiting, some have deadlines.
func (c *crowd) worker(seed uint64, requests int) {
	granted := make(chan *Endpoint, 1)
	w := &Waiter{Notify: func(_ *Waiter, e *Endpoint) { granted <- e }}
	r := &Request{}
	for range requests {
		seed = nextRandom(seed)
		*r = c.prompt(seed)
		acquired := r
		e, result := c.balancer.Acquire(r)
		if result != Acquired {
			acquired, e = &w.Request, c.wait(w, granted, seed)
		}
		if e == nil {
			continue
		}
		if n := e.InFlight(); n < 1 || n > conservedLimit {
			c.t.Errorf("%s has %d in flight", e.Name, n)
		}
		if seed%3 == 0 {
			runtime.Gosched()
		}
		if n := e.PromptTokens(); n < 0 || n > conservedLimit*conservedTokens {
			c.t.Errorf("%s has %d prompt tokens outstanding", e.Name, n)
		}
		if seed%5 < 3 {
			c.balancer.Answered(acquired)
		}
		now := c.clock.Add(1)
		c.balancer.Release(e, acquired, Done{
			Started: r.Now, FirstByte: now, FirstToken: now, Now: now, Failed: seed%11 == 0, Busy: seed%13 == 0, Streamed: seed%2 == 0,
			Told: seed%7 < 5, PromptTokens: acquired.Tokens, CachedTokens: int64(seed >> 40 % 1000), OutputTokens: int64(seed >> 50 % 500),
		})
	}
}

func (c *crowd) wait(w *Waiter, granted chan *Endpoint, seed uint64) *Endpoint {
	c.tickets.Lock()
	c.ticket++
	w.Request = c.prompt(seed)
	w.Session = c.ticket
	w.Deadline = 0
	if seed%4 == 1 {
		w.Deadline = c.clock.Load() + int64(seed>>32%50)
	}
	ok := c.balancer.Enqueue(w)
	c.tickets.Unlock()
	if !ok {
		return nil
	}
	if seed%4 == 2 {
		runtime.Gosched()
		if c.balancer.Cancel(w) {
			return nil
		}
	}
	return <-granted
}

// signal lets endpoints say something of their load.
func (c *crowd) signal(all []*Endpoint, times int) {
	for i := range times {
		random, at := nextRandom(uint64(i)), c.clock.Load()
		s := &Signals{
			Running: Reading{float64(random % 20), at}, Blocks: Reading{float64(random >> 16 % 3000), at}, BlockSize: Reading{16, at},
			PrefixQueries: Reading{float64(random >> 32 % 9000), at}, PrefixHits: Reading{100, at},
		}
		s.InFlight = all[i%len(all)].InFlight()
		all[i%len(all)].SetSignals(s)
		runtime.Gosched()
	}
}

// churn replaces the snapshot by random subsets, sometimes by none, and in the end by all endpoints.
func (c *crowd) churn(all []*Endpoint, times int) {
	opts := Options{MaxInFlight: conservedLimit}
	for i := range times {
		var some []*Endpoint
		keep := nextRandom(uint64(i))
		for k, e := range all {
			if keep>>k&1 == 1 && keep>>32%8 != 0 {
				some = append(some, e)
			}
		}
		c.balancer.SetSnapshot(NewSnapshot(some, opts))
		if n := c.balancer.InFlight(); n < 0 {
			c.t.Errorf("%d in flight", n)
		}
		runtime.Gosched()
	}
	c.balancer.SetSnapshot(NewSnapshot(all, opts))
}

// Whatever happens at the same time, nothing is lost and nothing is counted twice: in the end all counters are 0. Everything runs
// in a bubble whose goroutines may not all be blocked at once, so that a lost wake-up fails at once instead of hanging.
func TestNothingIsLost(t *testing.T) {
	for _, name := range PolicyNames() {
		for _, churning := range []bool{false, true} {
			test := name
			if churning {
				test += ", changing endpoints"
			}
			t.Run(test, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { conserve(t, mustPolicy(t, name), churning) })
			})
		}
	}
}

func conserve(t *testing.T, p Policy, churning bool) {
	const workers, requests = 40, 300
	all := pool(6)
	c := &crowd{t: t, balancer: New(&orderPolicy{Policy: p, t: t})}
	c.balancer.SetQueue(workers / 2)
	c.balancer.SetSnapshot(NewSnapshot(all, Options{MaxInFlight: conservedLimit}))
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() { c.worker(uint64(i)<<20, requests) })
	}
	wait.Go(func() {
		for range requests {
			c.balancer.Expire(c.clock.Load())
			runtime.Gosched()
		}
	})
	wait.Go(func() { c.signal(all, requests) })
	if churning {
		wait.Go(func() { c.churn(all, requests) })
	}
	wait.Wait()
	if n := c.balancer.QueueLen(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	if n := c.balancer.InFlight(); n != 0 {
		t.Errorf("%d are still in flight", n)
	}
	for _, e := range all {
		if n := e.InFlight(); n != 0 {
			t.Errorf("%s still has %d in flight", e.Name, n)
		}
		if n := e.PromptTokens(); n != 0 {
			t.Errorf("%s still has %d prompt tokens outstanding", e.Name, n)
		}
	}
	if q := c.balancer.queue; q != (queue{}) {
		t.Errorf("the queue still links waiters: %+v", q)
	}
}
