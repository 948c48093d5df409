package simulate

import (
	"fmt"
	"math/rand/v2"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/engine"
)

// Run plays the trace to its end and says how it went. It fails only for options that make no sense.
func Run(o Options) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	w, err := newWorld(&o)
	if err != nil {
		return nil, err
	}
	w.run()
	return w.result(), nil
}

// world is a run in progress.
type world struct {
	o           *Options
	blockTokens int
	now         int64
	random      *rand.Rand
	policy      policyMaker
	readsPrompt bool // the policy does

	outcomes []Outcome // of each of the trace's requests
	arrived  int       // requests that have come
	open     int       // requests that have come and not ended
	gateways []*gateway
	flights  []*flight  // by request, those that a replica has
	replicas []*replica // all that ever were, by number
	scale    scaler
	peak     int // the most replicas that were ready at once

	// What happens next is the earliest of these; of the same time, what stands first here, and the next arrival last.
	engines   engineHeap
	toGateway fifo // answers underway to a gateway
	toReplica fifo // requests underway to a replica
	events    eventHeap

	flightOf   map[*balancer.Request]*flight // all that were ever made: they are used again
	freeFlight *flight
	estimate   rand.PCG   // begun anew for each request
	estimates  *rand.Rand // of it
}

func newWorld(o *Options) (*world, error) {
	policy, err := lookupPolicy(o.Policy)
	if err != nil {
		return nil, err
	}
	w := &world{
		o: o, blockTokens: o.Trace.BlockTokens, random: rand.New(rand.NewPCG(o.Seed, 0x70656e73746f636b)),
		policy: policy, readsPrompt: readsPrompts(o.Policy),
		outcomes: make([]Outcome, len(o.Trace.Requests)), flights: make([]*flight, len(o.Trace.Requests)),
		flightOf: make(map[*balancer.Request]*flight),
	}
	w.estimates = rand.New(&w.estimate)
	for range o.Gateways {
		g, err := newGateway(w)
		if err != nil {
			return nil, err
		}
		w.gateways = append(w.gateways, g)
	}
	for i := range o.Fleet {
		for range o.Fleet[i].Replicas {
			r, err := w.newReplica(&o.Fleet[i])
			if err != nil {
				return nil, err
			}
			r.state = replicaReady
		}
	}
	w.publish()
	w.scheduleChanges()
	w.scale.begin(w)
	return w, nil
}

// run lets everything happen, in order of time, until every request has ended.
func (w *world) run() {
	for w.step() {
	}
}

// step lets the next thing happen. It returns false when every request has ended.
func (w *world) step() bool {
	if w.arrived == len(w.o.Trace.Requests) && w.open == 0 {
		return false
	}
	at, source := w.next()
	w.now = at
	switch source {
	case fromEngines:
		w.stepEngine()
	case fromToGateway:
		w.receive(w.toGateway.pop())
	case fromToReplica:
		w.deliver(w.toReplica.pop())
	case fromEvents:
		e := w.events.pop()
		e.do(w)
	case fromArrivals:
		w.arrive()
	default:
		panic(fmt.Sprintf("BUG: the simulation has stopped with %d requests open", w.open))
	}
	return true
}

type source uint8

const (
	noSource source = iota
	fromEngines
	fromToGateway
	fromToReplica
	fromEvents
	fromArrivals
)

// next returns when something happens next, and where. Answers come before requests of the same time, so that what is free is known.
func (w *world) next() (at int64, from source) {
	at = engine.Never
	consider := func(t int64, s source) {
		if t < at {
			at, from = t, s
		}
	}
	consider(w.engines.earliest(), fromEngines)
	consider(w.toGateway.earliest(), fromToGateway)
	consider(w.toReplica.earliest(), fromToReplica)
	consider(w.events.earliest(), fromEvents)
	if w.arrived < len(w.o.Trace.Requests) {
		consider(int64(w.o.Trace.Requests[w.arrived].At), fromArrivals)
	}
	return at, from
}

// arrive hands the next request to one of the gateways.
func (w *world) arrive() {
	i := w.arrived
	w.arrived++
	w.open++
	w.outcomes[i] = Outcome{Arrived: w.now}
	w.gateways[w.random.IntN(len(w.gateways))].accept(i)
}

// stepEngine lets the engine whose step ends first go on.
func (w *world) stepEngine() {
	r := w.engines.top()
	next, events := r.engine.Step(w.now)
	for i := range events {
		e := &events[i]
		f := w.flights[e.ID]
		f.cached = int64(e.CachedTokens)
		if e.First {
			w.toGateway.push(message{at: e.At + int64(w.o.Network), flight: f, kind: firstToken})
		}
		if e.Last {
			w.flights[e.ID] = nil
			w.toGateway.push(message{at: e.At + int64(w.o.Network), flight: f, kind: lastToken})
		}
	}
	w.engines.update(r, next)
}

// deliver hands a request that has travelled to its replica.
func (w *world) deliver(m message) {
	f, r := m.flight, m.flight.replica
	if r.state == replicaDead {
		w.toGateway.push(message{at: w.now + int64(w.o.Network), flight: f, kind: refused})
		return
	}
	q := &w.o.Trace.Requests[f.index]
	err := r.engine.Submit(w.now, engine.Request{ID: uint64(f.index), PromptTokens: q.PromptTokens, MaxTokens: q.OutputTokens, Blocks: q.Blocks})
	if err != nil { // longer than the KV cache
		w.toGateway.push(message{at: w.now + int64(w.o.Network), flight: f, kind: rejected})
		return
	}
	w.flights[f.index] = f
	w.engines.update(r, r.engine.Next())
}

// receive hands what a replica sent to the gateway that asked.
func (w *world) receive(m message) {
	f := m.flight
	switch m.kind {
	case firstToken:
		f.gateway.answered(f)
	case lastToken:
		f.gateway.finished(f)
	case refused:
		f.gateway.refused(f)
	case broken, rejected:
		f.gateway.failed(f, m.kind == broken)
	}
}
