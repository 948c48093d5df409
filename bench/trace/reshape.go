package trace

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"time"
)

// Speed returns the trace played factor times as fast: times are divided by it. It panics unless factor is positive and finite.
func (t *Trace) Speed(factor float64) *Trace {
	if !(factor > 0) || math.IsInf(factor, 0) {
		panic(fmt.Sprintf("BUG: a trace is to be played %v times as fast", factor))
	}
	faster := *t
	faster.Requests = slices.Clone(t.Requests)
	for i := range faster.Requests {
		r := &faster.Requests[i]
		// The bound keeps a tiny factor from overflowing; the latest requests then come together.
		r.At = time.Duration(math.Min(float64(r.At)/factor, 1<<62))
	}
	return &faster
}

// Cut returns the requests that come before d. They are shared with t.
func (t *Trace) Cut(d time.Duration) *Trace {
	return t.Limit(sort.Search(len(t.Requests), func(i int) bool { return t.Requests[i].At >= d }))
}

// Limit returns the first n requests, or all where there are fewer. They are shared with t.
func (t *Trace) Limit(n int) *Trace {
	n = max(0, min(n, len(t.Requests)))
	limited := *t
	limited.Requests = t.Requests[:n:n]
	return &limited
}
