package report

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPercentilesAreSamples(t *testing.T) {
	samples := make([]float64, 1000)
	for i := range samples {
		samples[i] = float64((i*7)%1000 + 1) // 1 to 1000, in disorder
	}
	before := slices.Clone(samples)
	want := Distribution{Count: 1000, Mean: 500.5, P50: 500, P90: 900, P99: 990, P999: 999, Max: 1000}
	if got := Percentiles(samples); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !slices.Equal(samples, before) {
		t.Error("the samples were put into another order")
	}
	if got := Percentiles(nil); got != (Distribution{}) {
		t.Errorf("of nothing: %+v", got)
	}
	if got, want := Percentiles([]float64{3}), (Distribution{1, 3, 3, 3, 3, 3, 3}); got != want {
		t.Errorf("of one: %+v", got)
	}
}

func TestQuantile(t *testing.T) {
	sorted := []float64{1, 2, 3, 4}
	for q, want := range map[float64]float64{0: 1, 0.25: 1, 0.26: 2, 0.5: 2, 0.75: 3, 0.76: 4, 1: 4} {
		if got := Quantile(sorted, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := Quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestCDF(t *testing.T) {
	samples := make([]float64, 10_000)
	for i := range samples {
		samples[i] = float64(len(samples) - i)
	}
	curve := CDF(samples, 100)
	if len(curve) < 90 || len(curve) > 100 || curve[0].X != 1 || curve[len(curve)-1] != (Point{10_000, 1}) {
		t.Fatalf("%d points from %v to %v", len(curve), curve[0], curve[len(curve)-1])
	}
	for i, p := range curve {
		if i > 0 && (p.X <= curve[i-1].X || p.Y <= curve[i-1].Y) {
			t.Errorf("%v does not rise above %v", p, curve[i-1])
		}
		if i > 0 && (p.X/10_000-p.Y > 1e-9 || p.Y-p.X/10_000 > 1e-3) {
			t.Errorf("%v is not on the line", p)
		}
	}
	if got := CDF([]float64{5, 5, 5}, 100); len(got) != 1 || got[0] != (Point{5, 1}) {
		t.Errorf("equal samples make %v", got)
	}
	if got := CDF(nil, 100); got != nil {
		t.Errorf("no samples make %v", got)
	}
}

func TestSpread(t *testing.T) {
	if got := SpreadOf([]float64{9, 1, 4}); got != (Spread{4, 1, 9}) {
		t.Errorf("of three: %v", got)
	}
	if got := SpreadOf([]float64{1, 2, 3, 10}); got != (Spread{2.5, 1, 10}) {
		t.Errorf("of four: %v", got)
	}
}

func TestHistogramIsAsExactAsItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var samples []float64
	for range 20_000 {
		d := time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		h.Record(d)
		samples = append(samples, d.Seconds())
	}
	slices.Sort(samples)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		exact, got := Quantile(samples, q), h.Quantile(q)
		if got < exact || got > exact*(1+1.0/32)+1e-9 {
			t.Errorf("quantile %v is %v, want %v to 1/32 more", q, got, exact)
		}
	}
	if h.Max() != samples[len(samples)-1] || h.Count() != len(samples) {
		t.Errorf("max %v of %d", h.Max(), h.Count())
	}
}

func TestHistogramBucketsJoin(t *testing.T) {
	for i := range histogramBuckets - 1 {
		top := bucketTop(i)
		if bucketOf(top) != i || bucketOf(top+1) != i+1 {
			t.Fatalf("bucket %d ends at %d, which is in bucket %d; the next is in bucket %d", i, top, bucketOf(top), bucketOf(top+1))
		}
	}
	var h Histogram
	h.Record(-time.Second)
	h.Record(1<<63 - 1)
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("a negative time counts as %v", got)
	}
	if got := h.Quantile(1); got != (time.Duration(1<<63 - 1)).Seconds() {
		t.Errorf("the longest time counts as %v", got)
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
