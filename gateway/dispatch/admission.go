package dispatch

import (
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/balancer"
)

// admission is what an exchange keeps to itself: its place in the queue, and what was counted and must be released.
type admission struct {
	dispatcher *Dispatcher
	table      *table
	target     int // the place of Exchange.Target in its route
	settings   *settings
	rand       uint64 // read once for each request
	open       bool   // between Reset and Finish
	mirror     bool
	last       *Endpoint // of the last attempt
	sentAt     int64     // when that was captured
	firstByte  int64     // when its response's head arrived; 0 if it has not
	firstToken int64     // when its response's body began to arrive; 0 if it has not
	cause      error     // why it failed, if the engine said so
	listed     *Listed   // while somebody looks

	// waiter holds what picks look at, whether the request waits or not.
	waiter balancer.Waiter
	tried  [2]*balancer.Endpoint // room for waiter.Tried

	// left says that the client has left.
	left atomic.Bool
	// wake takes one value for each waiter that was enqueued and not taken out by its own goroutine. It is made when first needed.
	wake    chan struct{}
	granted *balancer.Endpoint // what came with wake

	// mu orders Cancel with the beginning and the end of a wait, so that a late Cancel cannot touch the next one.
	mu    sync.Mutex
	queue *Pool // where the waiter is, or is about to be
}

// Admit captures an endpoint of x.Pool and returns nil. Where none is to be had at once it waits, first come first served, for as long
// as the pool's queue allows; the reply then is one of those in the package's table, or ClientLeft.
func (x *Exchange) Admit() *Reply {
	x.Pool.requests.Add(1)
	x.tellPolicy()
	return x.told(x.admit())
}

// TryAdmit is Admit for those who must not wait. Where it returns false no endpoint was to be had at once, and AdmitLater is to follow.
func (x *Exchange) TryAdmit() bool {
	x.Pool.requests.Add(1)
	x.tellPolicy()
	return !x.admission.left.Load() && x.acquire(Now()) == balancer.Acquired
}

// AdmitLater is what Admit does where TryAdmit failed.
func (x *Exchange) AdmitLater() *Reply { return x.told(x.admit()) }

// AdmitNow is Admit without waiting, for mirror copies: it takes an endpoint only if no request waits for one.
func (x *Exchange) AdmitNow() bool {
	x.tellPolicy()
	if x.Pool.Removed() || x.admission.left.Load() {
		return false
	}
	return x.acquire(Now()) == balancer.Acquired
}

// tellPolicy notes what the pool's policy looks at in a request: its session, or its prompt.
func (x *Exchange) tellPolicy() {
	a := &x.admission
	a.settings = x.Pool.settings.Load()
	if s := a.settings.session; s != nil {
		a.waiter.Session, a.waiter.SessionSet = s.StickyKey(&x.Request, x.ClientIP)
	}
	if a.settings.readsPrompts {
		a.tellPrompt(&x.Prompt)
		a.waiter.Adapter = x.adapter()
	}
}

// told notes a refusal for the observer.
func (x *Exchange) told(reply *Reply) *Reply {
	if reply != nil {
		x.Refusal = reply
	}
	return reply
}

func (x *Exchange) admit() *Reply {
	a := &x.admission
	for {
		if a.left.Load() {
			return ClientLeft
		}
		now := Now()
		if x.acquire(now) == balancer.Acquired {
			return nil
		}
		e, reply := x.wait(now)
		if e == nil || x.capture(e, a.waiter.Now) {
			return reply
		}
	}
}

// acquire captures an endpoint if there is one with room and nobody waits.
func (x *Exchange) acquire(now int64) balancer.AcquireResult {
	x.admission.waiter.Now = now
	for {
		e, result := x.Pool.balancer.Acquire(&x.admission.waiter.Request)
		if result != balancer.Acquired || x.capture(e, now) {
			return result
		}
	}
}

// capture takes note of an endpoint that the balancer has counted. It is false if that has left the pool meanwhile: see Pool.drain.
func (x *Exchange) capture(b *balancer.Endpoint, now int64) bool {
	e := b.Data.(*Endpoint)
	e.begun.Add(1)
	if e.left.Load() {
		e.handedBack.Add(1)
		x.Pool.release(e, &x.admission.waiter.Request, balancer.Done{Now: now, Started: now})
		return false
	}
	a := &x.admission
	if a.mirror {
		e.mirrored.Add(1)
	}
	x.Endpoint = e
	x.Attempts++
	a.last, a.sentAt, a.firstByte, a.firstToken, a.cause = e, now, 0, 0, nil
	if x.tracing.trace != nil {
		x.tracing.trace.Attempt(x)
	}
	x.moved()
	return true
}
