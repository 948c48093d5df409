package live

import "math"

// Counters are readings of what only ever grows.
type Counters struct {
	Series map[Key]*Series
	Tokens map[string]Tokens // by pool
	// Targets counts requests that ended, of targets whose pool their split has more than once.
	Targets map[TargetKey]uint64
}

// TargetKey names a target of a route's split, which may have a pool for several models.
type TargetKey struct{ Route, Pool, Model string }

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

// target is how many requests of a target have ended.
func (c *Counters) target(k TargetKey) uint64 {
	if n, told := c.Targets[k]; told {
		return n
	}
	if one := c.Series[Key{k.Route, k.Pool}]; one != nil {
		return one.Requests
	}
	return 0
}

// change is what was counted between two readings, in all and by pool.
type change struct {
	seconds float64
	total   counted
	pools   map[string]*counted
}

type counted struct {
	Series
	Tokens
}

// since returns what was counted after an earlier reading. Each series is compared with itself, as a reload may end some, which would else take from
// what the others show. What has less than before was counted anew, and so was what was not there.
func (c *Counters) since(before *Counters, seconds float64) *change {
	d := &change{seconds: seconds, pools: make(map[string]*counted)}
	of := func(pool string) *counted {
		if d.pools[pool] == nil {
			d.pools[pool] = new(counted)
		}
		return d.pools[pool]
	}
	for k, s := range c.Series {
		fresh := s.since(before.Series[k])
		of(k.Pool).Series.add(&fresh)
		d.total.Series.add(&fresh)
	}
	for pool, t := range c.Tokens {
		was := before.Tokens[pool]
		fresh := Tokens{Prompt: grown(t.Prompt, was.Prompt), Output: grown(t.Output, was.Output)}
		of(pool).Tokens.add(fresh)
		d.total.Tokens.add(fresh)
	}
	return d
}

// of is what was counted of a pool.
func (d *change) of(pool string) *counted {
	if c := d.pools[pool]; c != nil {
		return c
	}
	return new(counted)
}

func (t *Tokens) add(o Tokens) {
	t.Prompt += o.Prompt
	t.Output += o.Output
}

func (s *Series) add(o *Series) {
	s.Requests += o.Requests
	s.Errors += o.Errors
	s.Aborts += o.Aborts
	s.TTFT.add(&o.TTFT)
	s.TPOT.add(&o.TPOT)
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

// since returns what was counted after an earlier reading of the series, all if there is none or it was of one before.
func (s *Series) since(before *Series) Series {
	if before == nil || s.Requests < before.Requests {
		return *s
	}
	return Series{
		Requests: s.Requests - before.Requests, Errors: grown(s.Errors, before.Errors), Aborts: grown(s.Aborts, before.Aborts),
		TTFT: s.TTFT.since(&before.TTFT), TPOT: s.TPOT.since(&before.TPOT),
	}
}

func (h *Histogram) since(before *Histogram) Histogram {
	d := Histogram{Bounds: h.Bounds, Counts: append([]uint64(nil), h.Counts...)}
	if len(before.Counts) == len(h.Counts) {
		for i := range d.Counts {
			d.Counts[i] = grown(d.Counts[i], before.Counts[i])
		}
	}
	return d
}

// grown is by how much a counter has grown. One that has less than before was counted anew.
func grown[N uint64 | float64](now, before N) N {
	if now < before {
		return now
	}
	return now - before
}

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
func ms(seconds float64) float64 { return rounded(seconds*1e3, 100) }

// rounded is v to so many parts of one. What is too great for that is what it was: endpoints may say any number, and JSON has no infinity.
func rounded(v, parts float64) float64 {
	if r := math.Round(v*parts) / parts; !math.IsInf(r, 0) {
		return r
	}
	return v
}
