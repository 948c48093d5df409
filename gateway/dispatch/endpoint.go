package dispatch

import (
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/balancer"
)

// State says whether an endpoint takes picks.
type State uint32

const (
	// Ready endpoints take picks.
	Ready State = iota
	// Unhealthy endpoints failed their active probe, or have not passed their first one.
	Unhealthy
	// Ejected endpoints failed requests and are out of the pick for a time.
	Ejected
	// NotReady endpoints are there, but say that they cannot serve: their model is still loading, for example.
	NotReady
	// Draining endpoints were removed or are being deleted; their in-flight requests finish. The latter still get requests where no other
	// endpoint of the pool can.
	Draining

	states = int(Draining) + 1
)

var stateNames = [states]string{Ready: "ready", Unhealthy: "unhealthy", Ejected: "ejected", NotReady: "not-ready", Draining: "draining"}

// String returns the state as metrics and logs name it.
func (s State) String() string { return stateNames[s] }

// Endpoint is one replica of a pool. It keeps its counters for as long as the pool has it under the same address, scheme and
// connection settings; if it comes back before it has drained, it goes on as the same.
type Endpoint struct {
	// Balancer is the endpoint as the balancer knows it.
	Balancer *balancer.Endpoint
	// Address is the host:port that is dialled.
	Address string
	// Config is how the endpoint is connected to, for probes and the like. It must not be changed.
	Config EndpointConfig
	// Upstream is the engine's connection pool.
	Upstream Upstream

	key   endpointKey
	state atomic.Uint32
	left  atomic.Bool // the pool no longer has it

	// Guarded by the pool's lock.
	settings  *settings // that the pool last had it under
	condition Condition
	candidate bool   // it could be picked, but for ejection
	unhealthy string // what the active probe found; empty while it is healthy
	ejected   bool
	fresh     bool // it has not been ready yet
	closed    bool

	// begun and ended count requests that captured and released the endpoint, mirror copies among them: no more are underway when
	// they are equal. The balancer's own count is no measure for this, as it goes up for a moment with picks that are handed back.
	begun atomic.Int64
	ended atomic.Int64

	handedBack   atomic.Int64 // captures among begun that found the endpoint draining, so that nothing was sent
	mirrored     atomic.Int64 // mirror copies among begun
	backPressure atomic.Int64
	ejections    atomic.Int64
	failures     [outcomes]atomic.Int64
	lastFailure  atomic.Pointer[Failure]
}

// Failure is the last failure of an endpoint.
type Failure struct {
	// Time is the wall clock's when it happened.
	Time time.Time `json:"time"`
	// Cause is an Outcome's name, or what a probe found.
	Cause string `json:"cause"`
}

// State says whether the endpoint takes picks.
func (e *Endpoint) State() State { return State(e.state.Load()) }

// ID tells the endpoint from others that have or had its address; see Member.
func (e *Endpoint) ID() string { return e.key.id }

// InFlight is the number of requests, mirror copies among them, that were sent to the endpoint and whose response is not finished.
func (e *Endpoint) InFlight() int { return int(e.Balancer.InFlight()) }

// Requests is the number of requests that were ever sent to the endpoint, retries included and mirror copies not.
func (e *Endpoint) Requests() int64 { return e.begun.Load() - e.handedBack.Load() - e.mirrored.Load() }

// Mirrored is the number of mirror copies that were ever sent to the endpoint.
func (e *Endpoint) Mirrored() int64 { return e.mirrored.Load() }

// Failures is the number of attempts that ended as o on the endpoint. Completed attempts are not counted.
func (e *Endpoint) Failures(o Outcome) int64 { return e.failures[o].Load() }

// BackPressure is the number of requests that the endpoint answered with 429 or 503: it is not at fault, but has enough to do.
func (e *Endpoint) BackPressure() int64 { return e.backPressure.Load() }

// Ejections is how often the endpoint was ejected.
func (e *Endpoint) Ejections() int64 { return e.ejections.Load() }

// Signals is what the endpoint last said of its own load; nil if nothing was read of it.
func (e *Endpoint) Signals() *balancer.Signals { return e.Balancer.Signals() }

// LastFailure is the last failure, be it of a request or of a probe; nil if there was none.
func (e *Endpoint) LastFailure() *Failure { return e.lastFailure.Load() }

func (e *Endpoint) failed(cause string) {
	e.lastFailure.Store(&Failure{Time: time.Now(), Cause: cause})
}

// isIdle reports whether no exchange holds the endpoint. ended is read first: it never overtakes begun.
func (e *Endpoint) isIdle() bool {
	ended := e.ended.Load()
	return e.begun.Load() == ended
}
