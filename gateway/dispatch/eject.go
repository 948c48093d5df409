package dispatch

import (
	"time"

	"github.com/penstock/penstock/balancer"
)

// Ejector decides when an endpoint that fails requests is taken out of the pick, and for how long. A pool has one of its own. Times
// are on Now's scale. Success may be called from any goroutine and is called for every request; the other methods are called by one
// goroutine at a time.
type Ejector interface {
	// Success notes that e answered a request.
	Success(e *balancer.Endpoint)
	// Failure notes that e failed a request. ejected means that e is to be out of the pick from now until then.
	Failure(e *balancer.Endpoint, now int64) (ejected bool, until int64)
	// Due returns the endpoints whose ejection has ended by now, each once.
	Due(now int64) []*balancer.Endpoint
	// Next returns when the next ejection ends; 0 if there is none.
	Next() int64
}

// configureEjection gives s its ejector, before any request sees s. Where its settings have changed it is a new one, and what the
// old one had ejected comes back. The lock is held.
func (p *Pool) configureEjection(old, s *settings) {
	if p.dispatcher.options.NewEjector == nil {
		return
	}
	if old != nil && old.config.Eject == s.config.Eject {
		s.ejector = old.ejector
		return
	}
	s.ejector = p.dispatcher.options.NewEjector(s.config.Eject)
	for _, e := range p.endpoints {
		e.ejected = false
	}
}

// fault feeds a failure to the ejector and takes e out of the pick if that says so, unless nothing would be left to pick.
func (p *Pool) fault(e *Endpoint, o Outcome, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ejector := p.settings.Load().ejector
	if ejector == nil {
		return
	}
	ejected, until := ejector.Failure(e.Balancer, now)
	if !ejected || e.State() != Ready || !p.mayEject() {
		return
	}
	e.ejected = true
	e.ejections.Add(1)
	p.rebuild()
	p.ejectTimer.arm(until)
	p.logger.Warn("endpoint is ejected", "endpoint", e.Address, "cause", o.String(), "for", time.Duration(until-now), "ready", p.Ready())
}

// mayEject reports whether one more endpoint may be ejected: never the last that is ready, and no more than maxPercent of the pool,
// but for the first, which may always go. The lock is held.
func (p *Pool) mayEject() bool {
	if p.Ready() < 2 {
		return false
	}
	out := 1
	for _, e := range p.endpoints {
		if e.State() == Ejected {
			out++
		}
	}
	most := p.settings.Load().config.Eject.MaxPercent
	return most > 0 && (out == 1 || out*100 <= most*len(p.endpoints))
}

// endEjections brings back what has been out for long enough, and returns when the next ejection ends.
func (p *Pool) endEjections(now int64) (next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ejector, back := p.settings.Load().ejector, 0
	for _, b := range ejector.Due(now) {
		e := b.Data.(*Endpoint)
		if e.ejected {
			e.ejected = false
			back++
			p.logger.Info("endpoint is back after its ejection", "endpoint", e.Address)
		}
	}
	if back > 0 {
		p.rebuild()
	}
	return ejector.Next()
}

// liftEjections ends all ejections if nothing else is left to pick: an endpoint that may fail is better than none. The lock is held.
func (p *Pool) liftEjections() {
	var ejected []*Endpoint
	for _, e := range p.endpoints {
		switch e.want() {
		case Ready:
			return
		case Ejected:
			ejected = append(ejected, e)
		}
	}
	for _, e := range ejected {
		e.ejected = false
		p.logger.Warn("endpoint is back before its ejection has ended: the pool has no other", "endpoint", e.Address)
	}
}
