package dispatch

import (
	"time"

	"github.com/penstock/penstock/balancer"
)

// Ejector decides when an endpoint that fails requests is taken out of the pick, and for how long. A pool has one of its own. Times
// are on Now's scale. Success may be called from any goroutine and is called for every request; the other methods are called by one
// goroutine at a time. Package health has one.
type Ejector interface {
	// SetEndpoints says which endpoints would take picks but for ejection. It returns those that were ejected and must come back early,
	// as too few others are left. all says that each of them may be ejected, also the last.
	SetEndpoints(endpoints []*balancer.Endpoint, all bool) (returned []*balancer.Endpoint)
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

// updateEjector tells the ejector which endpoints could be picked, and brings back those that it can no longer do without. It forgets the
// others. The lock is held.
func (p *Pool) updateEjector(candidates []*balancer.Endpoint) {
	ejector := p.settings.Load().ejector
	if ejector == nil {
		return
	}
	for _, list := range [][]*Endpoint{p.endpoints, p.draining} {
		for _, e := range list {
			e.candidate = false
		}
	}
	for _, b := range candidates {
		b.Data.(*Endpoint).candidate = true
	}
	for _, list := range [][]*Endpoint{p.endpoints, p.draining} {
		for _, e := range list {
			e.ejected = e.ejected && e.candidate
		}
	}
	for _, b := range ejector.SetEndpoints(candidates, p.given.Kept()) {
		e := b.Data.(*Endpoint)
		e.ejected = false
		p.logger.Warn("endpoint is back before its ejection has ended: too few others are left", "endpoint", e.Address)
	}
}

// fault feeds a failure to the ejector and takes e out of the pick if that says so.
func (p *Pool) fault(e *Endpoint, o Outcome, now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ejector := p.settings.Load().ejector
	if ejector == nil {
		return
	}
	ejected, until := ejector.Failure(e.Balancer, now)
	if !ejected {
		return
	}
	e.ejected = true
	e.ejections.Add(1)
	p.rebuild()
	p.ejectTimer.arm(until)
	p.logger.Warn("endpoint is ejected", "endpoint", e.Address, "cause", o.String(), "for", time.Duration(until-now), "ready", p.Ready())
}

// endEjections brings back what has been out for long enough, and returns when the next ejection ends.
func (p *Pool) endEjections(now int64) (next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ejector := p.settings.Load().ejector
	due := ejector.Due(now)
	for _, b := range due {
		e := b.Data.(*Endpoint)
		e.ejected = false
		p.logger.Info("endpoint is back after its ejection", "endpoint", e.Address)
	}
	if len(due) > 0 {
		p.rebuild()
	}
	return ejector.Next()
}
