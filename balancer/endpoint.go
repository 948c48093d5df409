// Package balancer picks an endpoint for a request. It is pure: it has no clock, no goroutine and no global randomness;
// time and random numbers are passed in, so that the simulator runs this very code.
package balancer

import "sync/atomic"

// Endpoint is one replica, as one gateway knows it. Its counters live as long as the object: snapshots share it, and a request
// releases the object that it was picked from, so a flapping endpoint can never go negative.
type Endpoint struct {
	// Name is the endpoint's ip:port, unique in its pool.
	Name string
	// Data belongs to whoever made the endpoint; the balancer never looks at it.
	Data any

	inFlight atomic.Int64
}
