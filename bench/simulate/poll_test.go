package simulate

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/trace"
)

// endpointsOf is all that the gateways know of their replicas, in a fixed order.
func endpointsOf(w *world) []*balancer.Endpoint {
	var all []*balancer.Endpoint
	for _, g := range w.gateways {
		for _, r := range w.replicas {
			if e := g.endpoints[r]; e != nil {
				all = append(all, e)
			}
		}
	}
	return all
}

func TestNoPolls(t *testing.T) {
	for what, change := range map[string]func(o *Options){
		"never":            func(o *Options) { o.PollInterval = 0 },
		"all of them lost": func(o *Options) { o.PollLoss = 1 },
	} {
		w, _ := simulate(t, testOptions(t, trace.NoReuse(20, 300, 1), 3, change))
		for _, e := range endpointsOf(w) {
			if e.Signals() != nil {
				t.Errorf("%s: %s was polled: %+v", what, e.Name, e.Signals())
			}
		}
	}
}

// readings are when each endpoint was polled, in ns.
func readings(t *testing.T, o Options) [][]int64 {
	w := newTestWorld(t, o)
	endpoints := endpointsOf(w)
	all := make([][]int64, len(endpoints))
	for w.step() {
		for i, e := range endpoints {
			if s := e.Signals(); s != nil && (all[i] == nil || all[i][len(all[i])-1] != s.Running.At) {
				all[i] = append(all[i], s.Running.At)
			}
		}
	}
	return all
}

func TestPollTimes(t *testing.T) {
	const interval = 2 * second
	o := testOptions(t, even(100, time.Second, 10, 1), 10, func(o *Options) { o.Gateways = 2 })
	var phases []int64
	shortest, longest := interval, interval
	for i, at := range readings(t, o) {
		if at[0] != 1 {
			t.Errorf("endpoint %d is polled first at %d, want at once", i, at[0])
		}
		phases = append(phases, at[1])
		for k := 2; k < len(at); k++ {
			if pause := at[k] - at[k-1]; pause < interval*9/10 || pause > interval*11/10 {
				t.Fatalf("endpoint %d is polled after %v, want 2 s give or take a tenth", i, time.Duration(pause))
			} else {
				shortest, longest = min(shortest, pause), max(longest, pause)
			}
		}
	}
	if shortest > interval*92/100 || longest < interval*108/100 {
		t.Errorf("polls are %v to %v apart", time.Duration(shortest), time.Duration(longest))
	}
	slices.Sort(phases)
	if phases[0] > interval/4 || phases[len(phases)-1] < interval*3/4 || len(slices.Compact(phases)) < 20 {
		t.Errorf("second polls are at %v, want them all over the interval", phases)
	}
}

func TestPollsGetLost(t *testing.T) {
	const loss, seconds = .3, 1000
	o := testOptions(t, even(seconds, time.Second, 10, 1), 10, func(o *Options) { o.PollInterval, o.PollLoss = time.Second, loss })
	read := 0.0
	for _, at := range readings(t, o) {
		read += float64(len(at))
	}
	// Failures in a row, f of them with the chance loss^f, make the next pause 2^(f-1) intervals, at most 30.
	pause := 1 - loss
	for f, chance, d := 1, loss*(1-loss), 1.0; f < 40; f, chance, d = f+1, chance*loss, min(2*d, 30) {
		pause += chance * d
	}
	closeTo(t, "readings", read/10, seconds/pause*(1-loss), 3)
}

func TestDeadReplicasGrowSilent(t *testing.T) {
	o := testOptions(t, even(20, time.Second, 10, 1), 2, func(o *Options) {
		o.Detection, o.Changes = 10*time.Second, []Change{{At: 5 * time.Second, Kind: Kill}}
	})
	w := newTestWorld(t, o)
	dead, alive := endpointsOf(w)[0], endpointsOf(w)[1]
	w.at(14 * time.Second)
	if at := dead.Signals().Running.At; at > 5*second {
		t.Errorf("a dead replica has told of itself at %d", at)
	}
	if age := alive.Signals().Running.Age(w.now); age > 22*second/10 {
		t.Errorf("what the other one told is %v old", time.Duration(age))
	}
}

// TestSignals compares what polls say with what the engine and the gateway know.
func TestSignals(t *testing.T) {
	o := testOptions(t, trace.PrefixHeavy(15, 600, 1), 1, func(o *Options) { o.Gateways, o.PollInterval = 2, time.Second })
	w := newTestWorld(t, o)
	g, r := w.gateways[1], w.replicas[0]
	e := g.endpoints[r]
	var last *balancer.Signals
	hits, queries := 0.0, 0.0
	for w.step() {
		s := e.Signals()
		if s == last {
			continue
		}
		stats := r.engine.Stats()
		if s.Running.Value != float64(stats.Running) || s.Waiting.Value != float64(stats.Waiting) || s.KVCache.Value != stats.KVUsage ||
			s.InFlight != e.InFlight() || s.Blocks.Value != 420_000/64 || s.BlockSize.Value != 64 || s.Running.At != w.now+1 {
			t.Fatalf("at %d a poll says %+v, want %+v", w.now, s, stats)
		}
		if last == nil && s.PrefixQueries.Known() {
			t.Fatal("the first poll knows a rate")
		}
		if last != nil {
			seconds := float64(s.Running.At-last.Running.At) / 1e9
			hits += s.PrefixHits.Value * seconds
			queries += s.PrefixQueries.Value * seconds
			if math.Abs(hits-float64(stats.PrefixHits)) > 1 || math.Abs(queries-float64(stats.PrefixQueries)) > 1 {
				t.Fatalf("rates of the prefix cache sum up to %v of %v, want %d of %d", hits, queries, stats.PrefixHits, stats.PrefixQueries)
			}
		}
		last = s
	}
	if hits == 0 || last.InFlight == 0 && last.Running.Value == 0 {
		t.Errorf("the last poll says %+v", last)
	}
}
