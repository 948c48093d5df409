// Package report holds what a load test found, and shows it: the figures of a run and of runs next to each other, as JSON, as text and as
// one HTML file with charts. The load generator and the simulator fill it. Times are in seconds and rates per second, unless a field says
// otherwise.
package report

import (
	"math"
	"slices"
)

// Distribution is a set of samples in a few figures, all in the samples' unit. Without samples all are 0.
type Distribution struct {
	// Count is how many samples there are.
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// Percentiles sums samples up. They may come in any order, and keep it.
func Percentiles(samples []float64) Distribution {
	return sortedPercentiles(slices.Sorted(slices.Values(samples)))
}

func sortedPercentiles(sorted []float64) Distribution {
	if len(sorted) == 0 {
		return Distribution{}
	}
	sum := 0.0
	for _, x := range sorted {
		sum += x
	}
	return Distribution{
		Count: len(sorted), Mean: sum / float64(len(sorted)), Max: sorted[len(sorted)-1],
		P50: Quantile(sorted, 0.5), P90: Quantile(sorted, 0.9), P99: Quantile(sorted, 0.99), P999: Quantile(sorted, 0.999),
	}
}

// rank is the number, from 1, of the sample of n that is the quantile q.
func rank(n int, q float64) int {
	// Rounding must not lift an exact rank: 0.999 * 1000 is above 999 in floating point.
	return min(max(int(math.Ceil(q*float64(n)-1e-9)), 1), n)
}

// Quantile is the smallest sample that at least the share q (0 to 1) of all samples does not exceed; 0 if there are none.
// The samples are in ascending order.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[rank(len(sorted), q)-1]
}

// Point is a point of a curve.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// CDF is the cumulative distribution of samples as a curve of at most so many points, at least 4: Y is the share of the samples that are at most X.
// The tail is drawn as finely as the rest: half of the points are above the 90th percentile.
func CDF(samples []float64, points int) []Point {
	return sortedCDF(slices.Sorted(slices.Values(samples)), points)
}

func sortedCDF(sorted []float64, points int) []Point {
	var curve []Point
	if len(sorted) == 0 || points < 4 {
		return nil
	}
	add := func(q float64) {
		k := rank(len(sorted), q)
		p := Point{sorted[k-1], float64(k) / float64(len(sorted))}
		if n := len(curve); n > 0 && curve[n-1].X == p.X {
			curve[n-1] = p
			return
		}
		curve = append(curve, p)
	}
	half := points / 2
	for i := range half {
		add(0.9 * float64(i) / float64(half))
	}
	for i := range points - half {
		add(0.9 + 0.1*float64(i)/float64(points-half-1))
	}
	return curve
}

// Spread is what the rounds of a measurement found for one figure.
type Spread struct {
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

// SpreadOf sums the values of rounds up; there is at least one.
func SpreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Lowest: sorted[0], Highest: sorted[n-1]}
}
