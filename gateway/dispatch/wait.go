package dispatch

import "github.com/penstock/penstock/balancer"

// wait queues the request and returns the endpoint that it was granted, or the refusal.
func (x *Exchange) wait(now int64) (*balancer.Endpoint, *Reply) {
	a := &x.admission
	x.prepare(now)
	if !a.enter(x.Pool) {
		return nil, ClientLeft
	}
	return x.stay(now)
}

// stay waits in the queue that the request has entered.
func (x *Exchange) stay(now int64) (*balancer.Endpoint, *Reply) {
	a, p := &x.admission, x.Pool
	x.moved() // before others find it in the queue, who may list it
	if !p.balancer.Enqueue(&a.waiter) {
		a.exit()
		return nil, p.refuse(a.settings.replies.queueFull)
	}
	p.queueTimer.arm(now + int64(a.settings.config.Queue.Timeout))
	// Whoever cancelled or removed the pool before the waiter was in the queue has not found it there.
	if outdated := a.left.Load() || p.Removed(); !outdated || !p.balancer.Cancel(&a.waiter) {
		<-a.wake
	}
	a.exit()
	woken := Now()
	x.Queued += woken - now
	if x.tracing.trace != nil {
		x.tracing.trace.Queued(now, woken)
	}
	e := a.granted
	a.granted = nil
	switch {
	case !a.left.Load() && e == nil:
		return nil, p.refuse(a.settings.replies.queueTimeout)
	case !a.left.Load():
		return e, nil
	case e != nil:
		p.handBack(e, &a.waiter.Request, woken)
	}
	return nil, ClientLeft
}

// refuse returns the answer for a request that the queue did not help; saturated is that of a pool with endpoints.
func (p *Pool) refuse(saturated *Reply) *Reply {
	switch {
	case p.Removed():
		return p.settings.Load().replies.removed
	case p.Ready() == 0:
		return p.settings.Load().replies.noEndpoint
	}
	return saturated
}

// prepare readies the waiter. What it waits with is made once for all requests of an exchange.
func (x *Exchange) prepare(now int64) {
	a := &x.admission
	if a.wake == nil {
		a.waiter.Owner = x
		a.wake = make(chan struct{}, 1)
		a.waiter.Notify = func(_ *balancer.Waiter, e *balancer.Endpoint) {
			a.granted = e
			a.wake <- struct{}{}
		}
	}
	a.waiter.Deadline = now + int64(a.settings.config.Queue.Timeout)
}

// enter lets Cancel find the waiter; false means that Cancel came before.
func (a *admission) enter(p *Pool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left.Load() {
		return false
	}
	a.queue = p
	return true
}

// exit ends what enter began. When it returns, no Cancel is looking at the waiter.
func (a *admission) exit() {
	a.mu.Lock()
	a.queue = nil
	a.mu.Unlock()
}

// Cancel says that the client has left. A request that waits is taken out of the queue at once, and Admit or Retry answers ClientLeft,
// as does one that comes later. It does nothing to a request that has its endpoint: the engine ends that. It may be called from any
// goroutine, and more than once.
func (x *Exchange) Cancel() {
	a := &x.admission
	a.left.Store(true)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.queue != nil && a.queue.balancer.Cancel(&a.waiter) {
		a.wake <- struct{}{}
	}
}

// expireQueue refuses the requests that have waited for too long, and returns when the next one will have.
func (p *Pool) expireQueue(now int64) (next int64) { return p.balancer.Expire(now) }
