package main

import (
	"math"
	"slices"
)

// samples collects nanoseconds in a preallocated slice; beyond its capacity they are dropped, so that measuring never allocates.
type samples struct {
	values []int64
}

func newSamples(most int) *samples {
	return &samples{values: make([]int64, 0, most)}
}

func (s *samples) add(v int64) {
	if len(s.values) < cap(s.values) {
		s.values = append(s.values, v)
	}
}

func (s *samples) reset() {
	s.values = s.values[:0]
}

// quantile is the nearest-rank quantile q, 0 to 1, in nanoseconds; 0 where there are no samples.
func (s *samples) quantile(q float64) int64 {
	if len(s.values) == 0 {
		return 0
	}
	slices.Sort(s.values)
	rank := int(math.Ceil(q * float64(len(s.values))))
	return s.values[max(rank, 1)-1]
}

// spread is the median of some rounds with its extremes.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"`
}

// spreadOf ignores NaN, which stands for a round without that value.
func spreadOf(values []float64) spread {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			sorted = append(sorted, v)
		}
	}
	if len(sorted) == 0 {
		return spread{}
	}
	slices.Sort(sorted)
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1], Rounds: len(sorted)}
}

// ratios divides round by round, so that what slowed a whole round down cancels out. A round that lacks either is NaN.
func ratios(values, base []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.NaN()
		if i < len(base) && base[i] > 0 {
			out[i] = v / base[i]
		}
	}
	return out
}
