package dispatch

import (
	"net/http"

	"github.com/penstock/penstock/balancer"
)

// FirstByte notes that the head of the endpoint's response arrived; interim ones (1xx) do not count.
func (x *Exchange) FirstByte() { x.admission.firstByte = Now() }

// LoadReport hands on a load report that the endpoint's response carries: the value of endpoint-load-metrics or, if binary is set, of
// endpoint-load-metrics-bin.
func (x *Exchange) LoadReport(value []byte, binary bool) {
	if report := x.admission.dispatcher.options.Report; report != nil && x.Endpoint != nil {
		report(x.Endpoint.Balancer, value, binary, Now())
	}
}

// Failed notes why the present attempt fails, for those who look at the endpoint's last failure. Retry or Finish follows.
func (x *Exchange) Failed(cause error) { x.admission.cause = cause }

// Finish ends the exchange: exactly once for each Reset that was followed by Match. It releases the endpoint, if one is held, and calls
// the Observer, which finds in Endpoint the one of the last attempt.
func (x *Exchange) Finish(o Outcome) {
	a := &x.admission
	if !a.open {
		panic("BUG: an exchange was finished twice, or was never begun")
	}
	a.open = false
	a.unlist()
	x.Finished, x.Outcome = Now(), o
	if x.Endpoint != nil {
		x.release(o, x.Finished)
	}
	if o == ClientGone {
		x.Status = statusClientLeft
	}
	if observer := a.dispatcher.options.Observer; observer != nil && !a.mirror {
		x.Endpoint = a.last
		observer.Finished(x)
		x.Endpoint = nil
	}
	if trace := x.tracing.trace; trace != nil {
		x.Endpoint = a.last
		trace.Finished(x)
		x.Endpoint, x.tracing.trace = nil, nil
	}
}

// release gives the endpoint back, and tells what its attempt says of it.
func (x *Exchange) release(o Outcome, now int64) {
	a, p, e := &x.admission, x.Pool, x.Endpoint
	x.attemptEnded(o, now)
	x.Endpoint = nil
	done := x.done(o, now)
	if o == Completed {
		if x.isBackPressure() {
			e.backPressure.Add(1)
		}
		if ejector := p.settings.Load().ejector; ejector != nil {
			ejector.Success(e.Balancer)
		}
	} else if !a.mirror {
		e.failures[o].Add(1)
	}
	if o.IsFault() {
		e.failed(failureText(o, a.cause))
		p.fault(e, o, now) // before the release, which may let in a request that waits
	}
	p.release(e, &a.waiter.Request, done)
}

// done is what the attempt says of the endpoint to the pool's policy.
func (x *Exchange) done(o Outcome, now int64) balancer.Done {
	a, u := &x.admission, &x.Usage
	d := balancer.Done{
		Now: now, Started: a.sentAt, FirstByte: a.firstByte, FirstToken: a.firstToken, Failed: o.IsFault(),
		Told: u.Known && u.PromptTokens > 0, PromptTokens: u.PromptTokens, CachedTokens: min(u.CachedTokens, u.PromptTokens),
		OutputTokens: u.CompletionTokens, Streamed: x.Streamed, Busy: o == Completed && x.isBackPressure(),
	}
	isError := x.isBackPressure() || x.Status >= http.StatusBadRequest
	if isError && (o == Completed || o == ClientGone) {
		d.FirstByte, d.FirstToken = 0, 0 // an error comes fast; its endpoint must not look fast for it
	}
	return d
}

// isBackPressure reports whether a complete answer said that the endpoint has enough to do.
func (x *Exchange) isBackPressure() bool {
	if x.Busy {
		return true
	}
	return x.Refusal == nil && (x.Status == http.StatusTooManyRequests || x.Status == http.StatusServiceUnavailable)
}

func failureText(o Outcome, cause error) string {
	if cause == nil {
		return o.String()
	}
	return o.String() + ": " + cause.Error()
}

// release ends the use of an endpoint that was captured for r.
func (p *Pool) release(e *Endpoint, r *balancer.Request, d balancer.Done) {
	p.balancer.Release(e.Balancer, r, d)
	e.ended.Add(1)
	if e.left.Load() && e.isIdle() {
		p.reap()
	}
}

// handBack releases an endpoint that was granted to a request that no longer wants it.
func (p *Pool) handBack(b *balancer.Endpoint, r *balancer.Request, now int64) {
	p.balancer.Release(b, r, balancer.Done{Now: now, Started: now})
}
