package simulate

import (
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/trace"
)

const second = int64(time.Second)

// testProfile is the engine of most tests.
func testProfile(t testing.TB) engine.Profile {
	t.Helper()
	p, err := engine.LookupProfile(engine.DefaultProfile)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testOptions are those of a fleet of testProfile with a load.
func testOptions(t testing.TB, load *trace.Trace, replicas int, change func(o *Options)) Options {
	t.Helper()
	o := Default()
	o.Trace = load
	o.Fleet = []Group{{Engine: engine.Config{Profile: testProfile(t)}, Replicas: replicas}}
	if change != nil {
		change(&o)
	}
	return o
}

func newTestWorld(t testing.TB, o Options) *world {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(&o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// simulate runs the options and checks what must hold of every run.
func simulate(t testing.TB, o Options) (*world, *Result) {
	t.Helper()
	w := newTestWorld(t, o)
	check := newConservation(w)
	for w.step() {
		check.watch()
	}
	result := w.result()
	check.atEnd(t, result)
	return w, result
}

// even is a load of equal requests at equal intervals, without anything in common.
func even(requests int, every time.Duration, prompt, output int) *trace.Trace {
	load := &trace.Trace{Name: "even", BlockTokens: 16}
	for i := range requests {
		load.Requests = append(load.Requests, trace.Request{At: time.Duration(i) * every, PromptTokens: prompt, OutputTokens: output})
	}
	return load
}

// beginning names n blocks; those of the same name are equal as far as both go.
func beginning(name, n int) []uint64 {
	blocks := make([]uint64, n)
	for i := range blocks {
		blocks[i] = uint64(name)<<32 | uint64(i+1)
	}
	return blocks
}

// endings counts how requests ended.
func endings(r *Result) map[Ending]int {
	counts := make(map[Ending]int)
	for i := range r.Outcomes {
		counts[r.Outcomes[i].Ending]++
	}
	return counts
}

// conservation looks on while a world goes round, and counts at the end what must not get lost.
type conservation struct {
	w         *world
	snapshots []*balancer.Snapshot
	endpoints map[*balancer.Endpoint]bool // all that ever were
}

func newConservation(w *world) *conservation {
	return &conservation{w: w, snapshots: make([]*balancer.Snapshot, len(w.gateways)), endpoints: make(map[*balancer.Endpoint]bool)}
}

// watch notes endpoints that are new.
func (c *conservation) watch() {
	for i, g := range c.w.gateways {
		s := g.balancer.Snapshot()
		if s == c.snapshots[i] {
			continue
		}
		c.snapshots[i] = s
		for k := range s.Len() {
			c.endpoints[s.At(k)] = true
		}
	}
}

func (c *conservation) atEnd(t testing.TB, r *Result) {
	t.Helper()
	c.checkRequests(t, r)
	c.checkBalancers(t)
	c.checkEngines(t, r)
}

func (c *conservation) checkRequests(t testing.TB, r *Result) {
	t.Helper()
	w := c.w
	if w.arrived != len(w.o.Trace.Requests) || w.open != 0 || w.toGateway.size != 0 || w.toReplica.size != 0 {
		t.Fatalf("at the end %d of %d requests have come, %d are open, %d and %d messages are underway",
			w.arrived, len(w.o.Trace.Requests), w.open, w.toReplica.size, w.toGateway.size)
	}
	free := make(map[*flight]bool)
	for f := w.freeFlight; f != nil; f = f.nextFree {
		if free[f] {
			t.Fatal("a request has ended twice")
		}
		free[f] = true
	}
	if len(free) != len(w.flightOf) {
		t.Fatalf("%d of %d flights have ended", len(free), len(w.flightOf))
	}
	for i := range r.Outcomes {
		o, q := &r.Outcomes[i], &w.o.Trace.Requests[i]
		if o.Arrived != int64(q.At) || o.Ended < o.Arrived || w.flights[i] != nil {
			t.Fatalf("request %d, which comes at %d, has %+v", i, q.At, *o)
		}
		if least := o.Arrived + 2*int64(w.o.Network); o.Ending == Completed && (o.FirstToken <= least || o.FirstToken > o.Ended) {
			t.Fatalf("request %d has completed with %+v", i, *o)
		}
	}
}

func (c *conservation) checkBalancers(t testing.TB) {
	t.Helper()
	for i, g := range c.w.gateways {
		if n, queued := g.balancer.InFlight(), g.balancer.QueueLen(); n != 0 || queued != 0 {
			t.Fatalf("gateway %d has %d requests in flight and %d in the queue", i, n, queued)
		}
	}
	for e := range c.endpoints {
		if e.InFlight() != 0 || e.PromptTokens() != 0 || e.HeldTokens() != 0 {
			t.Fatalf("endpoint %s has %d requests in flight, %d tokens owed and %d held", e.Name, e.InFlight(), e.PromptTokens(), e.HeldTokens())
		}
	}
}

// checkEngines holds what engines count against what gateways saw.
func (c *conservation) checkEngines(t testing.TB, r *Result) {
	t.Helper()
	var all engine.Stats
	left := 0 // requests that died with their replica
	for _, p := range c.w.replicas {
		s := p.engine.Stats()
		all.Finished += s.Finished
		all.PromptTokens += s.PromptTokens
		all.GenerationTokens += s.GenerationTokens
		all.PrefixHits += s.PrefixHits
		n := s.Running + s.Waiting + s.Arriving
		left += n
		if p.underway != 0 || p.state != replicaDead && (n != 0 || p.next != engine.Never || s.KVUsage != 0) {
			t.Fatalf("replica %d has %d requests, %d are underway, its next step is at %d: %+v", p.number, n, p.underway, p.next, s)
		}
	}
	completed, prompt, output, cached := int64(0), int64(0), int64(0), int64(0)
	for i := range r.Outcomes {
		if r.Outcomes[i].Ending == Completed {
			completed++
			prompt += int64(c.w.o.Trace.Requests[i].PromptTokens)
			output += int64(c.w.o.Trace.Requests[i].OutputTokens)
			cached += int64(r.Outcomes[i].CachedTokens)
		}
	}
	if all.Finished != completed || left > r.Failed {
		t.Fatalf("engines have finished %d requests and lost %d; %d have completed and %d failed", all.Finished, left, completed, r.Failed)
	}
	// What a replica died over may have been computed in part.
	if all.PromptTokens < prompt || all.GenerationTokens < output || all.PrefixHits < cached {
		t.Fatalf("engines count %+v, gateways %d, %d and %d tokens", all, prompt, output, cached)
	}
	if left == 0 && (all.PromptTokens != prompt || all.GenerationTokens != output || all.PrefixHits != cached) {
		t.Fatalf("engines count %+v, gateways %d, %d and %d tokens", all, prompt, output, cached)
	}
}
