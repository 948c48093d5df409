package balancer

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

const tick = 1 << 20 // ns

func wantClose(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if !(math.Abs(got-want) <= by*math.Abs(want)+1e-12) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// A sum in 64 bits follows one in float64, also where ticks come round and where their sign bit changes.
func TestDecayingFollowsItsFormula(t *testing.T) {
	for _, begin := range []int64{1, 1e9, tick<<31 - 5e9, tick<<32 - 5e9, tick<<40 + 7} {
		var d decaying
		random := rand.New(rand.NewPCG(1, uint64(begin)))
		sum, last, now := 0.0, begin, begin
		for range 300 {
			now += random.Int64N(2e8)
			amount := random.Float64() * 5000
			sum, last = sum*math.Pow(1+float64(now-last)/(busySeconds*1e9)/8, -8)+amount, now
			d.add(amount, now)
			wantClose(t, "the sum", d.at(now), sum, .005)
		}
	}
}

func TestDecay(t *testing.T) {
	for _, x := range []float64{0, .01, .5, 1, 3} {
		if got, e := decay(x), math.Exp(-x); math.Abs(got-e) > .06 {
			t.Errorf("decay(%v) is %v, e^-x %v", x, got, e)
		}
	}
	for _, x := range []float64{1e6, 1e30, math.MaxFloat64} {
		if got := decay(x); got < 0 || got > 1e-30 {
			t.Errorf("decay(%v) is %v, want next to nothing", x, got)
		}
	}
}

// Requests that come at the same time may tell slightly earlier times; what was long ago has faded, however long.
func TestDecayingAndTheClock(t *testing.T) {
	const at = int64(1e18)
	var d decaying
	if got := d.at(at); got != 0 {
		t.Errorf("a sum of nothing is %v", got)
	}
	d.add(1000, at)
	for _, test := range []struct {
		after int64
		want  float64
	}{
		{0, 1000}, {-1e9, 1000}, {-60e9, 1000}, {busySeconds * 1e9, 1000 * decay(1)}, {3600e9, 0}, {27 * 86400e9, 0}, {40 * 86400e9, 0}, {60 * 86400e9, 0},
	} {
		if got := d.at(at + test.after); math.Abs(got-test.want) > 1 {
			t.Errorf("after %d s the sum is %v, want %v", test.after/1e9, got, test.want)
		}
	}
}

func TestRatio(t *testing.T) {
	var q ratio
	if got := q.value(.9, 100); math.Abs(got-.9) > 1e-6 {
		t.Errorf("before anything else the ratio is %v, want the prior", got)
	}
	above, below := 0.0, 0.0
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		b := random.Float64() * 4000
		a := b * random.Float64()
		above, below = above*.99+a, below*.99+b
		q.add(a, b, .99)
	}
	wantClose(t, "the ratio", q.value(.9, 100), (above+.9*100)/(below+100), 1e-4)
	wantClose(t, "the ratio with a heavy prior", q.value(1, 1e9), 1, .01)

	for range 10 { // no sum may end where nothing leads back from
		q.add(math.MaxFloat64, math.MaxFloat64, 1)
	}
	for range 20_000 {
		q.add(1, 2, .99)
	}
	wantClose(t, "the ratio after absurd samples", q.value(0, 1e-9), .5, .01)
}

func TestQuantile(t *testing.T) {
	for _, which := range []float64{.25, .5} {
		var q quantile
		if got := q.value(7); got != 7 {
			t.Errorf("without a sample it is %v, want the prior", got)
		}
		random := rand.New(rand.NewPCG(1, 2))
		below, total := 0, 0
		for i := range 20_000 {
			sample := .001 * math.Exp(random.NormFloat64()*.5)
			if i > 1000 {
				total++
				if sample < q.value(7) {
					below++
				}
			}
			q.add(sample, .1, which)
		}
		if share := float64(below) / float64(total); math.Abs(share-which) > .03 {
			t.Errorf("%.3f of the samples are below the quantile %v", share, which)
		}
	}
}

// However small or large samples are, a quantile comes back from them.
func TestQuantileComesBack(t *testing.T) {
	for _, absurd := range []float64{0, -1, 1e-300, 1e300} {
		var q quantile
		for range 100_000 {
			q.add(absurd, .01, .5)
		}
		for range 20_000 {
			q.add(.02, .01, .5)
		}
		wantClose(t, "the quantile", q.value(0), .02, .05)
	}
}

func TestLearnedAtTheSameTime(t *testing.T) {
	const workers, each = 8, 2000
	var d decaying
	var q ratio
	var m quantile
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for range each {
				d.add(1, 5e9)
				q.add(1, 2, 1)
				m.add(.02, .01, .5)
				if v := m.value(1); v <= 0 || d.at(5e9) < 1 || q.value(0, 1e-9) <= 0 {
					t.Errorf("a sum was lost: %v", v)
					return
				}
			}
		})
	}
	wait.Wait()
	if got := d.at(5e9); got != workers*each {
		t.Errorf("the sum is %v, want %d", got, workers*each)
	}
	wantClose(t, "the ratio", q.value(0, 1e-9), .5, 1e-6)
	if n := uint32(m.word.Load()); n != workers*each {
		t.Errorf("%d samples were counted, want %d", n, workers*each)
	}
}

func TestPolledTokens(t *testing.T) {
	e := NewEndpoint("10.0.0.1:8000", nil)
	say := func(at int64, queries, hits float64) {
		e.SetSignals(&Signals{PrefixQueries: Reading{queries, at}, PrefixHits: Reading{hits, at}})
	}
	foreign := func() float64 { return e.learned.polled.other.at() }
	e.SetSignals(nil)
	e.SetSignals(&Signals{PrefixQueries: Reading{5, 1e9}}) // hits are not known
	if e.learned.polled.at.Load() != 0 {
		t.Error("something was read that was not said")
	}
	say(2e9, 5000, 2000)
	wantClose(t, "the first reading", foreign(), 3000, 1e-6)
	say(2e9, 9000, 0) // again, as when a poll fails
	wantClose(t, "the same reading", foreign(), 3000, 1e-6)
	say(12e9, 1000, 2000)
	wantClose(t, "more hits than queries count as none", foreign(), 3000*decay(1), 1e-6)
	for i := range 100 {
		say(int64(20+10*i)*1e9, 4000, 0)
	}
	wantClose(t, "the mean after a long time", foreign(), 4000, 1e-3)
	e.learned.sent.add(1500*busySeconds, 1020e9)
	say(1020e9, 4000, 0)
	wantClose(t, "the part of others", foreign(), 2500, .01)
	e.learned.sent.add(1e9, 1030e9)
	say(1030e9, 4000, 0)
	wantClose(t, "the part of others where this gateway sent more than was computed", foreign(), 0, 0)
}
