package balancer

import "testing"

// newAutoPool returns auto over n equal endpoints.
func newAutoPool(n int) (*auto, *Balancer, []*Endpoint) {
	a, eps := newAuto(Objectives{}).(*auto), pool(n)
	b := New(a)
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	return a, b, eps
}

// chat is a request of a conversation that is as long as its key of that number says.
func chat(conversation, last int, now int64) *Request {
	r := &Request{Now: now, Rand: nextRandom(uint64(conversation)<<20 + uint64(last)), KeyCount: last + 1, Tokens: KeyTokens[last]}
	for i := range r.KeyCount {
		r.Keys[i] = uint64(conversation)<<8 + uint64(i)
	}
	return r
}

// plain is a request with a prompt that has nothing in common with others.
func plain(i int, tokens, now int64) *Request {
	return &Request{Now: now, Rand: nextRandom(uint64(i)), Tokens: tokens}
}

// distrustOwners makes a expect nothing of owners.
func distrustOwners(a *auto) {
	for i := range a.pool.owned {
		a.pool.owned[i].add(0, 1e9, 1)
	}
	a.pool.found.add(0, 1e9, 1)
}

// seePeers makes a believe that so many gateways share the pool.
func seePeers(a *auto, n float64) { a.pool.others.add(n*1e5, 1e5, 1) }

func acquire(t testing.TB, b *Balancer, r *Request) *Endpoint {
	t.Helper()
	e, result := b.Acquire(r)
	if result != Acquired {
		t.Fatalf("Acquire answered %v", result)
	}
	return e
}

// world is a pool of replicas, each of which computes one prompt after the other and decodes at a constant speed. Their caches hold every
// prompt that they ever had.
type world struct {
	t       testing.TB
	b       *Balancer
	eps     []*Endpoint
	rate    []float64 // seconds for a prompt's token
	tells   bool      // of cached tokens
	now     int64
	free    map[*Endpoint]int64 // when it will have computed what it has
	caches  map[*Endpoint]map[uint64]bool
	flights []*flight

	computed map[*Endpoint]int64 // prompt tokens
	waits    []int64             // of requests for their first token
}

type flight struct {
	e                 *Endpoint
	r                 *Request
	start, first, end int64
	cached            int64
	answered          bool
}

func newWorld(t testing.TB, b *Balancer, eps []*Endpoint, rate ...float64) *world {
	w := &world{t: t, b: b, eps: eps, rate: rate, now: 1e9, tells: true, free: map[*Endpoint]int64{}, computed: map[*Endpoint]int64{}}
	w.caches = map[*Endpoint]map[uint64]bool{}
	for _, e := range eps {
		w.caches[e] = map[uint64]bool{}
	}
	return w
}

const (
	worldDecode = 20e6 // ns for a token of an answer
	worldAnswer = 50   // tokens of one
)

// send lets time pass until the next request and sends it; it returns where it went.
func (w *world) send(r *Request, after int64) *Endpoint {
	w.t.Helper()
	w.pass(after)
	r.Now = w.now
	e := acquire(w.t, w.b, r)
	f := &flight{e: e, r: r, start: w.now}
	for i := range r.KeyCount {
		if w.caches[e][r.Keys[i]] {
			f.cached = min(KeyTokens[i], r.Tokens-1)
		}
		w.caches[e][r.Keys[i]] = true
	}
	rate := w.rate[0]
	for i := range w.eps {
		if w.eps[i] == e {
			rate = w.rate[i%len(w.rate)]
		}
	}
	own := r.Tokens - f.cached
	w.computed[e] += own
	w.free[e] = max(w.free[e], w.now) + int64(float64(own)*rate*1e9)
	f.first = w.free[e] + frontEnd*1e9
	f.end = f.first + worldDecode*(worldAnswer-1)
	w.waits = append(w.waits, f.first-w.now)
	w.flights = append(w.flights, f)
	return e
}

// pass lets time go by, in which first tokens come and answers end.
func (w *world) pass(ns int64) {
	until := w.now + ns
	for {
		var next *flight
		at := until + 1
		for _, f := range w.flights {
			if due := f.due(); due < at {
				next, at = f, due
			}
		}
		if next == nil {
			break
		}
		w.now = at
		w.progress(next)
	}
	w.now = until
}

func (f *flight) due() int64 {
	if f.answered {
		return f.end
	}
	return f.first
}

func (w *world) progress(f *flight) {
	if !f.answered {
		f.answered = true
		w.b.Answered(f.r)
		return
	}
	d := Done{
		Started: f.start, FirstByte: f.first, FirstToken: f.first, Now: f.end, Streamed: true,
		Told: f.r.Tokens > 0, PromptTokens: f.r.Tokens, OutputTokens: worldAnswer,
	}
	if w.tells {
		d.CachedTokens = f.cached
	}
	w.b.Release(f.e, f.r, d)
	for i := range w.flights {
		if w.flights[i] == f {
			w.flights = append(w.flights[:i], w.flights[i+1:]...)
			return
		}
	}
}
