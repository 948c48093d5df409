package dispatch

import "github.com/penstock/penstock/balancer"

// State says whether an endpoint takes picks, and if not, why.
type State uint32

const (
	// Ready endpoints take picks.
	Ready State = iota
	// Unhealthy endpoints failed their active probe.
	Unhealthy
	// Ejected endpoints failed requests and are out of the pick for a time.
	Ejected
	// Draining endpoints were removed; their in-flight requests finish.
	Draining
)

var stateNames = [...]string{Ready: "ready", Unhealthy: "unhealthy", Ejected: "ejected", Draining: "draining"}

// String returns the state as metrics and logs name it.
func (s State) String() string { return stateNames[s] }

// Endpoint is one replica of a pool.
type Endpoint struct {
	// Balancer is the endpoint as the balancer knows it.
	Balancer *balancer.Endpoint
	// Address is the host:port that is dialled.
	Address string
	// Upstream is the engine's connection pool.
	Upstream Upstream
}

// State says whether the endpoint takes picks.
func (e *Endpoint) State() State { return Ready }
