package simulate

import (
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/trace"
)

// TestTokensAreOwedUntilTheFirstToken, and held until the last.
func TestTokensAreOwedUntilTheFirstToken(t *testing.T) {
	w := newTestWorld(t, testOptions(t, even(1, 0, 1000, 50), 1, func(o *Options) { o.Policy, o.EstimateError = "least-tokens", 0 }))
	e := endpointsOf(w)[0]
	seen := make(map[[3]int64]bool)
	for w.step() {
		seen[[3]int64{e.InFlight(), e.PromptTokens(), e.HeldTokens()}] = true
	}
	for _, want := range [][3]int64{{1, 1000, 1000}, {1, 0, 1000}, {0, 0, 0}} {
		if !seen[want] {
			t.Errorf("the endpoint never had %d requests, %d tokens owed and %d held", want[0], want[1], want[2])
		}
	}
	if len(seen) != 3 {
		t.Errorf("the endpoint has had %v", seen)
	}
}

// listener notes what policies are told of requests that have ended.
type listener struct {
	balancer.Policy
	w    *world
	told map[*balancer.Request]int
	t    *testing.T
}

func (l *listener) Done(e *balancer.Endpoint, r *balancer.Request, d balancer.Done) {
	l.told[r]++
	f := l.w.flightOf[r]
	q := &l.w.o.Trace.Requests[f.index]
	o := &l.w.outcomes[f.index]
	network := int64(l.w.o.Network)
	switch {
	case d.Now != l.w.now || d.Started < o.Arrived || d.Busy:
		l.t.Errorf("request %d at %d: told %+v", f.index, l.w.now, d)
	case d.Failed:
		if d.Told || d.FirstToken != 0 || d.FirstByte != 0 {
			l.t.Errorf("request %d has failed: told %+v", f.index, d)
		}
	case !d.Told || !d.Streamed || d.PromptTokens != int64(q.PromptTokens) || d.OutputTokens != int64(q.OutputTokens) || d.CachedTokens != f.cached:
		l.t.Errorf("request %d of %d and %d tokens, %d cached: told %+v", f.index, q.PromptTokens, q.OutputTokens, f.cached, d)
	case d.FirstToken != o.FirstToken || d.FirstByte != d.Started+2*network || d.FirstToken <= d.FirstByte:
		// Model servers send the head of a stream before they begin, so it says nothing of them.
		l.t.Errorf("request %d, with its first token at %d: told %+v", f.index, o.FirstToken, d)
	}
	l.Policy.Done(e, r, d)
}

func TestPoliciesAreTold(t *testing.T) {
	load := trace.PrefixHeavy(30, 400, 1)
	w := newTestWorld(t, testOptions(t, load, 4, func(o *Options) {
		o.Network, o.StartTime = 3*time.Millisecond, 2*time.Second
		o.Changes = []Change{{At: 5 * time.Second, Kind: Kill}}
	}))
	g := w.gateways[0]
	p, err := balancer.NewPolicy("round-robin", balancer.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Policy: p, w: w, told: make(map[*balancer.Request]int), t: t}
	g.balancer.SetPolicy(l)
	w.run()
	told := 0
	for _, n := range l.told {
		told += n
	}
	if r := w.result(); r.Failed == 0 || told <= 400 { // some were refused first
		t.Errorf("%d requests have failed, %d attempts were told of", r.Failed, told)
	}
}
