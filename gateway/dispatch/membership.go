package dispatch

import (
	"math"
	"slices"

	"github.com/penstock/penstock/balancer"
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
		p.given = members(s.static)
	}
	p.replaceEndpoints()
}

// forgetProbes makes endpoints healthy that only probes would have made so again. The lock is held.
func (p *Pool) forgetProbes() {
	for _, list := range [][]*Endpoint{p.endpoints, p.draining} { // those that drain may come back
		for _, e := range list {
			e.unhealthy = ""
		}
	}
}

// setEndpoints makes the pool's endpoints those that were found.
func (p *Pool) setEndpoints(given Members) {
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
	next := make([]*Endpoint, 0, p.given.Len())
	left := p.draining
	var joined []*Endpoint
	at := 0 // both lists are sorted by address
	for i := range p.given.Len() {
		g := p.given.At(i)
		for at < len(p.endpoints) && p.endpoints[at].Address < g.Address {
			left = append(left, p.endpoints[at])
			at++
		}
		var e, predecessor *Endpoint
		if at < len(p.endpoints) && p.endpoints[at].Address == g.Address {
			predecessor = p.endpoints[at]
			at++
		}
		if predecessor != nil && predecessor.is(&g, s) {
			e = predecessor
		} else {
			if predecessor != nil {
				left = append(left, predecessor)
			}
			if e, left = takeBack(left, s.key(&g)); e == nil {
				e = p.newEndpoint(s, &g, predecessor)
			} else if predecessor != nil && predecessor.key.id == e.key.id {
				e.unhealthy = predecessor.unhealthy // probes tell changes alone, and knew nothing of e meanwhile
			}
			joined = append(joined, e)
		}
		if e.left.Load() {
			e.left.Store(false)
		}
		e.settings = s
		e.condition = g.Condition
		next = append(next, e)
	}
	left = append(left, p.endpoints[at:]...)
	slices.SortFunc(left, byAddress)
	p.endpoints, p.draining = next, left
	leaving := p.rebuild()
	p.tellMoves(joined, append(leaving, p.drain()...))
}

// is reports whether the endpoint, at the same address as g, is what g and the settings say. Where the settings are those that it was last seen
// under, there is little to compare. The lock is held.
func (e *Endpoint) is(g *Member, s *settings) bool {
	if e.settings == s {
		return e.key.Scheme == g.Scheme && e.key.id == g.ID
	}
	return e.key == s.key(g)
}

// takeBack takes the endpoint of that key out of those that have left and not drained yet; nil if it is none of them.
func takeBack(left []*Endpoint, key endpointKey) (*Endpoint, []*Endpoint) {
	for i, e := range left {
		if e.key == key {
			return e, slices.Delete(left, i, i+1)
		}
	}
	return nil, left
}

// newEndpoint makes an endpoint. predecessor is the one at the same address, if any: what probes said of it still holds, unless it is another
// replica that has got the address.
func (p *Pool) newEndpoint(s *settings, g *Member, predecessor *Endpoint) *Endpoint {
	e := &Endpoint{Address: g.Address, Config: s.endpointConfig(p.Name, g), key: s.key(g), fresh: true}
	e.Balancer = balancer.NewEndpoint(e.Address, e)
	e.Upstream = p.dispatcher.options.NewUpstream(e.Config)
	switch {
	case predecessor != nil && predecessor.key.id == e.key.id:
		e.unhealthy = predecessor.unhealthy
	case s.config.Probe != nil:
		e.unhealthy = notProbed
	}
	return e
}

// notProbed is why endpoints of a probed pool take no picks at first: nobody knows yet whether they have loaded their model.
const notProbed = "not probed yet"

// rebuild makes the balancer's snapshot of the endpoints that may be picked: those that are ready, or else, rather than none, those that are
// being deleted and still serve. Never those that are merely not ready: their model is still loading. It returns those that are being deleted as of
// now. The lock is held.
func (p *Pool) rebuild() (leaving []*Endpoint) {
	now, s := Now(), p.settings.Load()
	candidates, condition := p.candidates()
	p.updateEjector(candidates)
	picked := make([]*balancer.Endpoint, 0, len(candidates))
	busy := p.Ready() > 0 // else nobody is there to take the load in the meantime, and a ramp would only hold all back alike
	for _, e := range p.endpoints {
		state := e.want()
		if state == Ready {
			if entering := e.fresh || e.State() != Ready; entering && busy {
				e.Balancer.SetStartedAt(now, int64(s.config.SlowStart))
			}
			e.fresh = false
		}
		if state == Draining && e.State() != Draining && !e.fresh {
			leaving = append(leaving, e)
		}
		if e.condition == condition && e.unhealthy == "" && !e.ejected {
			picked = append(picked, e.Balancer)
		}
		e.state.Store(uint32(state))
	}
	p.balancer.SetSnapshot(balancer.NewSnapshot(picked, balancer.Options{MaxInFlight: int64(s.config.MaxInFlight)}))
	p.dispatcher.changed()
	return leaving
}

// candidates are the endpoints that would be picked but for ejection, and the condition that they are in. The lock is held.
func (p *Pool) candidates() (all []*balancer.Endpoint, c Condition) {
	for _, c = range []Condition{MemberReady, MemberTerminating} {
		all = make([]*balancer.Endpoint, 0, len(p.endpoints))
		for _, e := range p.endpoints {
			if e.condition == c && e.unhealthy == "" {
				all = append(all, e.Balancer)
			}
		}
		if len(all) > 0 {
			return all, c
		}
	}
	return nil, MemberReady
}

// want is the state of an endpoint that belongs to the pool. The lock is held.
func (e *Endpoint) want() State {
	switch {
	case e.condition == MemberTerminating || e.condition == MemberStopped:
		return Draining
	case e.condition == MemberNotReady:
		return NotReady
	case e.unhealthy != "":
		return Unhealthy
	case e.ejected:
		return Ejected
	}
	return Ready
}

// drain marks the endpoints that left the pool and closes those that are idle already. It comes after the snapshot without them: a
// request that captures one nevertheless either is counted here or sees the mark and picks again. It returns those that took picks until now. The
// lock is held.
func (p *Pool) drain() (leaving []*Endpoint) {
	for _, e := range p.draining {
		if e.State() != Draining {
			leaving = append(leaving, e)
		}
		e.left.Store(true)
		e.state.Store(uint32(Draining))
	}
	p.closeIdle()
	return leaving
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
	p.given = MemberList(nil)
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
