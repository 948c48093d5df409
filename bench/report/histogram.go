package report

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts times in buckets that are 1/32 of their value wide or less, for samples too many to keep. Goroutines may share one.
// The zero value is empty.
type Histogram struct {
	buckets [histogramBuckets]atomic.Uint64
	max     atomic.Int64 // ns
	count   atomic.Uint64
}

const (
	subBits          = 5
	histogramBuckets = (64 - subBits) << subBits
)

// Record adds a time; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))].Add(1)
	h.count.Add(1)
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// bucketOf is exact below 2^(subBits+1) ns; from there on each power of two has 2^subBits buckets.
func bucketOf(ns uint64) int {
	shift := max(0, bits.Len64(ns)-subBits-1)
	return shift<<subBits + int(ns>>shift)
}

// bucketTop is the largest time in a bucket, in ns.
func bucketTop(i int) uint64 {
	shift := max(0, i>>subBits-1)
	return (uint64(i-shift<<subBits)+1)<<shift - 1
}

// Count is how many times were recorded.
func (h *Histogram) Count() int { return int(h.count.Load()) }

// Quantile is a time in seconds that at least the share q of those recorded does not exceed, at most 1/32 too long; 0 if there are none.
func (h *Histogram) Quantile(q float64) float64 {
	rank := uint64(math.Ceil(q*float64(h.count.Load()) - 1e-9))
	var seen uint64
	for i := range h.buckets {
		if seen += h.buckets[i].Load(); seen >= max(rank, 1) {
			return min(time.Duration(bucketTop(i)).Seconds(), h.Max())
		}
	}
	return h.Max()
}

// Max is the longest time that was recorded, in seconds.
func (h *Histogram) Max() float64 { return time.Duration(h.max.Load()).Seconds() }
