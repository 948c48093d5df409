package simulate

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/engine"
)

// replica is one model server.
type replica struct {
	number int
	name   string
	group  *Group
	engine *engine.Engine
	state  replicaState
	// unnoticed says that gateways still take a dead replica for a ready one.
	unnoticed bool
	// successor replaces a draining replica when it has stopped.
	successor bool

	next     int64 // of the engine
	place    int   // in the heap of engines; -1 is none
	flights  int   // requests that it has
	underway int   // requests that were sent to it and whose end the gateways do not know yet
	served   int64 // requests that ever reached it
	madeAt   int64
	stopAt   int64 // when it stopped; 0 if it has not
}

type replicaState uint8

const (
	replicaStarting replicaState = iota
	replicaReady
	replicaDraining // takes no picks, and stops when all it has is done
	replicaDead
)

func (w *world) newReplica(group *Group) (*replica, error) {
	e, err := engine.New(w.o.engineConfig(group))
	if err != nil {
		return nil, err
	}
	n := len(w.replicas)
	r := &replica{number: n, name: fmt.Sprintf("10.%d.%d.%d:8000", n>>16&255, n>>8&255, n&255), group: group, engine: e, next: engine.Never, place: -1, madeAt: w.now}
	w.replicas = append(w.replicas, r)
	return r, nil
}

// start adds a replica that will be ready in a while.
func (w *world) start(group *Group, delay time.Duration) *replica {
	r, err := w.newReplica(group)
	if err != nil {
		panic("BUG: an engine that was fine at first is not: " + err.Error())
	}
	w.events.push(w.now+int64(delay), func(w *world) {
		if r.state == replicaStarting {
			r.state = replicaReady
			w.publish(true)
		}
	})
	return r
}

// drain takes r out of the pick; it stops when its last request has ended.
func (w *world) drain(r *replica, replace bool) {
	switch r.state {
	case replicaStarting:
		r.state, r.stopAt = replicaDead, w.now
	case replicaReady:
		r.state, r.successor = replicaDraining, replace
		w.publish(false)
		w.maybeStop(r)
	}
}

// maybeStop stops a draining replica that has nothing to do any more.
func (w *world) maybeStop(r *replica) {
	if r.state != replicaDraining || r.flights > 0 || r.underway > 0 {
		return
	}
	r.state, r.stopAt = replicaDead, w.now
	w.forget(r)
	if r.successor {
		w.start(r.group, w.o.StartTime)
	}
}

// kill ends r at once, with all that it was doing. Gateways notice after a while; another replica starts in its place.
func (w *world) kill(r *replica) {
	if r.state == replicaDead {
		return
	}
	wasReady := r.state == replicaReady
	r.state, r.unnoticed, r.stopAt = replicaDead, wasReady, w.now
	w.engines.update(r, engine.Never)
	for i := range w.flights {
		if f := w.flights[i]; f != nil && f.replica == r {
			w.flights[i] = nil
			w.toGateway.push(message{at: w.now + int64(w.o.Network), flight: f, kind: broken})
		}
	}
	r.flights = 0
	w.events.push(w.now+int64(w.o.Detection), func(w *world) {
		r.unnoticed = false
		w.publish(false)
		w.forget(r)
	})
	w.start(r.group, w.o.StartTime)
}

// forget lets gateways drop what they know of r.
func (w *world) forget(r *replica) {
	for _, g := range w.gateways {
		delete(g.endpoints, r)
	}
}

// poll reads r's metrics at intervals, beginning at a random time, for as long as the gateway knows it.
func (g *gateway) poll(r *replica, e *balancer.Endpoint) {
	w := g.w
	if w.o.PollInterval <= 0 {
		return
	}
	var history struct {
		stats engine.Stats
		at    int64
	}
	var read func(w *world)
	read = func(w *world) {
		if g.endpoints[r] != e {
			return
		}
		w.events.push(w.now+int64(w.o.PollInterval), read)
		if r.state == replicaDead || w.o.PollLoss > 0 && w.random.Float64() < w.o.PollLoss {
			return
		}
		stats := r.engine.Stats()
		reading := func(v float64) balancer.Reading { return balancer.Reading{Value: v, At: w.now + 1} }
		s := &balancer.Signals{
			Waiting: reading(float64(stats.Waiting)), Running: reading(float64(stats.Running)), KVCache: reading(stats.KVUsage),
			BlockSize: reading(float64(w.blockTokens)), Blocks: reading(float64(r.engine.Config().KVTokens / w.blockTokens)),
			InFlight: e.InFlight(),
		}
		if history.at != 0 {
			seconds := float64(w.now-history.at) / 1e9
			s.PrefixHits = reading(float64(stats.PrefixHits-history.stats.PrefixHits) / seconds)
			s.PrefixQueries = reading(float64(stats.PrefixQueries-history.stats.PrefixQueries) / seconds)
		}
		history.stats, history.at = stats, w.now
		e.SetSignals(s)
	}
	w.events.push(w.now+w.random.Int64N(int64(w.o.PollInterval)), read)
}
