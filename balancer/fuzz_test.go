package balancer

import (
	"fmt"
	"math"
	"math/rand/v2"
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
	auto     Policy
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
	if r.Owed > max(r.Tokens, 0) {
		m.failf("a prompt of %d tokens owes %d", r.Tokens, r.Owed)
	}
	tokens := min(max(r.Owed, 0), mostTokens)
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
	switch m.random >> 54 % 8 {
	case 0:
		r.Tokens = [...]int64{math.MinInt64, math.MaxInt64, mostTokens + 1, 1}[m.random>>58%4]
	case 1:
		r.System, r.SystemTokens = 5, [...]int64{math.MinInt64, math.MaxInt64, -1, 3000}[m.random>>58%4]
	case 2:
		r.Adapter = AdapterHash([]byte("a"))
	}
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
	d := Done{Started: m.now - 10, FirstByte: m.now - int64(which%10), Now: m.now, Failed: which%5 == 0}
	if which%3 == 0 {
		d = m.anyDone()
	}
	m.balancer.Release(a.e, a.r, d)
}

// any returns one of the values.
func (m *model) any(values ...int64) int64 {
	m.random = nextRandom(m.random)
	return values[m.random>>32%uint64(len(values))]
}

// anyDone is an outcome that may make no sense.
func (m *model) anyDone() Done {
	at := func() int64 { return m.any(0, m.now, m.now-1, m.now-4e9, m.now+1e18, -1e18, 1) }
	tokens := func() int64 { return m.any(0, 1, 300, 1<<48, -5, math.MaxInt64) }
	return Done{
		Now: at(), Started: at(), FirstByte: at(), FirstToken: at(), Failed: m.any(0, 0, 0, 1) == 1, Busy: m.any(0, 0, 0, 1) == 1,
		Told: m.any(0, 1) == 1, PromptTokens: tokens(), CachedTokens: tokens(), OutputTokens: tokens(), Streamed: m.any(0, 1) == 1,
	}
}

// signal makes an endpoint say something of its load, sense or not.
func (m *model) signal(which byte) {
	e := m.all[int(which)%len(m.all)]
	reading := func() Reading {
		m.random = nextRandom(m.random)
		values := [...]float64{0, 1e-300, .5, 1, 16, 300, 1e9, 1e39, math.MaxFloat64}
		return Reading{values[m.random>>32%uint64(len(values))], m.any(0, m.now, m.now, m.now-1e9, m.now+1e18, -5)}
	}
	s := &Signals{
		Waiting: reading(), Running: reading(), PrefixHits: reading(), PrefixQueries: reading(), BlockSize: reading(), Blocks: reading(),
		InFlight: m.any(0, 0, 1, 5, 1<<62),
	}
	switch m.any(0, 1, 2, 3) {
	case 0:
		s.Adapters = NewAdapters([]string{"a", "b"}, nil, int(m.any(0, 2)), m.now)
	case 1:
		s.Adapters = NewAdapters(nil, nil, -1, 0)
	case 2:
		s = nil
	}
	e.SetSignals(s)
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
		if cost := e.LastCost(); math.IsNaN(cost) || math.IsInf(cost, 0) {
			m.failf("the cost of %s is %v", e.Name, cost)
		}
	}
	if len(m.queue) > 0 && m.anyRoom() {
		m.failf("%d wait beside free room", len(m.queue))
	}
}

// setAuto makes auto the policy, the same one each time, which has learned what it was told.
func (m *model) setAuto() {
	if m.auto == nil {
		m.auto = mustPolicy(m.t, "auto")
	}
	m.balancer.SetPolicy(m.auto)
}

func newModel(t *testing.T) *model {
	return &model{t: t, balancer: New(leastOutstanding{}), all: pool(6), counts: make(map[*Endpoint]int64), tokens: make(map[*Endpoint]int64)}
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
		{"signal", m.signal},
		{"auto", func(byte) { m.setAuto() }},
		{"age", func(later byte) { m.now += int64(later) << (later % 56) & math.MaxInt32 << 24 }},
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
	f.Add([]byte{7, 0x3f, 12, 0, 11, 0, 11, 1, 11, 2, 0, 0, 0, 1, 0, 2, 0, 3, 2, 0, 2, 3, 2, 6, 11, 3, 11, 4, 11, 5, 13, 40, 0, 0, 0, 0, 2, 0, 2, 0})
	f.Add([]byte{7, 0x3f, 12, 0, 11, 0, 0, 0, 2, 0, 11, 1, 0, 0, 2, 0, 11, 2, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 13, 9, 0, 0, 10, 0, 2, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := newModel(t)
		for ; len(ops) >= 2 && len(m.trace) < 200; ops = ops[2:] {
			m.do(ops[0], ops[1])
		}
	})
}

// What fuzzing does, with auto and random numbers: signals and outcomes that make no sense must not lead it astray.
func TestAutoWithAbsurdSignals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		m := newModel(t)
		m.setSnapshot(0x3f)
		m.setAuto()
		for range 400 {
			switch op := byte(random.Uint32()); op % 14 {
			case 9: // stay with auto
			case 5, 6:
				m.do(11, byte(random.Uint32()))
			default:
				m.do(op%14, byte(random.Uint32()))
			}
			m.trace = m.trace[max(0, len(m.trace)-20):]
		}
	}
}
