package balancer

import (
	"sync"
	"sync/atomic"
)

// AcquireResult says how Acquire went.
type AcquireResult uint8

const (
	// Acquired: the request counts in flight on the endpoint, which must be released.
	Acquired AcquireResult = iota
	// Full: every endpoint has as many requests in flight as it may, or others wait already. The request may Enqueue.
	Full
	// None: there is no endpoint at all. The request may Enqueue and is held until one comes.
	None
)

// String returns the result's name in lower case.
func (a AcquireResult) String() string {
	switch a {
	case Acquired:
		return "acquired"
	case Full:
		return "full"
	case None:
		return "none"
	}
	return "unknown"
}

// Balancer acquires and releases the endpoints of one pool. Its methods may be called from any goroutine. Acquire and Release
// take no lock and allocate nothing unless requests wait.
//
// # Why no request waits beside free room
//
// Waiters are granted by the grant loop: under the lock it picks for the head of the queue until the queue is empty or the
// policy finds no endpoint with room, which it says only if there is none (see Policy). All atomic operations are sequentially
// consistent, as Go's are. Room can come about in three ways:
//
//   - A request leaves an endpoint: Release, or Acquire when it hands back an endpoint of an outdated snapshot, first counts the
//     endpoint down (R1), then loads the queue's length (R2), and runs the grant loop if that is not 0. Enqueue first
//     raises the length (E1), then runs the grant loop, which loads the endpoint's count (E2). Were the waiter to stay beside the
//     freed room, R2 would have to miss E1, so R2 came before E1, and E2 would have to miss R1, so E2 came before R1;
//     but R1 comes before R2 and E1 before E2, a circle. The same holds for every later grant loop that stops while waiters
//     are left, since the length was raised before any of them.
//   - SetSnapshot brings endpoints, or raises the limit. It stores the snapshot under the lock and then runs the grant loop. A
//     waiter that was enqueued before is seen by this loop; one that is enqueued after picks from the new snapshot.
//   - SetPolicy brings a policy that sees room where the old one did not: likewise.
//
// A waiter that leaves (Cancel, Expire) makes no room, and who is granted does not depend on who waits: if there was no room for
// the old head, there is none for the new one.
//
// # Why nobody is overtaken
//
// Grants are made under the lock from the head of the queue. Acquire answers Full if the queue is not empty. An Acquire that
// saw it empty and takes room afterwards had come before whoever is in the queue by then.
//
// # Why a snapshot that was replaced gets no more picks
//
// Acquire counts the endpoint up (A1), then loads the snapshot again (A2), and hands the endpoint back if it has changed.
// SetSnapshot stores the new one (S1), then looks which endpoints of the old one have something in flight (S2). Either A2 sees
// S1 and hands back, or A1 comes before S2 and the endpoint goes on to be counted in InFlight.
type Balancer struct {
	current atomic.Pointer[choice]
	waiting atomic.Int64 // the queue's length, changed under the lock only
	_       [112]byte    // what every pick reads shares no cache line with what is written under load

	mu       sync.Mutex
	queue    queue
	size     int64
	now      int64       // the latest time that was heard of
	departed []*Endpoint // endpoints that left the snapshot with requests in flight
}

// choice is what a pick depends on, replaced as a whole.
type choice struct {
	snapshot *Snapshot
	policy   Policy
}

// picksWithoutScan is how often Acquire asks the policy before it takes whatever has room: with each, it lost the last free
// place of the endpoint that the policy chose to another request.
const picksWithoutScan = 4

// New returns a balancer without endpoints and with a queue of size 0.
func New(p Policy) *Balancer {
	b := &Balancer{}
	b.current.Store(&choice{NewSnapshot(nil, Options{}), p})
	return b
}

// Snapshot returns the snapshot that picks are made from; never nil.
func (b *Balancer) Snapshot() *Snapshot { return b.current.Load().snapshot }

// SetSnapshot replaces the set of endpoints; nil is an empty one. When it returns, no new request goes to an endpoint that s
// lacks, and those in flight there stay counted until they are released. Queued requests that s has room for are granted.
func (b *Balancer) SetSnapshot(s *Snapshot) {
	if s == nil {
		s = NewSnapshot(nil, Options{})
	}
	b.mu.Lock()
	old := b.current.Load()
	b.current.Store(&choice{s, old.policy})
	var departed []*Endpoint
	for _, list := range [][]*Endpoint{b.departed, old.snapshot.endpoints} {
		for _, e := range list {
			if e.InFlight() > 0 && !s.has(e) {
				departed = append(departed, e)
			}
		}
	}
	b.departed = departed
	b.mu.Unlock()
	b.grant(0)
}

// SetPolicy replaces the policy. What a policy has learned of an endpoint is kept with the endpoint.
func (b *Balancer) SetPolicy(p Policy) {
	b.mu.Lock()
	b.current.Store(&choice{b.current.Load().snapshot, p})
	b.mu.Unlock()
	b.grant(0)
}

// SetQueue sets how many requests may wait at once; below 0 counts as 0. Requests that wait already may stay.
func (b *Balancer) SetQueue(size int) {
	b.mu.Lock()
	b.size = int64(max(size, 0))
	b.mu.Unlock()
}

// QueueLen returns how many requests wait.
func (b *Balancer) QueueLen() int { return int(b.waiting.Load()) }

// InFlight returns how many requests the pool has in flight, those on endpoints that have left the snapshot included. Nothing
// but the endpoints' own counts is kept for this, so that requests to different endpoints share no cache line; it adds them up
// and takes time in proportion to their number. While requests come and go, each is counted as it was when its endpoint was
// read.
func (b *Balancer) InFlight() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := b.current.Load().snapshot.inFlight()
	kept := b.departed[:0]
	for _, e := range b.departed {
		if n := e.InFlight(); n > 0 {
			total += n
			kept = append(kept, e)
		}
	}
	clear(b.departed[len(kept):])
	b.departed = kept
	return total
}

// OutstandingTokens returns how many prompt tokens are still to be computed: those that endpoints owe, and those of the requests that wait. It takes
// time in proportion to the number of both. Endpoints that have left are counted while they have requests in flight.
func (b *Balancer) OutstandingTokens() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := int64(0)
	for _, e := range b.current.Load().snapshot.endpoints {
		total += e.PromptTokens()
	}
	for _, e := range b.departed {
		total += e.PromptTokens()
	}
	for w := b.queue.head; w != nil; w = w.next {
		total += min(max(w.Tokens, 0), mostTokens)
	}
	return total
}

// Acquire picks an endpoint for r and counts the request in flight there, and its prompt's tokens. It never exceeds MaxInFlight and never
// overtakes a request that waits. What it acquired must be given to Release, with r, whatever happened to the snapshot since.
func (b *Balancer) Acquire(r *Request) (*Endpoint, AcquireResult) {
	// Each further turn means that SetSnapshot ran during the last one.
	for {
		c := b.current.Load()
		if c.snapshot.Len() == 0 {
			return nil, None
		}
		if b.waiting.Load() != 0 {
			return nil, Full
		}
		e := c.take(r)
		if e == nil {
			return nil, Full
		}
		if latest := b.current.Load(); latest == c || latest.snapshot == c.snapshot {
			return e, Acquired
		}
		b.giveBack(e, r, r.Now)
		r.Rand = nextRandom(r.Rand)
	}
}

// take picks and counts in flight; nil if no endpoint has room.
func (c *choice) take(r *Request) *Endpoint {
	r.Owed = r.Tokens
	e := c.takeRoom(r)
	if e != nil {
		r.charge(e)
	}
	return e
}

func (c *choice) takeRoom(r *Request) *Endpoint {
	for range picksWithoutScan {
		e := c.policy.Pick(c.snapshot, r)
		if e == nil || e.take(c.snapshot.limit) {
			return e
		}
		r.Rand = nextRandom(r.Rand)
	}
	return c.snapshot.takeAny(r)
}

// Answered says that the endpoint which r acquired has read its prompt: the first byte of the response's body has come. The prompt's
// tokens count no longer. Release does the same for those who never call Answered, and further calls do nothing.
func (b *Balancer) Answered(r *Request) { r.settle() }

// Release ends a request r that Acquire or a grant counted on e, tells the policy how it went, and grants the room to the head of
// the queue. For one that waited, r is its Waiter's Request. Releasing more often than acquiring panics.
func (b *Balancer) Release(e *Endpoint, r *Request, d Done) {
	b.current.Load().policy.Done(e, r, d)
	b.giveBack(e, r, d.Now)
}

func (b *Balancer) giveBack(e *Endpoint, r *Request, now int64) {
	if r.chargedTo != nil && r.chargedTo != e {
		panic("BUG: endpoint " + e.Name + " was released for a request that had acquired " + r.chargedTo.Name)
	}
	r.release()
	e.drop()
	if b.waiting.Load() != 0 {
		b.grant(now)
	}
}

// Enqueue adds w to the end of the queue, whether or not there is an endpoint; false means that the queue is full, and w was
// not touched. If there is room for w by now it is granted at once: Notify is then called before Enqueue returns.
func (b *Balancer) Enqueue(w *Waiter) bool {
	b.mu.Lock()
	if b.waiting.Load() >= b.size {
		b.mu.Unlock()
		return false
	}
	b.queue.push(w)
	b.waiting.Add(1)
	b.mu.Unlock()
	b.grant(0)
	return true
}

// Cancel takes w out of the queue; true means that Notify will not be called. False means that w was granted or has expired,
// and that Notify was called or is about to be: the caller waits for it and releases the endpoint that it brings, if any.
func (b *Balancer) Cancel(w *Waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.queued {
		return false
	}
	b.unlink(w)
	return true
}

// EachWaiter calls yield with the waiters, the first to come first, until that is false. None of them leaves the queue meanwhile, as a lock is held: yield
// must be quick and must not call the Balancer.
func (b *Balancer) EachWaiter(yield func(*Waiter) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := b.queue.head; w != nil && yield(w); w = w.next {
	}
}

// Expire refuses the waiters whose deadline is now or has passed, the earliest deadline first, and returns the next deadline,
// 0 if no waiter has one. Times are in monotonic ns. The caller owns the timer: it calls Expire at the time returned, or
// at the Deadline of a waiter that it enqueued since, if that is earlier.
func (b *Balancer) Expire(now int64) (next int64) {
	for {
		b.mu.Lock()
		b.now = max(b.now, now)
		w := b.queue.dueFirst
		if w == nil || w.Deadline > now {
			if w != nil {
				next = w.Deadline
			}
			b.mu.Unlock()
			return next
		}
		b.unlink(w)
		b.mu.Unlock()
		w.Notify(w, nil)
	}
}

// grant is the grant loop. It locks once for each grant, so that a long queue does not keep others from it.
func (b *Balancer) grant(now int64) {
	for {
		w, e := b.grantHead(now)
		if w == nil {
			return
		}
		w.Notify(w, e)
	}
}

func (b *Balancer) grantHead(now int64) (*Waiter, *Endpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = max(b.now, now)
	w := b.queue.head
	if w == nil {
		return nil, nil
	}
	w.Now = max(w.Now, b.now)
	e := b.current.Load().take(&w.Request) // nil if there is no endpoint at all
	if e == nil {
		return nil, nil
	}
	b.unlink(w)
	return w, e
}

// unlink takes w off the queue. The lock is held.
func (b *Balancer) unlink(w *Waiter) {
	b.queue.remove(w)
	b.waiting.Add(-1)
}
