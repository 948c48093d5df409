package main

import (
	"math"
	"testing"
)

func TestQuantileIsNearestRank(t *testing.T) {
	s := newSamples(100)
	if got := s.quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %d", got)
	}
	for v := int64(100); v > 0; v-- {
		s.add(v)
	}
	s.add(1000) // beyond the capacity
	for q, want := range map[float64]int64{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile(%v) = %d, want %d", q, got, want)
		}
	}
}

func TestSpreadLeavesMissingRoundsOut(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{nan, nan}, spread{}},
		{[]float64{3, 1, 2}, spread{Median: 2, Min: 1, Max: 3, Rounds: 3}},
		{[]float64{4, nan, 1, 2, 3}, spread{Median: 2.5, Min: 1, Max: 4, Rounds: 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("spreadOf(%v) = %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	nan := math.NaN()
	// The second round was twice as slow for both: its ratio is that of the first.
	got := ratios([]float64{30, 60, 5, nan, 5}, []float64{20, 40, 0, 1})
	want := []float64{1.5, 1.5, nan, nan, nan}
	for i := range want {
		if got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
			t.Errorf("ratio of round %d is %v, want %v", i, got[i], want[i])
		}
	}
}
