package balancer

import (
	"slices"
	"testing"
)

// grants records the outcomes of waiters by name, in the order in which they were notified.
type grants struct {
	names     []string
	endpoints map[string]*Endpoint
}

// waiter returns one that records its outcome under a name.
func (g *grants) waiter(name string, deadline int64) *Waiter {
	return &Waiter{Deadline: deadline, Notify: func(_ *Waiter, e *Endpoint) {
		if g.endpoints == nil {
			g.endpoints = make(map[string]*Endpoint)
		}
		g.names = append(g.names, name)
		g.endpoints[name] = e
	}}
}

func (g *grants) want(t *testing.T, names ...string) {
	t.Helper()
	if !slices.Equal(g.names, names) {
		t.Errorf("waiters were notified in the order %v, want %v", g.names, names)
	}
}

// fullBalancer returns a balancer with n endpoints that may take one request each and have it.
func fullBalancer(t *testing.T, n, queue int) (*Balancer, []*Endpoint) {
	t.Helper()
	b := New(leastOutstanding{})
	b.SetQueue(queue)
	eps := pool(n)
	b.SetSnapshot(NewSnapshot(eps, Options{MaxInFlight: 1}))
	for range n {
		if _, result := b.Acquire(&Request{}); result != Acquired {
			t.Fatal(result)
		}
	}
	return b, eps
}

func TestAcquire(t *testing.T) {
	b := New(leastOutstanding{})
	if e, result := b.Acquire(&Request{}); e != nil || result != None {
		t.Errorf("without endpoints: %v, %v", e, result)
	}
	b, eps := fullBalancer(t, 2, 0)
	if e, result := b.Acquire(&Request{}); e != nil || result != Full {
		t.Errorf("with all endpoints full: %v, %v", e, result)
	}
	b.Release(eps[1], &Request{}, Done{})
	if e, result := b.Acquire(&Request{}); e != eps[1] || result != Acquired {
		t.Errorf("with room at one endpoint: %v, %v", e, result)
	}
	b.SetSnapshot(nil)
	if e, result := b.Acquire(&Request{}); e != nil || result != None {
		t.Errorf("after the endpoints left: %v, %v", e, result)
	}
	for result, want := range map[AcquireResult]string{Acquired: "acquired", Full: "full", None: "none", 9: "unknown"} {
		if result.String() != want {
			t.Errorf("result %d is called %q", result, result)
		}
	}
}

func TestQueueIsFirstInFirstOut(t *testing.T) {
	b, eps := fullBalancer(t, 2, 10)
	var g grants
	for _, name := range []string{"a", "b", "c"} {
		if !b.Enqueue(g.waiter(name, 0)) {
			t.Fatal("the queue is full")
		}
	}
	g.want(t)
	if n := b.QueueLen(); n != 3 {
		t.Errorf("%d wait, want 3", n)
	}
	b.Release(eps[1], &Request{}, Done{})
	g.want(t, "a")
	b.Release(eps[0], &Request{}, Done{})
	b.Release(g.endpoints["a"], &Request{}, Done{})
	g.want(t, "a", "b", "c")
	if g.endpoints["a"] != eps[1] || g.endpoints["b"] != eps[0] || g.endpoints["c"] != eps[1] {
		t.Errorf("grants went to other endpoints than had room: %v", g.endpoints)
	}
	if b.QueueLen() != 0 || b.InFlight() != 2 {
		t.Errorf("%d wait and %d are in flight, want 0 and 2", b.QueueLen(), b.InFlight())
	}
}

// A new arrival must wait behind the queue even if an endpoint has room that the queue could not use yet.
func TestArrivalsDoNotOvertake(t *testing.T) {
	b, eps := fullBalancer(t, 1, 10)
	var g grants
	b.Enqueue(g.waiter("a", 0))
	eps[0].drop() // room of which the queue has not heard
	if _, result := b.Acquire(&Request{}); result != Full {
		t.Errorf("an arrival overtook a waiter: %v", result)
	}
	b.Enqueue(g.waiter("b", 0))
	g.want(t, "a")
}

func TestQueueIsBounded(t *testing.T) {
	b, _ := fullBalancer(t, 1, 2)
	var g grants
	a, c := g.waiter("a", 0), g.waiter("c", 0)
	if !b.Enqueue(a) || !b.Enqueue(g.waiter("b", 0)) || b.Enqueue(c) {
		t.Error("a queue of size 2 took other than 2 waiters")
	}
	if !b.Cancel(a) || !b.Enqueue(c) {
		t.Error("a cancelled waiter left no room in the queue")
	}
	b.SetQueue(-1)
	if b.Enqueue(a) {
		t.Error("a queue of negative size took a waiter")
	}
	if b.QueueLen() != 2 {
		t.Errorf("%d wait after the queue was made smaller, want the 2 that did", b.QueueLen())
	}
	g.want(t)
}

func TestCancel(t *testing.T) {
	b, eps := fullBalancer(t, 1, 10)
	var g grants
	waiters := map[string]*Waiter{}
	for _, name := range []string{"a", "b", "c", "d"} {
		waiters[name] = g.waiter(name, 5)
		b.Enqueue(waiters[name])
	}
	for _, name := range []string{"c", "a"} { // in the middle and at the head
		if !b.Cancel(waiters[name]) {
			t.Errorf("%s was not cancelled", name)
		}
		if b.Cancel(waiters[name]) {
			t.Errorf("%s was cancelled twice", name)
		}
	}
	b.Release(eps[0], &Request{}, Done{})
	g.want(t, "b")
	if b.Cancel(waiters["b"]) {
		t.Error("a granted waiter was cancelled")
	}
	if !b.Enqueue(waiters["a"]) { // reused
		t.Error("a cancelled waiter could not wait again")
	}
	b.Release(eps[0], &Request{}, Done{})
	b.Release(eps[0], &Request{}, Done{})
	g.want(t, "b", "d", "a")
	if b.Cancel(&Waiter{}) {
		t.Error("a waiter that never waited was cancelled")
	}
}

func TestExpire(t *testing.T) {
	b, eps := fullBalancer(t, 1, 10)
	if next := b.Expire(100); next != 0 {
		t.Errorf("an empty queue has a deadline: %d", next)
	}
	var g grants
	for _, w := range []struct {
		name     string
		deadline int64
	}{{"never", 0}, {"30", 30}, {"10", 10}, {"20", 20}, {"10 later", 10}, {"40", 40}} {
		b.Enqueue(g.waiter(w.name, w.deadline))
	}
	steps := []struct {
		now, next int64
		notified  []string
	}{
		{9, 10, nil},
		{10, 20, []string{"10", "10 later"}},
		{35, 40, []string{"10", "10 later", "20", "30"}},
		{40, 0, []string{"10", "10 later", "20", "30", "40"}},
		{1e9, 0, []string{"10", "10 later", "20", "30", "40"}},
	}
	for _, step := range steps {
		if next := b.Expire(step.now); next != step.next {
			t.Errorf("at %d the next deadline is %d, want %d", step.now, next, step.next)
		}
		g.want(t, step.notified...)
	}
	for name, e := range g.endpoints {
		if e != nil {
			t.Errorf("%s expired with an endpoint", name)
		}
	}
	b.Release(eps[0], &Request{}, Done{})
	g.want(t, "10", "10 later", "20", "30", "40", "never")
}

func TestColdStartHoldsRequests(t *testing.T) {
	b := New(leastOutstanding{})
	b.SetQueue(3)
	var g grants
	for _, name := range []string{"a", "b", "c"} {
		if !b.Enqueue(g.waiter(name, 0)) {
			t.Fatal("the queue is full")
		}
	}
	g.want(t)
	if _, result := b.Acquire(&Request{}); result != None {
		t.Errorf("without endpoints: %v, want none even while others wait", result)
	}
	b.SetSnapshot(NewSnapshot(pool(1), Options{MaxInFlight: 2}))
	g.want(t, "a", "b")
	b.SetSnapshot(NewSnapshot(b.Snapshot().endpoints, Options{})) // unlimited: the queue drains
	g.want(t, "a", "b", "c")
	if b.QueueLen() != 0 || b.InFlight() != 3 {
		t.Errorf("%d wait and %d are in flight, want 0 and 3", b.QueueLen(), b.InFlight())
	}
}

// A waiter's grant is picked with its own session, what it tried, and a time that moves on.
func TestGrantsUseTheWaitersRequest(t *testing.T) {
	b := New(session{})
	b.SetQueue(2)
	var g grants
	eps := pool(8)
	mine := sessionPick(NewSnapshot(eps, Options{}), 5)
	a, c := g.waiter("a", 0), g.waiter("c", 0)
	a.Session, a.SessionSet = 5, true
	c.Session, c.SessionSet, c.Tried, c.Now = 5, true, []*Endpoint{mine}, 10
	b.Enqueue(a)
	b.Enqueue(c)
	b.Expire(77)
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	if g.endpoints["a"] != mine || g.endpoints["c"] == mine || g.endpoints["c"] == nil {
		t.Errorf("session 5 of %s went to %v and, having tried that, to %v", mine.Name, g.endpoints["a"], g.endpoints["c"])
	}
	if a.Now != 77 || c.Now != 77 {
		t.Errorf("the picks were made for the times %d and %d, want 77", a.Now, c.Now)
	}
}

func TestInFlightCountsDepartedEndpoints(t *testing.T) {
	b := New(leastOutstanding{})
	eps := pool(3)
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	for range 6 {
		b.Acquire(&Request{})
	}
	want := func(n int64) {
		t.Helper()
		if got := b.InFlight(); got != n {
			t.Errorf("%d are in flight, want %d", got, n)
		}
	}
	b.SetSnapshot(NewSnapshot(eps[2:], Options{}))
	want(6)
	b.SetSnapshot(nil)
	want(6)
	b.Release(eps[0], &Request{}, Done{})
	want(5)
	b.SetSnapshot(NewSnapshot(eps[:1], Options{})) // one that left comes back
	want(5)
	for _, i := range []int{0, 1, 1, 2, 2} {
		b.Release(eps[i], &Request{}, Done{})
	}
	want(0)
	if len(b.departed) != 0 {
		t.Errorf("%d endpoints without requests are still remembered", len(b.departed))
	}
}

// stepPolicy runs a hook in the middle of a pick, where another goroutine would come in between.
type stepPolicy struct {
	Policy
	hook func()
}

func (p *stepPolicy) Pick(s *Snapshot, r *Request) *Endpoint {
	e := p.Policy.Pick(s, r)
	if hook := p.hook; hook != nil {
		p.hook = nil
		hook()
	}
	return e
}

// A pick that began before SetSnapshot must not bring a request to an endpoint that has left.
func TestPickFromOutdatedSnapshotIsHandedBack(t *testing.T) {
	eps := pool(2)
	p := &stepPolicy{Policy: leastOutstanding{}}
	b := New(p)
	b.SetQueue(1)
	b.SetSnapshot(NewSnapshot(eps[:1], Options{MaxInFlight: 1}))
	p.hook = func() { b.SetSnapshot(NewSnapshot(eps[1:], Options{MaxInFlight: 1})) }
	if e, result := b.Acquire(&Request{}); result != Acquired || e != eps[1] {
		t.Errorf("acquired %v, %v", e, result)
	}
	if eps[0].InFlight() != 0 || b.InFlight() != 1 {
		t.Errorf("%d in flight at the endpoint that left, %d in all", eps[0].InFlight(), b.InFlight())
	}
}

// A waiter that comes while an endpoint is counted up, only to be handed back, finds no room, and gets it afterwards.
func TestHandedBackRoomGoesToTheQueue(t *testing.T) {
	eps := pool(1)
	b := New(leastOutstanding{})
	b.SetQueue(1)
	old := NewSnapshot(eps, Options{MaxInFlight: 1})
	b.SetSnapshot(old)
	if !eps[0].take(1) { // Acquire, up to where it looks at the snapshot again
		t.Fatal("no room")
	}
	b.SetSnapshot(NewSnapshot(eps, Options{MaxInFlight: 1}))
	var g grants
	b.Enqueue(g.waiter("a", 0))
	g.want(t)
	b.giveBack(eps[0], &Request{}, 0) // Acquire, having seen another snapshot
	g.want(t, "a")
}

// A request that loses the last room of its choice to another picks again, and in the end takes any room there is.
func TestLostRacesPickAgain(t *testing.T) {
	eps := pool(10)
	b := New(leastOutstanding{})
	b.SetSnapshot(NewSnapshot(eps, Options{MaxInFlight: 1}))
	stubborn := &stubbornPolicy{e: eps[3]}
	b.SetPolicy(stubborn)
	eps[3].take(1)
	for i := range 9 {
		e, result := b.Acquire(&Request{Rand: nextRandom(uint64(i)), Tried: eps[5:6]})
		if result != Acquired {
			t.Fatalf("%v with %d endpoints free", result, 9-i)
		}
		if e == eps[5] != (i == 8) {
			t.Errorf("request %d took the endpoint that it had tried before: %v", i, e == eps[5])
		}
	}
	if _, result := b.Acquire(&Request{}); result != Full {
		t.Errorf("acquired beyond the limit: %v", result)
	}
}

// stubbornPolicy always chooses the same endpoint, as if it had room at the time.
type stubbornPolicy struct{ e *Endpoint }

func (p *stubbornPolicy) Pick(*Snapshot, *Request) *Endpoint { return p.e }
func (p *stubbornPolicy) Done(*Endpoint, *Request, Done)     {}

func TestReleaseTooOftenPanics(t *testing.T) {
	b := New(leastOutstanding{})
	e := NewEndpoint("10.0.0.1:8000", nil)
	defer func() {
		if got := recover(); got != "BUG: endpoint 10.0.0.1:8000 was released more often than it was acquired" {
			t.Errorf("panic with %v", got)
		}
	}()
	b.Release(e, &Request{}, Done{})
}

func TestEnqueueTwicePanics(t *testing.T) {
	b := New(leastOutstanding{})
	b.SetQueue(2)
	w := &Waiter{}
	b.Enqueue(w)
	defer func() {
		if recover() == nil {
			t.Error("a waiter was enqueued twice")
		}
	}()
	b.Enqueue(w)
}

func TestSetPolicy(t *testing.T) {
	b, eps := fullBalancer(t, 1, 1)
	b.SetPolicy(&stubbornPolicy{nil}) // sees no room anywhere
	var g grants
	b.Enqueue(g.waiter("a", 0))
	b.Release(eps[0], &Request{}, Done{})
	g.want(t)
	b.SetPolicy(leastOutstanding{})
	g.want(t, "a")
}

// The fast path may not allocate, whatever the policy.
func TestAcquireReleaseAllocatesNothing(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, p Policy) {
		for _, n := range []int{1, 8, 100} {
			b := New(p)
			eps := pool(n)
			b.SetSnapshot(NewSnapshot(eps, Options{MaxInFlight: 8}))
			r := &Request{SessionSet: true, Tried: eps[:1], Tokens: 1000, KeyCount: PrefixKeys}
			i := uint64(0)
			if got := testing.AllocsPerRun(1000, func() {
				i++
				r.Rand, r.Session = nextRandom(i), i
				r.Keys[0], r.Keys[PrefixKeys-1] = i, i+1
				e, _ := b.Acquire(r)
				b.Release(e, r, Done{Started: int64(i), FirstByte: int64(i) + 1000, Now: int64(i) + 2000})
			}); got != 0 {
				t.Errorf("%v allocations for %d endpoints", got, n)
			}
		}
	})
}

// Waiting may not allocate either: the waiter is its owner's.
func TestWaitingAllocatesNothing(t *testing.T) {
	b, eps := fullBalancer(t, 1, 2)
	w := &Waiter{Deadline: 5, Notify: func(*Waiter, *Endpoint) {}}
	x := &Waiter{Deadline: 3, Notify: func(*Waiter, *Endpoint) {}}
	r := &Request{}
	if got := testing.AllocsPerRun(1000, func() {
		b.Enqueue(w)
		b.Enqueue(x)
		b.Expire(3)
		b.Cancel(x)
		b.Release(eps[0], r, Done{})
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
