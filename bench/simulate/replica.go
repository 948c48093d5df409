package simulate

import (
	"fmt"
	"time"

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
	underway int   // requests that were sent to it and whose end the gateways do not know yet
	madeAt   int64
	stopAt   int64 // when it stopped, if it is dead
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
	r := &replica{
		number: n, name: w.nameOf(n), group: group, engine: e,
		next: engine.Never, place: -1, madeAt: w.now,
	}
	w.replicas = append(w.replicas, r)
	return r, nil
}

// nameOf is the address of replica n. Which prompts a replica owns depends on it, so each seed has others.
func (w *world) nameOf(n int) string {
	a := (n + int(mix(w.o.Seed)&0xffffff)) & 0xffffff
	return fmt.Sprintf("10.%d.%d.%d:8000", a>>16, a>>8&255, a&255)
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
			w.publish()
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
		w.publish()
		w.maybeStop(r)
	}
}

// maybeStop stops a draining replica that has nothing to do any more.
func (w *world) maybeStop(r *replica) {
	if r.state != replicaDraining || r.underway > 0 {
		return
	}
	r.state, r.stopAt = replicaDead, w.now
	w.forget(r)
	if r.successor {
		w.start(r.group, w.o.StartTime)
	}
}

// kill ends r at once, with all that it was doing. Gateways notice after a while; another replica starts in its place, unless r was to go
// without one.
func (w *world) kill(r *replica) {
	if r.state == replicaDead {
		return
	}
	replaced := r.state != replicaDraining || r.successor
	r.state, r.unnoticed, r.stopAt = replicaDead, r.state == replicaReady, w.now
	w.engines.update(r, engine.Never)
	for i := range w.flights {
		if f := w.flights[i]; f != nil && f.replica == r {
			w.flights[i] = nil
			w.toGateway.push(message{at: w.now + int64(w.o.Network), flight: f, kind: broken})
		}
	}
	w.events.push(w.now+int64(w.o.Detection), func(w *world) {
		r.unnoticed = false
		w.publish()
		w.forget(r)
	})
	if replaced {
		w.start(r.group, w.o.StartTime)
	}
}

// forget lets gateways drop what they know of r.
func (w *world) forget(r *replica) {
	for _, g := range w.gateways {
		delete(g.endpoints, r)
	}
}
