package balancer

import (
	"fmt"
	"slices"
	"testing"
)

// acquisition is a request that was sent to an endpoint.
type acquisition struct {
	e      *Endpoint
	r      *Request
	tokens int64 // that still count
}

// model is a Balancer as simple as can be: slices, no concurrency, and every grant checked when it is made.
type model struct {
	t        *testing.T
	balancer *Balancer
	all      []*Endpoint
	now      int64
	random   uint64

	snapshot []*Endpoint
	limit    int64 // 0 is unlimited
	counts   map[*Endpoint]int64
	tokens   map[*Endpoint]int64
	held     []acquisition
	queue    []*Waiter
	size     int
	expiring bool
	trace    []string
}

func (m *model) failf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("after %v: %s", m.trace, fmt.Sprintf(format, args...))
}

func (m *model) hasRoom(e *Endpoint) bool {
	return slices.Contains(m.snapshot, e) && (m.limit == 0 || m.counts[e] < m.limit)
}

func (m *model) anyRoom() bool { return slices.ContainsFunc(m.snapshot, m.hasRoom) }

func (m *model) acquired(e *Endpoint, r *Request) {
	m.t.Helper()
	if !m.hasRoom(e) {
		m.failf("%s was acquired, which has no room", e.Name)
	}
	m.counts[e]++
	tokens := max(r.Tokens, 0)
	m.tokens[e] += tokens
	m.held = append(m.held, acquisition{e, r, tokens})
}

// notify checks a grant or expiry against the model at the moment it happens.
func (m *model) notify(w *Waiter, e *Endpoint) {
	i := slices.Index(m.queue, w)
	switch {
	case i < 0:
		m.failf("a waiter was notified that does not wait")
	case e != nil && i != 0:
		m.failf("waiter %d of the queue was granted before its head", i)
	case e != nil:
		m.acquired(e, &w.Request)
	case !m.expiring || w.Deadline == 0 || w.Deadline > m.now:
		m.failf("a waiter with the deadline %d expired at %d", w.Deadline, m.now)
	}
	m.queue = slices.Delete(m.queue, i, i+1)
}

// request returns one with some prompt or, now and then, a senseless one.
func (m *model) request() *Request {
	m.random = nextRandom(m.random)
	r := &Request{Rand: m.random, Now: m.now, Tokens: int64(m.random>>32%20000) - 1000, KeyCount: int(m.random >> 16 % (PrefixKeys + 1))}
	r.Keys[0], r.Keys[PrefixKeys-1] = m.random>>50%2, m.random>>50%8
	return r
}

func (m *model) acquire(tried byte) {
	r := m.request()
	r.Session, r.SessionSet = m.random, tried&1 == 0
	if tried&2 != 0 {
		r.Tried = m.all[:tried>>2%4]
	}
	want := Acquired
	switch {
	case len(m.snapshot) == 0:
		want = None
	case len(m.queue) > 0 || !m.anyRoom():
		want = Full
	}
	e, result := m.balancer.Acquire(r)
	if result != want {
		m.failf("Acquire answered %v, want %v", result, want)
	}
	if (e != nil) != (want == Acquired) {
		m.failf("Acquire answered %v with %v", result, e)
	}
	if e != nil {
		untried := func(e *Endpoint) bool { return m.hasRoom(e) && !slices.Contains(r.Tried, e) }
		if slices.Contains(r.Tried, e) && slices.ContainsFunc(m.snapshot, untried) {
			m.failf("%s was acquired, which was tried before", e.Name)
		}
		m.acquired(e, r)
	}
}

func (m *model) release(which byte) {
	if len(m.held) == 0 {
		return
	}
	i := int(which) % len(m.held)
	a := m.held[i]
	m.held = slices.Delete(m.held, i, i+1)
	m.counts[a.e]--
	m.tokens[a.e] -= a.tokens
	m.balancer.Release(a.e, a.r, Done{Started: m.now - 10, FirstByte: m.now - int64(which%10), Now: m.now, Failed: which%5 == 0})
}

func (m *model) answer(which byte) {
	if len(m.held) == 0 {
		return
	}
	a := &m.held[int(which)%len(m.held)]
	m.tokens[a.e] -= a.tokens
	a.tokens = 0
	m.balancer.Answered(a.r)
}

func (m *model) enqueue(timeout byte) {
	w := &Waiter{Request: *m.request(), Notify: m.notify}
	if timeout%4 != 0 {
		w.Deadline = m.now + int64(timeout)
	}
	want := len(m.queue) < m.size
	if want {
		m.queue = append(m.queue, w)
	}
	if got := m.balancer.Enqueue(w); got != want {
		m.failf("Enqueue answered %v with %d waiting of %d", got, len(m.queue), m.size)
	}
}

func (m *model) cancel(which byte) {
	if len(m.queue) == 0 {
		return
	}
	i := int(which) % len(m.queue)
	w := m.queue[i]
	m.queue = slices.Delete(m.queue, i, i+1)
	if !m.balancer.Cancel(w) || m.balancer.Cancel(w) {
		m.failf("a waiter was not cancelled exactly once")
	}
}

func (m *model) expire(later byte) {
	m.now += int64(later)
	m.expiring = true
	got := m.balancer.Expire(m.now)
	m.expiring = false
	want := int64(0)
	for _, w := range m.queue {
		if w.Deadline == 0 {
			continue
		}
		if w.Deadline <= m.now {
			m.failf("a waiter with the deadline %d still waits at %d", w.Deadline, m.now)
		}
		if want == 0 || w.Deadline < want {
			want = w.Deadline
		}
	}
	if got != want {
		m.failf("the next deadline is %d, want %d", got, want)
	}
}

func (m *model) setSnapshot(which byte) {
	m.snapshot = nil
	for i, e := range m.all {
		if which>>i&1 == 1 {
			m.snapshot = append(m.snapshot, e)
		}
	}
	m.limit = int64(which >> 6)
	if which&0x30 == 0x30 {
		m.all[0].SetCapacity(float64(1 + which%5))
		m.all[1].SetStartedAt(m.now, int64(which))
	}
	m.balancer.SetSnapshot(NewSnapshot(m.snapshot, Options{MaxInFlight: m.limit}))
}

// check compares what can be seen from outside. No request may wait beside free room.
func (m *model) check() {
	m.t.Helper()
	if got := m.balancer.QueueLen(); got != len(m.queue) {
		m.failf("%d wait, want %d", got, len(m.queue))
	}
	if got := m.balancer.InFlight(); got != int64(len(m.held)) {
		m.failf("%d are in flight, want %d", got, len(m.held))
	}
	for _, e := range m.all {
		if got := e.InFlight(); got != m.counts[e] {
			m.failf("%s has %d in flight, want %d", e.Name, got, m.counts[e])
		}
		if got := e.PromptTokens(); got != m.tokens[e] {
			m.failf("%s has %d prompt tokens outstanding, want %d", e.Name, got, m.tokens[e])
		}
	}
	if len(m.queue) > 0 && m.anyRoom() {
		m.failf("%d wait beside free room", len(m.queue))
	}
}

func (m *model) do(op, arg byte) {
	ops := []struct {
		name string
		do   func(byte)
	}{
		{"acquire", m.acquire},
		{"acquire", m.acquire},
		{"release", m.release},
		{"enqueue", m.enqueue},
		{"enqueue", m.enqueue},
		{"cancel", m.cancel},
		{"expire", m.expire},
		{"snapshot", m.setSnapshot},
		{"queue", func(n byte) { m.size = int(n % 8); m.balancer.SetQueue(m.size) }},
		{"policy", func(n byte) { m.balancer.SetPolicy(mustPolicy(m.t, PolicyNames()[int(n)%len(policies)])) }},
		{"answer", m.answer},
	}
	o := ops[int(op)%len(ops)]
	m.trace = append(m.trace, fmt.Sprintf("%s %d", o.name, arg))
	o.do(arg)
	m.check()
}

func FuzzBalancer(f *testing.F) {
	f.Add([]byte{8, 5, 3, 0, 3, 9, 7, 0x47, 0, 0, 2, 1, 6, 4, 7, 0x0f, 2, 0})
	f.Add([]byte{7, 0x7f, 0, 0, 0, 0, 8, 7, 3, 1, 3, 2, 3, 3, 5, 1, 6, 2, 9, 5, 2, 0, 2, 0, 2, 0})
	f.Add([]byte{8, 3, 7, 0x41, 0, 0, 3, 7, 3, 5, 3, 3, 3, 1, 6, 6, 7, 0x42, 2, 0, 2, 0})
	f.Add([]byte{7, 0xbf, 9, 4, 0, 2, 0, 6, 0, 10, 0, 14, 8, 1, 3, 0, 7, 0x30, 2, 5, 2, 0, 6, 255})
	f.Add([]byte{8, 3, 7, 0x83, 9, 1, 0, 0, 0, 0, 10, 0, 0, 0, 10, 1, 10, 1, 2, 0, 9, 4, 2, 0, 3, 0, 7, 0x01, 10, 2, 2, 0, 2, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		all := pool(6)
		m := &model{t: t, balancer: New(leastOutstanding{}), all: all, counts: make(map[*Endpoint]int64), tokens: make(map[*Endpoint]int64)}
		for ; len(ops) >= 2 && len(m.trace) < 200; ops = ops[2:] {
			m.do(ops[0], ops[1])
		}
	})
}
