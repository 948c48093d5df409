package twin_test

import (
	"slices"
	"sync"

	"github.com/penstock/penstock/balancer"
)

// event is something that a policy was told: exactly one field is set.
type event struct {
	actor   *string // a new endpoint's name
	cast    *cast   // a new snapshot
	signals *said
	pick    *pick
	done    *done
}

// cast is a snapshot: the numbers of its endpoints.
type cast struct {
	actors []int
	limit  int64
}

// said is what an endpoint said of its own load.
type said struct {
	actor   int
	signals *balancer.Signals
}

// inputs is what a policy sees of the endpoints, besides what they said.
type inputs struct {
	snapshot int
	counts   []counts // in the snapshot's order
	tried    []int
}

// outputs is what a policy decided: the endpoint (-1 is none), how much of the prompt it takes for not cached, and the cost that it saw there.
type outputs struct {
	chosen int
	owed   int64
	cost   float64
}

type pick struct {
	inputs
	request balancer.Request // as it was before
	outputs
}

// done is how a request went whose last pick was the so-manieth.
type done struct {
	pick, actor int
	done        balancer.Done
}

// recorder is a policy between a gateway and the policy that it is to have. That one sees the gateway's endpoints as they were at one moment
// before each pick. What it is told, and in which order, is recorded; it is told one thing at a time.
type recorder struct {
	mu        sync.Mutex
	stage     stage
	events    []event
	picks     int
	actors    map[*balancer.Endpoint]*actor
	signals   map[*balancer.Endpoint]*balancer.Signals
	snapshots map[*balancer.Snapshot]int
	last      map[*balancer.Request]int // the pick of each request that has an endpoint
}

func newRecorder(p balancer.Policy) *recorder {
	return &recorder{
		stage:  stage{policy: p},
		actors: make(map[*balancer.Endpoint]*actor), signals: make(map[*balancer.Endpoint]*balancer.Signals),
		snapshots: make(map[*balancer.Snapshot]int), last: make(map[*balancer.Request]int),
	}
}

// Pick lets the policy pick, and records what it saw.
func (p *recorder) Pick(s *balancer.Snapshot, r *balancer.Request) *balancer.Endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &pick{inputs: p.look(s, r), request: *r}
	k.request.Tried = nil
	k.outputs = p.stage.pick(&k.inputs, r)
	p.events = append(p.events, event{pick: k})
	p.picks++
	if k.chosen < 0 {
		return nil
	}
	p.last[r] = p.picks - 1
	for i := range s.Len() {
		if e := s.At(i); p.actors[e].number == k.chosen {
			return e
		}
	}
	panic("BUG: a policy picked an endpoint that it was not offered")
}

// look brings the stage up to date but for the counts, and returns what the policy is to see.
func (p *recorder) look(s *balancer.Snapshot, r *balancer.Request) inputs {
	in := inputs{snapshot: p.snapshot(s), counts: make([]counts, s.Len())}
	for i := range s.Len() {
		e := s.At(i)
		in.counts[i] = read(e)
		if signals := e.Signals(); signals != p.signals[e] {
			p.signals[e] = signals
			a := p.actors[e]
			a.endpoint.SetSignals(signals)
			p.events = append(p.events, event{signals: &said{a.number, signals}})
		}
	}
	for _, e := range r.Tried {
		in.tried = append(in.tried, p.actors[e].number)
	}
	return in
}

// snapshot returns the number of a snapshot. One that is replaced may be picked from for a moment more.
func (p *recorder) snapshot(s *balancer.Snapshot) int {
	if n, ok := p.snapshots[s]; ok {
		return n
	}
	c := &cast{limit: s.MaxInFlight()}
	for i := range s.Len() {
		e := s.At(i)
		a := p.actors[e]
		if a == nil {
			a = p.stage.addActor(e.Name)
			p.actors[e] = a
			p.events = append(p.events, event{actor: &e.Name})
		}
		c.actors = append(c.actors, a.number)
	}
	p.stage.addSnapshot(c)
	p.events = append(p.events, event{cast: c})
	p.snapshots[s] = len(p.snapshots)
	return p.snapshots[s]
}

// Done tells the policy, and records it.
func (p *recorder) Done(e *balancer.Endpoint, r *balancer.Request, d balancer.Done) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.actors[e]
	p.events = append(p.events, event{done: &done{p.last[r], a.number, d}})
	p.stage.policy.Done(a.endpoint, r, d)
}

// recording returns what was recorded so far.
func (p *recorder) recording() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.events)
}

// replay tells another policy the same, and returns what it decided. What change does to a copy of an event, or leaves out by returning false,
// is how the two differ; nil is no change.
func replay(events []event, policy balancer.Policy, change func(*event) bool) []outputs {
	s := stage{policy: policy}
	var all []outputs
	var requests []*balancer.Request
	for _, e := range events {
		if change != nil && !change(&e) {
			continue
		}
		switch {
		case e.actor != nil:
			s.addActor(*e.actor)
		case e.cast != nil:
			s.addSnapshot(e.cast)
		case e.signals != nil:
			s.actors[e.signals.actor].endpoint.SetSignals(e.signals.signals)
		case e.pick != nil:
			r := e.pick.request
			requests = append(requests, &r)
			all = append(all, s.pick(&e.pick.inputs, &r))
		case e.done != nil:
			policy.Done(s.actors[e.done.actor].endpoint, requests[e.done.pick], e.done.done)
		}
	}
	return all
}

// recorded is what the policy decided that was recorded.
func recorded(events []event) (all []outputs) {
	for _, e := range events {
		if e.pick != nil {
			all = append(all, e.pick.outputs)
		}
	}
	return all
}

// lastChosen is the name of the endpoint that was picked last; empty if that was none.
func lastChosen(events []event) string {
	var names []string
	last := -1
	for _, e := range events {
		switch {
		case e.actor != nil:
			names = append(names, *e.actor)
		case e.pick != nil:
			last = e.pick.chosen
		}
	}
	if last < 0 {
		return ""
	}
	return names[last]
}

// differ counts the picks that went elsewhere, and those of which anything else differs.
func differ(a, b []outputs) (elsewhere, otherwise int) {
	for i := range a {
		switch {
		case a[i].chosen != b[i].chosen:
			elsewhere++
		case a[i] != b[i]:
			otherwise++
		}
	}
	return elsewhere, otherwise
}

// withoutCounts is the pick with nothing in flight anywhere.
func withoutCounts(k *pick) *pick {
	idle := *k
	idle.counts = slices.Clone(k.counts)
	clear(idle.counts)
	return &idle
}
