package balancer

import (
	"math"
	"testing"
)

const (
	second      = int64(1e9)
	millisecond = int64(1e6)
)

// answered is a request that was sent at a time and whose first byte took so long.
func answered(started, latency int64) Done {
	return Done{Started: started, FirstByte: started + latency, Now: started + latency}
}

func average(t *testing.T, e *Endpoint, now int64) float64 {
	t.Helper()
	latency, known := ewma(e.latency.Load()).at(now)
	if !known {
		t.Fatal("the endpoint has no average")
	}
	return latency
}

func wantAbout(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.005*want {
		t.Errorf("%s is %.0f, want %.0f", what, got, want)
	}
}

func TestPeakEWMAFollowsFinagle(t *testing.T) {
	e := NewEndpoint("10.0.0.1:8000", nil)
	p := peakEWMA{}
	p.Done(e, nil, answered(100*second, 200*millisecond))
	wantAbout(t, "the first sample", average(t, e, 100*second), 200e6)
	p.Done(e, nil, answered(100*second, 500*millisecond))
	wantAbout(t, "a peak", average(t, e, 100*second), 500e6)

	// 5 s later a lower sample has the weight 1-exp(-5/10).
	p.Done(e, nil, answered(105*second+400*millisecond, 100*millisecond))
	left := math.Exp(-0.5)
	want := 500e6*left + 100e6*(1-left)
	wantAbout(t, "after a lower sample", average(t, e, 105*second+500*millisecond), want)
	wantAbout(t, "after 10 s of nothing", average(t, e, 115*second+500*millisecond), want/math.E)
	wantAbout(t, "read with an older time", average(t, e, 100*second), want)
}

func TestPeakEWMATakesTheFirstByteNotTheEnd(t *testing.T) {
	e := NewEndpoint("10.0.0.1:8000", nil)
	peakEWMA{}.Done(e, nil, Done{Started: second, FirstByte: second + 50*millisecond, Now: 60 * second})
	wantAbout(t, "the average", average(t, e, 60*second), 50e6)
}

// An endpoint that refuses connections at once must not be the pool's fastest.
func TestFastFailureIsNoFastEndpoint(t *testing.T) {
	eps := pool(4)
	b := New(peakEWMA{})
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	now, failures := second, 0
	for i := range 2000 {
		r := &Request{Now: now, Rand: nextRandom(uint64(i))}
		e, _ := b.Acquire(r)
		d := answered(now, 300*millisecond)
		if e == eps[2] {
			failures++
			d = Done{Started: now, Now: now + millisecond, Failed: true}
		}
		now = d.Now
		b.Release(e, r, d)
	}
	// It is tried again as its average decays: failures cost 2 s or more, the others take 0.3 s, so about every 20 s.
	if failures < 2 || failures > 100 {
		t.Errorf("the failing endpoint took %d of 2000 requests, want few but some", failures)
	}
}

func TestFailuresAddUp(t *testing.T) {
	e := NewEndpoint("10.0.0.1:8000", nil)
	fail := func() { peakEWMA{}.Done(e, nil, Done{Started: second, Now: second + 1, Failed: true}) }
	for _, want := range []float64{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 60e9, 60e9} {
		fail()
		wantAbout(t, "the average after one more failure", average(t, e, second), want)
	}
	// A failure that took long counts as long.
	slow := NewEndpoint("10.0.0.2:8000", nil)
	peakEWMA{}.Done(slow, nil, Done{Started: second, Now: 91 * second, Failed: true})
	wantAbout(t, "the average after a slow failure", average(t, slow, 91*second), 90e9)
}

// A client that left says only that the first byte would have taken longer.
func TestDeparturesOnlyRaiseTheAverage(t *testing.T) {
	left := func(e *Endpoint, after int64) { peakEWMA{}.Done(e, nil, Done{Started: second, Now: second + after}) }
	e := NewEndpoint("10.0.0.1:8000", nil)
	left(e, millisecond)
	if e.latency.Load() != 0 {
		t.Error("a client that left at once made the endpoint known as fast")
	}
	left(e, 3*second)
	wantAbout(t, "the average after a departure in vain", average(t, e, 4*second), 3e9)
	left(e, 2*second)
	wantAbout(t, "the average after a shorter one", average(t, e, 4*second), 3e9)
	left(e, 7*second)
	wantAbout(t, "the average after a longer one", average(t, e, 8*second), 7e9)
}

// A new endpoint is measured by one request at a time, not by a burst.
func TestUnknownEndpointIsMeasuredByOneRequest(t *testing.T) {
	eps := pool(2)
	peakEWMA{}.Done(eps[0], nil, answered(second, 100*millisecond))
	b := New(peakEWMA{})
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	for i := range 20 {
		b.Acquire(&Request{Now: second, Rand: nextRandom(uint64(i))})
	}
	if n := eps[1].InFlight(); n != 1 {
		t.Errorf("the unknown endpoint has %d in flight, want 1", n)
	}
}

func TestPeakEWMAPrefersTheFaster(t *testing.T) {
	eps := pool(2)
	peakEWMA{}.Done(eps[0], nil, answered(second, 100*millisecond))
	peakEWMA{}.Done(eps[1], nil, answered(second, 250*millisecond))
	b := New(peakEWMA{})
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	for i := range 70 {
		b.Acquire(&Request{Now: second, Rand: nextRandom(uint64(i))})
	}
	// 100*(n0+1) and 250*(n1+1) keep level: 50 and 20.
	if n := eps[0].InFlight(); n < 49 || n > 51 {
		t.Errorf("the faster endpoint has %d of 70 in flight, want 50", n)
	}
}

// The average's clock wraps around; a year of uptime must not freeze it.
func TestPeakEWMAClockWraps(t *testing.T) {
	const wrap = int64(1) << 52 // ns
	e := NewEndpoint("10.0.0.1:8000", nil)
	peakEWMA{}.Done(e, nil, answered(wrap-2*second, second))
	wantAbout(t, "the average across the wrap", average(t, e, wrap+9*second), 1e9/math.E)
}
