package live

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/gateway/dispatch"
)

// drop ends the series of a route and pool, as a reload does that takes the route away.
func (h *history) drop(route, pool string) {
	next := Counters{Series: make(map[Key]*Series), Tokens: make(map[string]Tokens)}
	for k, s := range h.now.Series {
		if k != (Key{route, pool}) {
			next.Series[k] = s
		}
	}
	for name, t := range h.now.Tokens {
		if name != pool {
			next.Tokens[name] = t
		}
	}
	h.now = next
}

// TestSeriesThatEndDoNotHideOthers takes a busy route and its pool away, and gives them back later.
func TestSeriesThatEndDoNotHideOthers(t *testing.T) {
	var h history
	h.add("chat", "next", 1000, 1000, 0)
	h.add("rest", "main", 0, 0, 1)
	c := collector{source: Source{Dispatcher: newDispatcher(t, 1), Status: func() Status { return Status{} }, Counters: h.read}}
	start := time.Now()
	c.take(start)
	h.drop("chat", "next")
	h.add("rest", "main", 50, 10, 0)
	s := c.take(start.Add(10 * time.Second))
	if r := s.Total; *r.Requests != 5 || *r.Errors != 1 || *r.OutputTokens != 50 || r.TTFT == nil || r.TTFT.Count != 50 {
		t.Errorf("after a route was taken away, the others are %+v with %+v, want 5 requests, an error and 50 tokens a second", r, r.TTFT)
	}
	if now := s.Now; *now.Requests != 5 || *now.OutputTokens != 50 {
		t.Errorf("charts have %v requests and %v tokens a second, want 5 and 50", *now.Requests, *now.OutputTokens)
	}
	h.add("chat", "next", 22, 0, 0) // counted anew from 0, within 11 s by now
	s = c.take(start.Add(11 * time.Second))
	if r := s.Total; *r.Requests != 6.55 || r.TTFT.Count != 72 {
		t.Errorf("after the route came back, %v requests a second and times of %d, want 6.55 and 72", *r.Requests, r.TTFT.Count)
	}
	if next := s.Pools[1]; next.Name != "next" || *next.Requests != 2 || *next.OutputTokens != 20 {
		t.Errorf("the pool that came back is %+v, want 2 requests and 20 tokens a second", next)
	}
	if measured := s.Routes[0].Targets[1].Measured; measured == nil || *measured != 1 {
		t.Errorf("the split of the route that came back has %v, want all in its pool", measured)
	}
}

// TestWhoComesBackSoonIsToldNoOldRates: within a minute there are readings to take latencies from, and none for rates of the last 10 s.
func TestWhoComesBackSoonIsToldNoOldRates(t *testing.T) {
	var h history
	h.add("rest", "main", 10, 0, 0)
	c := collector{source: Source{Dispatcher: newDispatcher(t, 1), Status: func() Status { return Status{} }, Counters: h.read}}
	start := time.Now()
	c.take(start)
	h.add("rest", "main", 300, 0, 0)
	s := c.take(start.Add(30 * time.Second))
	if s.Total.Requests != nil || s.Pools[0].OutputTokens != nil {
		t.Errorf("rates of the last 10 s are %v requests and %v tokens a second, want none", *s.Total.Requests, *s.Pools[0].OutputTokens)
	}
	if s.Total.TTFT == nil || s.Total.TTFT.Count != 300 || s.Window != 30 {
		t.Errorf("after 30 s in which nobody watched, latencies are %+v over %v s, want those of 300 requests", s.Total.TTFT, s.Window)
	}
}

// TestReadingsBeyondReason: an endpoint may say any number of itself, and JSON has no infinity.
func TestReadingsBeyondReason(t *testing.T) {
	d := newDispatcher(t, 1)
	x := new(dispatch.Exchange)
	x.Reset(d)
	x.Request.ModelKnown = true
	x.Match()
	if x.Admit() != nil {
		t.Fatal("a request was refused")
	}
	r := balancer.Reading{Value: math.MaxFloat64, At: dispatch.Now()}
	x.Endpoint.Balancer.SetSignals(&balancer.Signals{Waiting: r, KVCache: r})
	x.Finish(dispatch.Completed)
	h := NewHub(Source{Dispatcher: d, Status: func() Status { return Status{} }, Counters: func() *Counters { return new(Counters) }}, NewEvents())
	h.take() // which must not end the program
	if h.frame == nil {
		t.Error("there is no snapshot")
	}
}

// TestEndpointsThatShareAnAddress has one that drains, and another that has its address by now: each has its own share of the picks.
func TestEndpointsThatShareAnAddress(t *testing.T) {
	first, second, other := new(dispatch.Endpoint), new(dispatch.Endpoint), new(dispatch.Endpoint)
	describe := func(of *dispatch.Endpoint, address string, requests int64) dispatch.EndpointDescription {
		return dispatch.EndpointDescription{Of: of, Address: address, State: "ready", Requests: requests}
	}
	recent := &sample{picks: map[*dispatch.Endpoint]int64{first: 50, other: 30}}
	p := pool(&dispatch.PoolDescription{Name: "main", Endpoints: []dispatch.EndpointDescription{
		describe(second, "10.0.0.1:8000", 10), describe(other, "10.0.0.2:8000", 40), describe(first, "10.0.0.1:8000", 50),
	}}, new(sample), recent, Figures{})
	var got [][2]float64
	for _, e := range p.Endpoints {
		got = append(got, [2]float64{*e.Share, *e.Recent})
	}
	if want := [][2]float64{{.1, .5}, {.4, .5}, {.5, 0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("shares since the start and of the last 10 s are %v, want %v", got, want)
	}
}
