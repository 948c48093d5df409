package dispatch

// Pool is the replicas that serve one model version.
type Pool struct {
	// Name is the pool's name in the configuration.
	Name string
}

// Endpoints returns the pool's endpoints, draining ones included, sorted by address.
func (p *Pool) Endpoints() []*Endpoint { return nil }

// QueueLen is the number of requests that wait for an endpoint.
func (p *Pool) QueueLen() int { return 0 }

// InFlight is the number of requests that were sent to an endpoint and whose response is not finished.
func (p *Pool) InFlight() int { return 0 }

// Outstanding is QueueLen and InFlight together.
func (p *Pool) Outstanding() int { return 0 }
