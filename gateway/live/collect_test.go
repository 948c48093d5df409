package live

import (
	"reflect"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// history is counters that a test moves on.
type history struct{ now Counters }

// add counts requests of a route and pool, of which the given times to first tokens, in the bucket at that place, are a part.
func (h *history) add(route, pool string, requests, errors uint64, bucket int) {
	next := Counters{Series: make(map[Key]*Series), Tokens: map[string]Tokens{}}
	for k, s := range h.now.Series {
		copied := *s
		next.Series[k] = &copied
	}
	for k, t := range h.now.Tokens {
		next.Tokens[k] = t
	}
	k := Key{route, pool}
	if next.Series[k] == nil {
		next.Series[k] = new(Series)
	}
	s := next.Series[k]
	s.Requests += requests
	s.Errors += errors
	h1 := Histogram{Bounds: []float64{.1, .2, .4}, Counts: make([]uint64, 4)}
	h1.Counts[bucket] = requests
	var sum Histogram
	sum.add(&s.TTFT)
	sum.add(&h1)
	s.TTFT = sum
	t := next.Tokens[pool]
	t.Output += float64(10 * requests)
	next.Tokens[pool] = t
	h.now = next
}

func (h *history) read() *Counters {
	copied := h.now
	return &copied
}

func TestRatesLatenciesAndShares(t *testing.T) {
	var h history
	h.add("chat", "main", 1000, 0, 3) // long ago
	d := newDispatcher(t, 2)
	c := collector{source: Source{Dispatcher: d, Status: func() Status { return Status{Active: 5} }, Counters: h.read}}
	start := time.Now()
	first := c.take(start)
	if first.Window != 0 || first.Total.Requests != nil || first.Total.TTFT != nil || first.Now.Requests != nil {
		t.Errorf("at the first look there are figures: %+v", first.Total)
	}
	use(d, "10.0.0.1:8000")
	for i := range 70 {
		h.add("chat", "main", 3, 1, 0)
		h.add("chat", "next", 1, 0, 1)
		c.take(start.Add(time.Duration(i+1) * time.Second))
	}
	s := c.take(start.Add(71 * time.Second)) // in which nothing happened
	if s.Window != 60 || *s.Total.Requests != 3.6 || *s.Total.Errors != .9 || *s.Total.OutputTokens != 36 {
		t.Errorf("over %v s: %+v, want 60 s and, in 9 of 10 s, 4 requests, an error and 40 tokens", s.Window, s.Total)
	}
	// Of a minute, 177 lie evenly in 0 to 0.1 s, and 59 in 0.1 to 0.2 s.
	if want := (&Latency{Count: 236, P50: 66.67, P95: 180, P99: 196}); !reflect.DeepEqual(s.Total.TTFT, want) {
		t.Errorf("the times to first tokens are %+v, want %+v", s.Total.TTFT, want)
	}
	chat := s.Routes[0]
	if chat.Name != "chat" || chat.Match != "model llama" || chat.Targets[0].Configured != .75 || *chat.Targets[0].Measured != .75 || *chat.Targets[0].Overall != .945 {
		t.Errorf("the split is %+v", chat)
	}
	if rest := s.Routes[1]; rest.Targets[0].Configured != 1 || rest.Targets[0].Measured != nil {
		t.Errorf("the split of a route without requests is %+v", rest)
	}
	main := s.Pools[0]
	if main.Name != "main" || *main.Requests != 2.7 || *main.Endpoints[0].Share != 1 || *main.Endpoints[1].Share != 0 || main.Endpoints[0].Recent != nil {
		t.Errorf("the pool is %+v", main)
	}
	if s.Unlisted != 5 {
		t.Errorf("%d requests are not listed, want 5", s.Unlisted)
	}
	if len(c.samples) > 75 || c.samples[0].picks != nil {
		t.Errorf("%d samples are kept", len(c.samples))
	}
	// After an hour without watchers, nothing is taken for something recent.
	h.add("chat", "main", 3600, 0, 0)
	if s = c.take(start.Add(time.Hour)); s.Total.Requests != nil || s.Window != 0 {
		t.Errorf("after an hour there are %v requests/s over %v s", *s.Total.Requests, s.Window)
	}
}

// use sends a request to the first endpoint.
func use(d *dispatch.Dispatcher, address string) {
	for {
		var x dispatch.Exchange
		x.Reset(d)
		x.Request.Method, x.Request.Path = []byte("POST"), []byte("/")
		x.Request.ModelKnown = true
		x.Match()
		if x.Admit() != nil {
			panic("a request was refused")
		}
		at := x.Endpoint.Address
		x.Finish(dispatch.Completed)
		if at == address {
			return
		}
		panic("round robin begins elsewhere: at " + at)
	}
}

func TestQuantiles(t *testing.T) {
	bounds := []float64{.1, .2, .4}
	for _, c := range []struct {
		name   string
		counts []uint64
		q      float64
		want   float64
	}{
		{"nothing", []uint64{0, 0, 0, 0}, .5, 0},
		{"within the first bucket", []uint64{10, 0, 0, 0}, .5, .05},
		{"between buckets", []uint64{10, 0, 10, 0}, .5, .1},
		{"within a later one", []uint64{10, 0, 10, 0}, .75, .3},
		{"the end", []uint64{0, 10, 0, 0}, 1, .2},
		{"above all bounds", []uint64{0, 0, 1, 9}, .95, .4},
	} {
		h := Histogram{bounds, c.counts}
		if got := h.quantile(c.q); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
