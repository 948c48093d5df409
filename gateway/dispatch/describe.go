package dispatch

import (
	"math"

	"github.com/penstock/penstock/balancer"
)

// PoolDescription is a pool as it was at one time, ready to be shown as JSON. Counts are since the gateway's start.
type PoolDescription struct {
	Name        string `json:"name"`
	Policy      string `json:"policy"`
	Queued      int    `json:"queued"`
	InFlight    int    `json:"inFlight"`
	Outstanding int    `json:"outstanding"`
	// Ready is the number of endpoints that take picks.
	Ready int `json:"ready"`
	// Requests counts users' requests once, however often they were tried.
	Requests      int64                 `json:"requests"`
	Retries       int64                 `json:"retries"`
	RetriesDenied int64                 `json:"retriesDenied"`
	Endpoints     []EndpointDescription `json:"endpoints"`
}

// EndpointDescription is an endpoint as it was at one time, ready to be shown as JSON.
type EndpointDescription struct {
	// Of is the endpoint: while one drains, another may have its address.
	Of      *Endpoint `json:"-"`
	Address string    `json:"address"`
	Scheme  string    `json:"scheme"`
	State   string    `json:"state"`
	// Cause says why a probe found it unhealthy.
	Cause string `json:"cause,omitempty"`
	// Weight is its share in relation to other endpoints': its capacity, reduced while it starts slowly; 0 if it takes no picks.
	Weight   float64 `json:"weight"`
	InFlight int     `json:"inFlight"`
	// Requests counts attempts of users' requests, Mirrored those of copies.
	Requests int64 `json:"requests"`
	Mirrored int64 `json:"mirrored"`
	// Failures counts attempts that were not completed, by outcome; kinds that never occurred are left out.
	Failures map[string]int64 `json:"failures,omitempty"`
	// FailuresInRow is what ejection goes by.
	FailuresInRow int64 `json:"failuresInRow"`
	// BackPressure counts answers with status 429 or 503.
	BackPressure int64 `json:"backPressure"`
	Ejections    int64 `json:"ejections"`
	// LastCostMs is what the policy auto last took the endpoint's cost for a request to be, in ms: of those that it looks at, it picks the one
	// with the least. Left out where it has not looked at it.
	LastCostMs  float64  `json:"lastCostMs,omitempty"`
	LastFailure *Failure `json:"lastFailure,omitempty"`
	// Load is what the endpoint says of itself; absent where nothing was read.
	Load *LoadDescription `json:"load,omitempty"`
}

// Describe returns the pool as it is now.
func (p *Pool) Describe() PoolDescription {
	now, snapshot := Now(), p.balancer.Snapshot()
	weights := make(map[*balancer.Endpoint]float64, snapshot.Len())
	for i := range snapshot.Len() {
		weights[snapshot.At(i)] = snapshot.Weight(i, now)
	}
	d := PoolDescription{
		Name: p.Name, Policy: p.Config().Balance,
		Queued: p.QueueLen(), InFlight: p.InFlight(), Ready: snapshot.Len(),
		Requests: p.requests.Load(), Retries: p.retries.Load(), RetriesDenied: p.retriesDenied.Load(),
		Endpoints: []EndpointDescription{},
	}
	d.Outstanding = d.Queued + d.InFlight
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range [][]*Endpoint{p.endpoints, p.draining} {
		for _, e := range list {
			d.Endpoints = append(d.Endpoints, e.describe(weights[e.Balancer], now))
		}
	}
	return d
}

// describe returns the endpoint as it is. The pool's lock is held.
func (e *Endpoint) describe(weight float64, now int64) EndpointDescription {
	return EndpointDescription{
		Of: e, Address: e.Address, Scheme: e.Config.Scheme, State: e.State().String(), Cause: e.unhealthy,
		Weight: weight, InFlight: e.InFlight(), Requests: e.Requests(), Mirrored: e.Mirrored(),
		Failures: e.failureCounts(), FailuresInRow: e.Balancer.Failures.Load(),
		BackPressure: e.BackPressure(), Ejections: e.Ejections(), LastCostMs: milliseconds(e.Balancer.LastCost()),
		LastFailure: e.LastFailure(), Load: describeLoad(e.Signals(), now),
	}
}

// milliseconds returns what a number of seconds is in ms, to the microsecond; 0 for what JSON has no number for.
func milliseconds(seconds float64) float64 {
	us := math.Round(seconds * 1e6)
	if math.IsNaN(us) || math.IsInf(us, 0) {
		return 0
	}
	return us / 1e3
}

func (e *Endpoint) failureCounts() map[string]int64 {
	var counts map[string]int64
	for o := range e.failures {
		if n := e.failures[o].Load(); n > 0 {
			if counts == nil {
				counts = make(map[string]int64)
			}
			counts[Outcome(o).String()] = n
		}
	}
	return counts
}
