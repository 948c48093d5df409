package dispatch

import "slices"

// Retry ends an attempt that failed as o: it releases the endpoint and counts the failure towards its ejection. If mayRetry, which says
// that the request can be sent once more without running twice, and the pool's retries and its budget allow it, Retry asks for
// another endpoint as Admit does, waiting included; the same one is taken again only where no other has room. It returns nil if
// x.Endpoint is to be tried, else the answer to send.
func (x *Exchange) Retry(o Outcome, mayRetry bool) *Reply {
	a, p, failed := &x.admission, x.Pool, x.Endpoint
	if failed == nil {
		panic("BUG: Retry without an endpoint")
	}
	now := Now()
	x.release(o, now)
	if o == ClientGone || a.left.Load() {
		return x.told(ClientLeft)
	}
	if !mayRetry || !x.allowsRetry(now) {
		return x.told(FailureReply(o))
	}
	x.Retried = o
	if observer := a.dispatcher.options.Observer; observer != nil {
		observer.Retried(p, o)
	}
	if !slices.Contains(a.waiter.Tried, failed.Balancer) {
		a.waiter.Tried = append(a.waiter.Tried, failed.Balancer)
	}
	a.waiter.Rand = scramble(a.waiter.Rand)
	return x.told(x.admit())
}

// allowsRetry reports whether one more attempt is within the pool's limits, and counts it.
func (x *Exchange) allowsRetry(now int64) bool {
	p := x.Pool
	if x.admission.mirror || x.Attempts > p.settings.Load().config.Retry.Attempts {
		return false
	}
	if !p.budget.Load().withdraw(p.requests.Load(), now) {
		p.retriesDenied.Add(1)
		return false
	}
	p.retries.Add(1)
	return true
}
