package dispatch

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/penstock/penstock/balancer"
)

// Requests underway are listed for people who look, and only while they do: as long as nobody does, a request pays one load of a word that hardly
// ever changes. Of those that were there before, the ones that wait in a queue are found there, and the others are listed when their response goes
// on. So all are listed but those whose endpoint has been silent all along: nobody but their own goroutine knows of them, which sleeps.

const (
	// listedMost bounds how many requests are listed at once, and so the memory that looking costs: about 1 MB.
	listedMost = 4096
	// foundMost bounds how many are looked for in each queue, which nobody leaves meanwhile: 0.1 ms.
	foundMost = 1000
)

// underway is the list. Slots are taken and given back without a lock, so that listed requests do not meet each other.
type underway struct {
	looking atomic.Bool
	slots   [listedMost]atomic.Pointer[Listed]
}

// Listed is a request that is underway.
type Listed struct {
	// ID is its x-request-id, Model the model that it names; either may be empty. They are cut at 128 bytes.
	ID, Model string
	// Route, Pool and Protocol are as in Exchange.
	Route, Pool, Protocol string
	// Started is when its first byte was read, on Now's scale.
	Started int64

	slot     *atomic.Pointer[Listed]
	endpoint atomic.Pointer[Endpoint]
	answered atomic.Bool
	tokens   atomic.Int64
}

// Endpoint is where it was sent; nil while it is queued.
func (l *Listed) Endpoint() *Endpoint { return l.endpoint.Load() }

// Streaming reports whether the body of its response has begun, and how many tokens it has had so far: one for each event of a stream, or
// message of a gRPC call.
func (l *Listed) Streaming() (tokens int64, begun bool) { return l.tokens.Load(), l.answered.Load() }

// Look turns the listing of requests on or off. What was listed stays until it finishes.
func (d *Dispatcher) Look(on bool) {
	d.underway.looking.Store(on)
	if !on {
		return
	}
	d.mu.Lock()
	pools := slices.Collect(maps.Values(d.pools))
	d.mu.Unlock()
	for _, p := range pools {
		p.listWaiting()
	}
}

// listWaiting lists the requests that wait for an endpoint. While they are in the queue their goroutines sleep, and so can be spoken for.
func (p *Pool) listWaiting() {
	n := 0
	p.balancer.EachWaiter(func(w *balancer.Waiter) bool {
		if x := w.Owner.(*Exchange); x.admission.listed == nil {
			x.list()
		}
		n++
		return n < foundMost
	})
}

// Underway calls yield with the requests that are listed, in no order. Others may end or begin meanwhile.
func (d *Dispatcher) Underway(yield func(*Listed)) {
	for i := range d.underway.slots {
		if l := d.underway.slots[i].Load(); l != nil {
			yield(l)
		}
	}
}

// Progress notes how many tokens the response has had so far, for those who look. It is for the engines to call when a piece of a response's body
// was sent.
func (x *Exchange) Progress(tokens int64) {
	a := &x.admission
	if a.listed == nil {
		if !a.dispatcher.underway.looking.Load() || !x.list() {
			return
		}
	}
	a.listed.tokens.Store(tokens)
	if !a.listed.answered.Load() {
		a.listed.answered.Store(true)
	}
}

// moved notes that the request waits, or has got an endpoint.
func (x *Exchange) moved() {
	a := &x.admission
	switch {
	case a.listed != nil:
		a.listed.endpoint.Store(x.Endpoint)
	case a.dispatcher.underway.looking.Load():
		x.list()
	}
}

// list puts the request on the list; false if that is full, or the request is a copy.
func (x *Exchange) list() bool {
	a := &x.admission
	slot := a.dispatcher.underway.free(a.rand)
	if slot == nil || a.mirror || x.Pool == nil {
		return false
	}
	l := &Listed{ID: shortened(x.RequestID), Pool: x.Pool.Name, Protocol: x.Protocol, Started: x.Started, slot: slot}
	if x.Route != nil {
		l.Route = x.Route.Name
	}
	if x.Request.ModelKnown {
		l.Model = shortened(x.Request.Model)
	}
	l.endpoint.Store(x.Endpoint)
	if !slot.CompareAndSwap(nil, l) {
		return false
	}
	a.listed = l
	return true
}

// free returns a slot that nobody has; nil if none is found at the first looks.
func (u *underway) free(random uint64) *atomic.Pointer[Listed] {
	const looks = 16
	for i := range uint64(looks) {
		if slot := &u.slots[(random+i)%listedMost]; slot.Load() == nil {
			return slot
		}
	}
	return nil
}

// unlist takes the request off the list.
func (a *admission) unlist() {
	if a.listed != nil {
		a.listed.slot.Store(nil)
		a.listed = nil
	}
}

func shortened(b []byte) string { return string(b[:min(len(b), 128)]) }
