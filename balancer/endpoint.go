// Package balancer picks an endpoint for a request, counts what is in flight and queues what finds no room. It is pure: it
// has no clock, no goroutine and no global randomness; time and random numbers are passed in, so that the simulator runs
// this very code.
//
// A Balancer holds one pool: an immutable Snapshot of the endpoints that may be picked, a Policy that chooses among them, and
// a bounded first-in-first-out queue. Picking takes no lock and allocates nothing; only requests that wait meet a lock.
package balancer

import (
	"math"
	"sync/atomic"
)

// Endpoint is one replica, as one gateway knows it. Its counters live as long as the object: snapshots share it, and a request
// releases the object that it was picked from, so a flapping endpoint can never go negative. An endpoint belongs to one
// Balancer at a time. Make one with NewEndpoint.
//
// What picks read from every core stands on a cache line of its own, away from what hardly ever changes and away from other
// endpoints.
type Endpoint struct {
	// Name is the endpoint's ip:port, unique in its pool. It must not change.
	Name string
	// Data belongs to whoever made the endpoint; the balancer never looks at it.
	Data any

	hash      uint64        // Hash64 of Name
	capacity  atomic.Uint64 // bits of a float64
	startedAt atomic.Int64  // monotonic ns
	slowStart atomic.Int64  // ns; 0 is none

	// The second line of 64 bytes starts here.
	inFlight atomic.Int64
	// Failures counts failures in a row. It is kept here for passive ejection (package health), whose every success would
	// otherwise touch one more cache line; the balancer itself never looks at it.
	Failures atomic.Int64
	latency  atomic.Uint64 // see ewma
	signals  atomic.Pointer[Signals]
	tokens   atomic.Int64 // prompt tokens that are owed; see Request.charge
	held     atomic.Int64 // prompt tokens of the requests in flight
	_        [16]byte

	learned learned // by auto alone
}

// NewEndpoint returns an endpoint with capacity 1, no slow start and nothing in flight. Name is the endpoint's ip:port; data is
// the caller's.
func NewEndpoint(name string, data any) *Endpoint {
	e := &Endpoint{Name: name, Data: data, hash: HashString(name)}
	e.capacity.Store(math.Float64bits(1))
	return e
}

// InFlight returns how many requests were sent to the endpoint and have not finished.
func (e *Endpoint) InFlight() int64 { return e.inFlight.Load() }

// PromptTokens returns how many prompt tokens the endpoint has yet to compute: those of the requests that were sent to it and that it has
// not begun to answer, less what the policy took for cached.
func (e *Endpoint) PromptTokens() int64 { return e.tokens.Load() }

// HeldTokens returns how many prompt tokens the requests have that are in flight on the endpoint: what they take of its KV cache, but for
// what they generate and share.
func (e *Endpoint) HeldTokens() int64 { return e.held.Load() }

// LastCost returns the endpoint's cost, in seconds, when auto last looked at it for a request and noted it; 0 if it never did. Of the
// endpoints that it looks at, auto takes the one with the least.
func (e *Endpoint) LastCost() float64 { return e.learned.cost.at() }

// SetCapacity sets the endpoint's capacity weight: its share of a pool's load in proportion to the other endpoints'. It takes
// effect with the next NewSnapshot. A weight that is not a positive finite number counts as 1.
func (e *Endpoint) SetCapacity(weight float64) {
	if !(weight > 0) || math.IsInf(weight, 1) {
		weight = 1
	}
	e.capacity.Store(math.Float64bits(weight))
}

// Capacity returns the capacity weight, 1 unless SetCapacity changed it.
func (e *Endpoint) Capacity() float64 { return math.Float64frombits(e.capacity.Load()) }

// SetStartedAt begins a slow start: from now (monotonic ns) the endpoint's share ramps from 10 % to 100 % of its capacity over
// slowStart ns; 0 turns the ramp off. It takes effect with the next NewSnapshot, which is what lets a new or recovered endpoint
// into the pick anyway.
func (e *Endpoint) SetStartedAt(now, slowStart int64) {
	e.startedAt.Store(now)
	e.slowStart.Store(max(slowStart, 0))
}

// StartedAt returns the time that SetStartedAt was given, in monotonic ns; 0 if it never was.
func (e *Endpoint) StartedAt() int64 { return e.startedAt.Load() }

// Signals returns what the endpoint last said of its own load; nil if it never did.
func (e *Endpoint) Signals() *Signals { return e.signals.Load() }

// SetSignals replaces what the endpoint said of its own load; nil forgets it. s must not be changed afterwards.
func (e *Endpoint) SetSignals(s *Signals) {
	e.signals.Store(s)
	e.learned.read(s)
}

// ReplaceSignals is SetSignals, unless Signals are not old any more; it reports whether it did. Whoever changes a few readings uses it, so as
// not to bring back others that were read anew meanwhile.
func (e *Endpoint) ReplaceSignals(old, s *Signals) bool { return e.signals.CompareAndSwap(old, s) }

// take counts one request in flight unless that would exceed limit, and reports whether it did.
func (e *Endpoint) take(limit int64) bool {
	if limit == unlimited {
		e.inFlight.Add(1)
		return true
	}
	for {
		n := e.inFlight.Load()
		if n >= limit {
			return false
		}
		if e.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// drop takes back what take counted.
func (e *Endpoint) drop() {
	if e.inFlight.Add(-1) < 0 {
		panic("BUG: endpoint " + e.Name + " was released more often than it was acquired")
	}
}
