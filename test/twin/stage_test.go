package twin_test

import (
	"fmt"

	"github.com/penstock/penstock/balancer"
)

// stage lets a policy pick among endpoints that nobody else uses, so that all it reads stays as it was set until it has picked. A policy that
// reads a live gateway's endpoints does so while other requests change them, and no list of inputs could say what it has read.
type stage struct {
	policy    balancer.Policy
	actors    []*actor
	snapshots []*balancer.Snapshot
}

// actor is an endpoint on the stage.
type actor struct {
	endpoint *balancer.Endpoint
	number   int
	balancer *balancer.Balancer // of this endpoint alone, by which its counts are set
	tokens   balancer.Request   // has all that the endpoint owes and holds
	others   []*balancer.Request
	counts   counts
}

// counts is what a policy reads of an endpoint that requests change.
type counts struct{ inFlight, owed, held int64 }

// read reads the counts of an endpoint that others use. They change meanwhile, so they need not fit together; what never can be is put right.
func read(e *balancer.Endpoint) counts {
	c := counts{inFlight: e.InFlight(), owed: e.PromptTokens(), held: e.HeldTokens()}
	c.owed = min(c.owed, c.held)
	if c.held > 0 {
		c.inFlight = max(c.inFlight, 1)
	}
	return c
}

// only is a policy with one endpoint to choose from.
type only struct{ owed int64 }

func (o *only) Pick(s *balancer.Snapshot, r *balancer.Request) *balancer.Endpoint {
	r.Owed = o.owed
	return s.At(0)
}
func (*only) Done(*balancer.Endpoint, *balancer.Request, balancer.Done) {}

// addActor adds the next endpoint.
func (s *stage) addActor(name string) *actor {
	a := &actor{number: len(s.actors)}
	a.endpoint = balancer.NewEndpoint(name, a)
	a.balancer = balancer.New(&only{})
	a.balancer.SetSnapshot(balancer.NewSnapshot([]*balancer.Endpoint{a.endpoint}, balancer.Options{}))
	s.actors = append(s.actors, a)
	return a
}

// addSnapshot adds the next set of endpoints that may be picked.
func (s *stage) addSnapshot(c *cast) {
	endpoints := make([]*balancer.Endpoint, len(c.actors))
	for i, number := range c.actors {
		endpoints[i] = s.actors[number].endpoint
	}
	s.snapshots = append(s.snapshots, balancer.NewSnapshot(endpoints, balancer.Options{MaxInFlight: c.limit}))
}

// set gives the endpoint the counts of another one.
func (a *actor) set(c counts) {
	if a.counts == c {
		return
	}
	if a.counts.held > 0 {
		a.balancer.Release(a.endpoint, &a.tokens, balancer.Done{})
	}
	for _, r := range a.others {
		a.balancer.Release(a.endpoint, r, balancer.Done{})
	}
	a.others, a.counts = a.others[:0], c
	if c.held > 0 {
		a.tokens = balancer.Request{Tokens: c.held}
		a.balancer.SetPolicy(&only{owed: c.owed})
		a.balancer.Acquire(&a.tokens)
		c.inFlight--
	}
	for range c.inFlight {
		r := new(balancer.Request)
		a.balancer.Acquire(r)
		a.others = append(a.others, r)
	}
	if got := read(a.endpoint); got != a.counts {
		panic(fmt.Sprintf("BUG: an endpoint that was to have %+v has %+v", a.counts, got))
	}
}

// pick sets what the policy is to see, and lets it pick for r.
func (s *stage) pick(in *inputs, r *balancer.Request) (out outputs) {
	snapshot := s.snapshots[in.snapshot]
	for i, c := range in.counts {
		snapshot.At(i).Data.(*actor).set(c)
	}
	tried := r.Tried
	r.Tried = nil
	for _, number := range in.tried {
		r.Tried = append(r.Tried, s.actors[number].endpoint)
	}
	r.Owed = r.Tokens // as the Balancer does
	e := s.policy.Pick(snapshot, r)
	r.Tried = tried
	out = outputs{chosen: -1, owed: r.Owed}
	if e != nil {
		out.chosen, out.cost = e.Data.(*actor).number, e.LastCost()
	}
	return out
}
