package gateway

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
)

// buckets returns the native buckets by index, and how many there are within all.
func buckets(h *dto.Histogram) (by map[int]int64, total uint64) {
	by = make(map[int]int64)
	index, count, delta := 0, int64(0), 0
	for _, s := range h.PositiveSpan {
		index += int(s.GetOffset())
		for range s.GetLength() {
			count += h.PositiveDelta[delta]
			by[index] = count
			total += uint64(count)
			index, delta = index+1, delta+1
		}
	}
	return by, total + h.GetZeroCount()
}

func written(t testing.TB, m prometheus.Metric) *dto.Histogram {
	t.Helper()
	var w dto.Metric
	if err := m.Write(&w); err != nil {
		t.Fatal(err)
	}
	return w.Histogram
}

// durations are in ns: those around every bound, the ends, and others at random.
func durations(c *cells) []int64 {
	all := []int64{0, 1, 2, 15, 16, 17, 31, 32, math.MaxInt64 / 4}
	for _, b := range c.bounds {
		all = append(all, b-1, b, b+1)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		all = append(all, int64(math.Exp(r.Float64()*math.Log(5e12))))
	}
	return all
}

// client_golang's histogram is the oracle: one with the same buckets, of both kinds, that was told the same.
func TestHistogramIsAsPrometheusMakesIt(t *testing.T) {
	for name, classic := range map[string][]float64{
		"duration": durationBuckets, "first token": ttftBuckets, "per token": tpotBuckets, "gap": gapBuckets, "wait": waitBuckets, "pick": pickBuckets, "lag": lagBuckets,
	} {
		mine := histograms("x_seconds", "", classic, "a").with("b")
		oracle := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "x_seconds", Buckets: classic, NativeHistogramBucketFactor: 1.1, NativeHistogramZeroThreshold: nativeBound(nativeLowest),
		})
		for _, ns := range durations(mine.cells) {
			// A bound such as 2^(1/8) lies between two whole ns, so that rounding decides nothing.
			if ns > nanoseconds(nativeBound(nativeHighest)) {
				continue
			}
			mine.observe(ns)
			oracle.Observe(float64(ns) / 1e9)
		}
		got, want := written(t, mine), written(t, oracle)
		if got.GetSchema() != want.GetSchema() || got.GetSampleCount() != want.GetSampleCount() {
			t.Fatalf("%s: schema %d and %d observations, want %d and %d", name, got.GetSchema(), got.GetSampleCount(), want.GetSchema(), want.GetSampleCount())
		}
		if math.Abs(got.GetSampleSum()/want.GetSampleSum()-1) > 1e-9 {
			t.Errorf("%s: the sum is %v, want %v", name, got.GetSampleSum(), want.GetSampleSum())
		}
		for i, b := range want.Bucket {
			if g := got.Bucket[i]; g.GetUpperBound() != b.GetUpperBound() || g.GetCumulativeCount() != b.GetCumulativeCount() {
				t.Errorf("%s: up to %v there are %v, want %v", name, b.GetUpperBound(), g.GetCumulativeCount(), b.GetCumulativeCount())
			}
		}
		gotBuckets, total := buckets(got)
		wantBuckets, _ := buckets(want)
		if fmt.Sprint(gotBuckets) != fmt.Sprint(wantBuckets) || got.GetZeroCount() != want.GetZeroCount() {
			t.Errorf("%s: native buckets are %d %v\nwant %d %v", name, got.GetZeroCount(), gotBuckets, want.GetZeroCount(), wantBuckets)
		}
		if total != got.GetSampleCount() {
			t.Errorf("%s: native buckets have %d of %d observations: Prometheus would refuse the scrape", name, total, got.GetSampleCount())
		}
	}
}

func TestDurationsOutsideTheNativeBuckets(t *testing.T) {
	h := histograms("x_seconds", "", durationBuckets, "a").with("b")
	for _, ns := range []int64{-5, 0, math.MaxInt64 / 2} {
		h.observe(ns)
	}
	w := written(t, h)
	by, total := buckets(w)
	if w.GetZeroCount() != 2 || by[nativeHighest] != 1 || total != 3 || w.Bucket[len(w.Bucket)-1].GetCumulativeCount() != 2 {
		t.Errorf("zero %d, native %v, all %d, below the last bound %d", w.GetZeroCount(), by, total, w.Bucket[len(w.Bucket)-1].GetCumulativeCount())
	}
}

// The cell is where a search through all bounds finds it.
func TestFindIsASearch(t *testing.T) {
	c := newCells(ttftBuckets)
	for _, ns := range append(durations(c), math.MaxInt64) {
		if got, want := c.find(ns), sort.Search(len(c.bounds), func(i int) bool { return c.bounds[i] >= ns }); got != want {
			t.Fatalf("%d ns: cell %d, want %d", ns, got, want)
		}
	}
}

// Scrapes while others observe: each must add up by itself.
func TestScrapesAlwaysAddUp(t *testing.T) {
	h := histograms("x_seconds", "", ttftBuckets, "a").with("b")
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			for n := range int64(50_000) {
				h.observe(n * n * int64(i+1))
			}
		})
	}
	for range 200 {
		if w := written(t, h); true {
			if _, total := buckets(w); total != w.GetSampleCount() {
				t.Fatalf("native buckets have %d of %d observations", total, w.GetSampleCount())
			}
		}
	}
	all.Wait()
	if n := written(t, h).GetSampleCount(); n != 100_000 {
		t.Errorf("%d observations, want 100000", n)
	}
}

// TestScrapeByProtobuf scrapes as a Prometheus that takes native histograms does, and as one that does not.
func TestScrapeByProtobuf(t *testing.T) {
	r := start(t, pool(answering(t, "hello")))
	r.expectSaid("a request", "200 hello")
	r.access.await(t, 1)
	request, err := http.NewRequest(http.MethodGet, "http://"+r.AdminAddr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/vnd.google.protobuf") {
		t.Fatalf("the scrape came as %s", kind)
	}
	native := 0
	for in := bufio.NewReader(response.Body); ; {
		var f dto.MetricFamily
		if err := protodelim.UnmarshalFrom(in, &f); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if f.GetType() != dto.MetricType_HISTOGRAM {
			continue
		}
		for _, m := range f.Metric {
			h := m.Histogram
			if len(h.PositiveSpan) == 0 || h.Schema == nil || len(h.Bucket) == 0 {
				t.Errorf("%s is not both native and classic", f.GetName())
			}
			native++
		}
	}
	if native == 0 {
		t.Error("the scrape has no histogram")
	}
	for series, want := range map[string]string{
		`penstock_request_duration_seconds_count{pool="main",route="default"}`:               "1",
		`penstock_request_duration_seconds_bucket{pool="main",route="default",le="+Inf"}`:    "1",
		`penstock_request_duration_seconds_bucket{pool="main",route="default",le="600"}`:     "1",
		`penstock_time_to_first_token_seconds_bucket{pool="main",route="default",le="+Inf"}`: "0",
		`penstock_config_last_reload_successful`:                                             "1",
		`penstock_request_outcomes_total{outcome="completed",pool="main"}`:                   "1",
		`penstock_queue_limit{pool="main"}`:                                                  fmt.Sprint(r.config.Load().Pools["main"].Queue.Size),
	} {
		if got := r.metric(series); got != want {
			t.Errorf("as text, %s is %q, want %s", series, got, want)
		}
	}
}

func BenchmarkHistogram(b *testing.B) {
	h := histograms("x_seconds", "", ttftBuckets, "a").with("b")
	b.ReportAllocs()
	for ns := int64(0); b.Loop(); ns += 1_234_567 {
		h.observe(ns % 10_000_000_000)
	}
}
