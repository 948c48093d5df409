package live

import "math"

// Counters are readings of what only ever grows.
type Counters struct {
	Series map[Key]*Series
	Tokens map[string]Tokens // by pool
}

// Key names the requests of a route that went to a pool.
type Key struct{ Route, Pool string }

// Series counts requests that ended.
type Series struct {
	Requests, Errors, Aborts uint64
	TTFT, TPOT               Histogram
}

// Tokens counts tokens that responses told of.
type Tokens struct{ Prompt, Output float64 }

// Histogram counts observations by buckets. The bounds are upper ones, in seconds; there is one count more, of what lies above all.
type Histogram struct {
	Bounds []float64
	Counts []uint64
}

// sum adds up the counts of those series that are chosen.
func (c *Counters) sum(chosen func(Key) bool) (s Series) {
	for k, one := range c.Series {
		if chosen(k) {
			s.Requests += one.Requests
			s.Errors += one.Errors
			s.Aborts += one.Aborts
			s.TTFT.add(&one.TTFT)
			s.TPOT.add(&one.TPOT)
		}
	}
	return s
}

func (c *Counters) tokens(chosen func(pool string) bool) (t Tokens) {
	for pool, one := range c.Tokens {
		if chosen(pool) {
			t.Prompt += one.Prompt
			t.Output += one.Output
		}
	}
	return t
}

func (h *Histogram) add(o *Histogram) {
	if len(o.Counts) == 0 {
		return
	}
	if len(h.Counts) != len(o.Counts) {
		h.Bounds, h.Counts = o.Bounds, make([]uint64, len(o.Counts))
	}
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
}

// since returns what was counted after an earlier reading, nothing if that had more.
func (s Series) since(before Series) Series {
	return Series{
		Requests: less(s.Requests, before.Requests), Errors: less(s.Errors, before.Errors), Aborts: less(s.Aborts, before.Aborts),
		TTFT: s.TTFT.since(&before.TTFT), TPOT: s.TPOT.since(&before.TPOT),
	}
}

func (h *Histogram) since(before *Histogram) Histogram {
	d := Histogram{Bounds: h.Bounds, Counts: append([]uint64(nil), h.Counts...)}
	if len(before.Counts) == len(h.Counts) {
		for i := range d.Counts {
			d.Counts[i] = less(d.Counts[i], before.Counts[i])
		}
	}
	return d
}

func less(a, b uint64) uint64 { return a - min(a, b) }

func (h *Histogram) count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// quantile returns a quantile in seconds, taking observations to lie evenly within their bucket; what lies above all bounds is taken for the last
// bound. It is 0 where nothing was observed.
func (h *Histogram) quantile(q float64) float64 {
	rank, below := q*float64(h.count()), 0.0
	for i, c := range h.Counts {
		if c == 0 || below+float64(c) < rank {
			below += float64(c)
			continue
		}
		if i == len(h.Bounds) {
			return h.Bounds[i-1]
		}
		lower := 0.0
		if i > 0 {
			lower = h.Bounds[i-1]
		}
		return lower + (h.Bounds[i]-lower)*(rank-below)/float64(c)
	}
	return 0
}

// latency is a histogram's quantiles; nil where nothing was observed.
func (h *Histogram) latency() *Latency {
	n := h.count()
	if n == 0 {
		return nil
	}
	return &Latency{Count: n, P50: ms(h.quantile(.5)), P95: ms(h.quantile(.95)), P99: ms(h.quantile(.99))}
}

// ms returns seconds in ms, to a hundredth.
func ms(seconds float64) float64 { return math.Round(seconds*1e5) / 100 }
