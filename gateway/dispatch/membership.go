package dispatch

import (
	"math"
	"slices"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
)

// configure makes s the pool's settings. A pool that was removed comes back to life.
func (p *Pool) configure(s *settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.settings.Load()
	p.configureEjection(old, s)
	p.settings.Store(s)
	if old != nil && (old.config.Balance != s.config.Balance || old.config.Objectives != s.config.Objectives) {
		p.balancer.SetPolicy(p.dispatcher.newPolicy(s))
	}
	if old != nil && old.config.Retry.BudgetPercent != s.config.Retry.BudgetPercent {
		p.budget.Store(newBudget(s.config.Retry.BudgetPercent, p.requests.Load()))
	}
	p.balancer.SetQueue(s.config.Queue.Size)
	if s.config.Probe == nil {
		p.forgetProbes()
	}
	back := p.removed.Swap(false)
	if back {
		p.queueTimer.start()
		p.ejectTimer.start()
	}
	if len(s.static) > 0 && (old == nil || back || !slices.Equal(old.static, s.static)) {
		p.given = s.static
	}
	p.replaceEndpoints()
}

// forgetProbes makes endpoints healthy that only probes would have made so again. The lock is held.
func (p *Pool) forgetProbes() {
	for _, e := range p.endpoints {
		e.unhealthy = ""
	}
}

// setEndpoints makes the pool's endpoints those at the given places.
func (p *Pool) setEndpoints(given []config.Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed.Load() {
		return
	}
	p.given = given
	p.replaceEndpoints()
}

// replaceEndpoints brings the endpoints in line with what was given and with the settings. Endpoints stay where nothing about them
// changed, come back if they have not drained yet, or are made; the others drain. The lock is held.
func (p *Pool) replaceEndpoints() {
	s := p.settings.Load()
	old := make(map[endpointKey]*Endpoint)
	at := make(map[string]*Endpoint)
	for _, e := range slices.Concat(p.draining, p.endpoints) {
		old[e.key] = e
		at[e.Address] = e
	}
	next := make([]*Endpoint, 0, len(p.given))
	for _, g := range p.given {
		key := s.key(g)
		e := old[key]
		if e == nil {
			e = p.newEndpoint(s, g, at[g.Address()])
		}
		delete(old, key)
		next = append(next, e)
	}
	slices.SortFunc(next, byAddress)
	p.endpoints, p.draining = next, nil
	for _, e := range old {
		p.draining = append(p.draining, e)
	}
	slices.SortFunc(p.draining, byAddress)
	p.rebuild()
	p.drain()
}

// newEndpoint makes an endpoint. predecessor is the one at the same address, if any: what probes said of it still holds.
func (p *Pool) newEndpoint(s *settings, g config.Endpoint, predecessor *Endpoint) *Endpoint {
	e := &Endpoint{Address: g.Address(), Config: s.endpointConfig(p.Name, g), key: s.key(g), fresh: true}
	e.Balancer = balancer.NewEndpoint(e.Address, e)
	e.Upstream = p.dispatcher.options.NewUpstream(e.Config)
	switch {
	case predecessor != nil:
		e.unhealthy = predecessor.unhealthy
	case s.config.Probe != nil:
		e.unhealthy = notProbed
	}
	return e
}

// notProbed is why endpoints of a probed pool take no picks at first: nobody knows yet whether they have loaded their model.
const notProbed = "not probed yet"

// rebuild makes the balancer's snapshot of the endpoints that may be picked. The lock is held.
func (p *Pool) rebuild() {
	now, s := Now(), p.settings.Load()
	p.updateEjector()
	ready := make([]*balancer.Endpoint, 0, len(p.endpoints))
	busy := p.Ready() > 0 // else nobody is there to take the load in the meantime, and a ramp would only hold all back alike
	for _, e := range p.endpoints {
		state := e.want()
		if state == Ready {
			if entering := e.fresh || e.State() != Ready; entering && busy {
				e.Balancer.SetStartedAt(now, int64(s.config.SlowStart))
			}
			e.fresh = false
			ready = append(ready, e.Balancer)
		}
		e.state.Store(uint32(state))
	}
	p.balancer.SetSnapshot(balancer.NewSnapshot(ready, balancer.Options{MaxInFlight: int64(s.config.MaxInFlight)}))
	p.dispatcher.changed()
}

// want is the state of an endpoint that belongs to the pool. The lock is held.
func (e *Endpoint) want() State {
	switch {
	case e.unhealthy != "":
		return Unhealthy
	case e.ejected:
		return Ejected
	}
	return Ready
}

// drain marks the endpoints that left the pool and closes those that are idle already. It comes after the snapshot without them: a
// request that captures one nevertheless either is counted here or sees the mark and picks again. The lock is held.
func (p *Pool) drain() {
	for _, e := range p.draining {
		e.state.Store(uint32(Draining))
	}
	p.closeIdle()
}

// closeIdle closes and forgets the draining endpoints that no exchange holds. The lock is held.
func (p *Pool) closeIdle() {
	p.draining = slices.DeleteFunc(p.draining, func(e *Endpoint) bool {
		if !e.isIdle() {
			return false
		}
		e.close()
		return true
	})
}

// close closes the connections: those that are in use with the end of their exchange. The lock is held.
func (e *Endpoint) close() {
	if !e.closed {
		e.closed = true
		e.Upstream.Close()
	}
}

// reap is called when an exchange has released a draining endpoint. With its last endpoint a removed pool is forgotten.
func (p *Pool) reap() {
	p.mu.Lock()
	p.closeIdle()
	gone := p.isGone()
	p.mu.Unlock()
	if gone {
		p.dispatcher.forget(p)
	}
}

// isGone reports whether the pool was removed and has drained. The lock is held.
func (p *Pool) isGone() bool { return p.removed.Load() && len(p.draining) == 0 }

// setHealthy notes what a probe of an address found. cause says why it is unhealthy.
func (p *Pool) setHealthy(address string, healthy bool, cause string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, found := slices.BinarySearchFunc(p.endpoints, address, compareAddress)
	if !found {
		return
	}
	e := p.endpoints[i]
	was := e.unhealthy
	e.unhealthy = ""
	if !healthy {
		e.unhealthy = cause
		if cause == "" {
			e.unhealthy = "its probe failed"
		}
		e.failed("probe: " + e.unhealthy)
	}
	if (was == "") == healthy {
		return
	}
	p.rebuild()
	if healthy {
		p.logger.Info("endpoint is healthy", "endpoint", address, "was", was)
	} else {
		p.logger.Warn("endpoint is unhealthy", "endpoint", address, "cause", e.unhealthy, "ready", p.Ready())
	}
}

// remove takes the pool out of service: all endpoints drain and waiters are refused. It reports whether nothing is left of it.
func (p *Pool) remove() (gone bool) {
	p.mu.Lock()
	p.removed.Store(true)
	p.given = nil
	p.replaceEndpoints()
	p.ejectTimer.stop()
	p.queueTimer.stop()
	gone = p.isGone()
	p.mu.Unlock()
	p.balancer.Expire(math.MaxInt64)
	return gone
}

// close closes all upstreams; exchanges that still hold one may finish.
func (p *Pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.draining {
		e.close()
	}
}
