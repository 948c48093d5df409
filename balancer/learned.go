package balancer

import (
	"math"
	"sync/atomic"
)

// learned is what auto finds out about an endpoint. Each is a word that changes in one atomic step, so that no lock is needed; where two
// of them do not fit together for a moment, a guess is off for a moment.
type learned struct {
	sent     decaying     // prompt tokens to compute that this gateway sent of late
	inserted atomic.Int64 // tokens that ever went into its cache from this gateway: prompts that were computed, and answers
	prefill  quantile     // seconds that a prompt's token takes
	decode   quantile     // seconds that an answer's token would take if no prompts were computed meanwhile
	polled   polledTokens
	cost     number // the last cost in seconds
}

// polledTokens is how many prompt tokens a second an endpoint computes by its own counters.
type polledTokens struct {
	at    atomic.Int64 // when they were read; 0 if never
	total number       // an average over busySeconds, of all gateways
	other number       // the same without this gateway's own
}

// read takes over what an endpoint says. Only who sets its signals calls it.
func (l *learned) read(s *Signals) {
	if s == nil || !s.PrefixQueries.Known() || !s.PrefixHits.Known() {
		return
	}
	p, at := &l.polled, s.PrefixQueries.At
	before := p.at.Load()
	if at <= before {
		return
	}
	rate := max(0, s.PrefixQueries.Value-s.PrefixHits.Value)
	if before != 0 {
		keep := decay(float64(at-before) / (busySeconds * 1e9))
		rate = rate*(1-keep) + keep*p.total.at()
	}
	p.total.set(rate)
	p.other.set(max(0, rate-l.sent.at(at)/busySeconds))
	p.at.Store(at)
}

// number is a float64.
type number struct{ bits atomic.Uint64 }

func (n *number) at() float64   { return math.Float64frombits(n.bits.Load()) }
func (n *number) set(v float64) { n.bits.Store(math.Float64bits(v)) }

// hashSet is a set of hashes that forgets: a later one may take an earlier one's place.
type hashSet struct{ places [256]atomic.Uint64 }

func (h *hashSet) add(hash uint64) {
	if p := &h.places[hash%uint64(len(h.places))]; p.Load() != hash {
		p.Store(hash)
	}
}

// has reports whether hash is known to be in the set; 0 never is.
func (h *hashSet) has(hash uint64) bool {
	return hash != 0 && h.places[hash%uint64(len(h.places))].Load() == hash
}

// decaying is a sum that loses a share of itself with time, 1/e in busySeconds: a float32 above 32 bits of time in ticks of 2^20 ns.
// 0 is nothing yet.
type decaying struct{ word atomic.Uint64 }

func (d *decaying) at(now int64) float64 { return decayed(d.word.Load(), now) }

func (d *decaying) add(amount float64, now int64) {
	for {
		old := d.word.Load()
		sum := decayed(old, now) + amount
		if d.word.CompareAndSwap(old, pack(sum, uint32(now>>20))) {
			return
		}
	}
}

// skew is by how many ticks a time may be before the last that a sum was given, as of requests that came at the same time: 18 minutes. What is
// earlier is not, but so much later that ticks have come round, which they do in 52 days.
const skew = 1 << 20

func decayed(word uint64, now int64) float64 {
	ticks := uint32(now>>20) - uint32(word)
	if ticks > math.MaxUint32-skew {
		ticks = 0
	}
	return high(word) * decay(float64(ticks)*((1<<20)/(busySeconds*1e9)))
}

// decay is about e^-x for x of 0 and more: (1 + x/8)^-8, which is quicker.
func decay(x float64) float64 {
	x = 1 + x*(1.0/8)
	x *= x
	x *= x
	return 1 / (x * x)
}

// ratio is a quotient of two sums, in which older samples count for less and less: two float32.
type ratio struct{ word atomic.Uint64 }

// value is the quotient, as if prior had been seen with a weight before anything else.
func (q *ratio) value(prior, weight float64) float64 {
	v := q.word.Load()
	return (high(v) + prior*weight) / (float64(math.Float32frombits(uint32(v))) + weight)
}

// weight is the sum that the quotient is over: how much was seen of late.
func (q *ratio) weight() float64 { return float64(math.Float32frombits(uint32(q.word.Load()))) }

// add counts a sample; keep is the part of all earlier ones that stays.
func (q *ratio) add(above, below, keep float64) {
	for {
		old := q.word.Load()
		a, b := high(old)*keep+above, float64(math.Float32frombits(uint32(old)))*keep+below
		if q.word.CompareAndSwap(old, pack(a, math.Float32bits(finite32(b)))) {
			return
		}
	}
}

// quantile follows a quantile of positive samples by steps up and down, in proportion to its value: a float32 above the number of samples. The
// first steps are larger.
type quantile struct{ word atomic.Uint64 }

// value is the quantile; prior if there was no sample.
func (q *quantile) value(prior float64) float64 {
	if v := q.word.Load(); v != 0 {
		return high(v)
	}
	return prior
}

// What a quantile may be: samples of 0 would lead it to where it could not come back from.
const leastQuantile, mostQuantile = 1e-9, 1e6

// add counts a sample; prior is where it starts, which the first sample only moves.
func (q *quantile) add(sample, prior, which float64) {
	for {
		old := q.word.Load()
		n, v := uint32(old), high(old)
		if n == 0 {
			v = prior
		}
		step := max(.02, 1/(.3*float64(n)+3))
		if sample > v {
			v = min(v*(1+step*which), sample)
		} else {
			v = max(v/(1+step*(1-which)), sample)
		}
		v = min(max(v, leastQuantile), mostQuantile)
		if q.word.CompareAndSwap(old, pack(v, min(n, 1<<30)+1)) {
			return
		}
	}
}

func pack(upper float64, lower uint32) uint64 {
	return uint64(math.Float32bits(finite32(upper)))<<32 | uint64(lower)
}

// finite32 is x as a float32 that is finite, so that no sum of it is without an end.
func finite32(x float64) float32 { return float32(min(x, math.MaxFloat32)) }

func high(word uint64) float64 { return float64(math.Float32frombits(uint32(word >> 32))) }
