package gateway

import (
	"math"
	"math/bits"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A histogram counts durations in cells that are cut both at the classic buckets' bounds and at those of Prometheus's native histograms, so that
// one atomic addition serves both forms and a scrape can never see them differ: Prometheus refuses a native histogram whose buckets do not add up.
// That is also why client_golang's own histogram is not used: with native buckets it costs several times as much for each observation, allocates
// whenever it meets a new bucket, and has to fold or reset what grows beyond its bound. The cells are here all there ever are: 2.2 KB for a series.

// Native buckets grow by 2^(1/8), 9 %, which is schema 3 of Prometheus: a quantile is within 5 % of what it should be. They reach from
// 2^-20 s, about 1 µs, to 2^12 s, more than an hour. What is below counts as zero, and what is above as the longest.
const (
	nativeSchema   = 3
	nativePerTwice = 1 << nativeSchema
	nativeLowest   = -20 * nativePerTwice
	nativeHighest  = 12 * nativePerTwice
)

// cells is how a histogram is cut. All that have the same classic buckets share it.
type cells struct {
	classic []float64 // upper bounds in s, ascending
	bounds  []int64   // upper bounds of all cells but the last in ns, ascending
	ends    []int     // side by side with classic: how many cells are within the bucket
	native  []int     // the native bucket of each cell, counted from 0 for what counts as zero
	first   [64 << cellBits]uint16
}

// cellBits is how many bits of a duration after its highest one lead to the first cell where it may be.
const cellBits = 4

func newCells(classic []float64) *cells {
	c := &cells{classic: classic}
	for i := nativeLowest; i <= nativeHighest; i++ {
		c.bounds = append(c.bounds, nanoseconds(nativeBound(i)))
	}
	for _, b := range classic {
		c.bounds = append(c.bounds, nanoseconds(b))
	}
	slices.Sort(c.bounds)
	c.bounds = slices.Compact(c.bounds)
	for _, b := range classic {
		c.ends = append(c.ends, sort.Search(len(c.bounds), func(i int) bool { return c.bounds[i] > nanoseconds(b) }))
	}
	for cell := range len(c.bounds) + 1 {
		i := nativeHighest
		if cell < len(c.bounds) {
			i = nativeLowest + sort.Search(nativeHighest-nativeLowest, func(i int) bool { return c.bounds[cell] <= nanoseconds(nativeBound(nativeLowest+i)) })
		}
		c.native = append(c.native, i-nativeLowest)
	}
	for i := range c.first {
		c.first[i] = uint16(sort.Search(len(c.bounds), func(cell int) bool { return c.bounds[cell] >= leastAt(i) }))
	}
	return c
}

// nativeBound is the upper bound of a native bucket in s.
func nativeBound(i int) float64 { return math.Exp2(float64(i) / nativePerTwice) }

// nanoseconds is the longest duration in whole ns that is not above a bound. Bounds such as 0.1 are no exact binary fractions.
func nanoseconds(bound float64) int64 { return int64(math.Floor(bound*1e9 + 1e-3)) }

// place is the entry of first for a duration: its number of bits, and those that follow the highest.
func place(ns int64) int {
	n := bits.Len64(uint64(ns))
	if n <= cellBits {
		return int(ns)
	}
	return n<<cellBits | int(ns>>(n-1-cellBits))&(1<<cellBits-1)
}

// leastAt is the shortest duration with that place, or one that is shorter than all with it.
func leastAt(i int) int64 {
	n := i >> cellBits
	if n <= cellBits {
		return int64(min(i, 1<<cellBits))
	}
	return int64(1<<cellBits|i&(1<<cellBits-1)) << (n - 1 - cellBits)
}

// find returns the cell of a duration.
func (c *cells) find(ns int64) int {
	i := int(c.first[place(ns)])
	for i < len(c.bounds) && ns > c.bounds[i] {
		i++
	}
	return i
}

// histogram is the durations of one series.
type histogram struct {
	desc   *prometheus.Desc
	cells  *cells
	labels []*dto.LabelPair
	counts []atomic.Uint64
	sum    atomic.Int64 // ns
}

// observe counts a duration in ns; one below 0 counts as 0.
func (h *histogram) observe(ns int64) {
	ns = max(ns, 0)
	h.counts[h.cells.find(ns)].Add(1)
	h.sum.Add(ns)
}

// Desc describes the metric.
func (h *histogram) Desc() *prometheus.Desc { return h.desc }

// Write writes both forms of the histogram. The text formats leave the native one out.
func (h *histogram) Write(m *dto.Metric) error {
	counts := make([]uint64, len(h.counts))
	sum := float64(h.sum.Load()) / 1e9
	total := uint64(0)
	for i := range h.counts {
		counts[i] = h.counts[i].Load()
		total += counts[i]
	}
	m.Label = h.labels
	m.Histogram = &dto.Histogram{SampleCount: &total, SampleSum: &sum}
	h.cells.writeClassic(m.Histogram, counts)
	h.cells.writeNative(m.Histogram, counts)
	return nil
}

func (c *cells) writeClassic(h *dto.Histogram, counts []uint64) {
	below, cell := uint64(0), 0
	for i, end := range c.ends {
		for ; cell < end; cell++ {
			below += counts[cell]
		}
		cumulative := below
		h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: &cumulative, UpperBound: &c.classic[i]})
	}
}

// writeNative writes spans of buckets that have counts, each as its difference to the one before.
func (c *cells) writeNative(h *dto.Histogram, counts []uint64) {
	var buckets [nativeHighest - nativeLowest + 1]int64
	for cell, n := range counts {
		buckets[c.native[cell]] += int64(n)
	}
	schema, threshold, zero := int32(nativeSchema), nativeBound(nativeLowest), uint64(buckets[0])
	h.Schema, h.ZeroThreshold, h.ZeroCount = &schema, &threshold, &zero
	before, next := int64(0), 0
	for i := 1; i < len(buckets); i++ {
		if buckets[i] == 0 {
			continue
		}
		at := nativeLowest + i
		if len(h.PositiveSpan) == 0 || at != next {
			gap := int32(at - next) // the first is counted from bucket 0, the others from the end of the one before
			h.PositiveSpan = append(h.PositiveSpan, &dto.BucketSpan{Offset: &gap, Length: new(uint32)})
		}
		*h.PositiveSpan[len(h.PositiveSpan)-1].Length++
		h.PositiveDelta = append(h.PositiveDelta, buckets[i]-before)
		before, next = buckets[i], at+1
	}
	if len(h.PositiveSpan) == 0 {
		// An empty span tells a native histogram without observations from a classic one.
		h.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32), Length: new(uint32)}}
	}
}

// histogramVec is the histograms of a name, by the values of up to two labels.
type histogramVec struct {
	desc  *prometheus.Desc
	names []string
	cells *cells

	mu sync.RWMutex
	of map[[2]string]*histogram
}

func histograms(name, help string, buckets []float64, labels ...string) *histogramVec {
	return &histogramVec{
		desc:  prometheus.NewDesc(namespace+"_"+name, help, labels, nil),
		names: labels, cells: newCells(buckets), of: make(map[[2]string]*histogram),
	}
}

// with returns the histogram of the labels' values, in the order of their names.
func (v *histogramVec) with(values ...string) *histogram {
	var key [2]string
	if copy(key[:], values) != len(v.names) {
		panic("BUG: a histogram with other labels than " + v.desc.String())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.of[key]
	if h == nil {
		h = &histogram{desc: v.desc, cells: v.cells, labels: prometheus.MakeLabelPairs(v.desc, values), counts: make([]atomic.Uint64, len(v.cells.bounds)+1)}
		v.of[key] = h
	}
	return h
}

// remove ends a series. Whoever still has it counts where nobody looks.
func (v *histogramVec) remove(values ...string) {
	var key [2]string
	copy(key[:], values)
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.of, key)
}

// Describe sends the description.
func (v *histogramVec) Describe(ch chan<- *prometheus.Desc) { ch <- v.desc }

// Collect sends every series.
func (v *histogramVec) Collect(ch chan<- prometheus.Metric) {
	v.mu.RLock()
	all := make([]*histogram, 0, len(v.of))
	for _, h := range v.of {
		all = append(all, h)
	}
	v.mu.RUnlock()
	for _, h := range all {
		ch <- h
	}
}
