package simulate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/trace"
)

// serviceTokens is a mean prompt of the servers of queueing theory, which takes serviceTime.
const (
	serviceTokens = 10_000
	serviceTime   = float64(serviceTokens) / 1e5 // seconds
)

// server is an engine that computes one prompt after the other at 100 tokens a ms and generates one token: a server of queueing theory, whose
// service time is in proportion to the prompt's length.
func server() engine.Config {
	return engine.Config{Profile: engine.Profile{
		Name: "server", ComputeRate: 100, KVTokens: 1 << 20, MaxBatchedTokens: 1 << 20, MaxSequences: 1,
	}}
}

// poisson is a load for n servers that keeps them busy for a part of the time.
func poisson(requests, n int, busy float64, length func(r *rand.Rand) float64) *trace.Trace {
	random := rand.New(rand.NewPCG(7, 7))
	load := &trace.Trace{Name: "poisson", BlockTokens: 16}
	at := 0.0 // seconds
	for range requests {
		at += random.ExpFloat64() * serviceTime / (busy * float64(n))
		load.Requests = append(load.Requests, trace.Request{
			At: time.Duration(at * 1e9), PromptTokens: max(1, int(math.Round(serviceTokens*length(random)))), OutputTokens: 1,
		})
	}
	return load
}

func exponential(r *rand.Rand) float64 { return r.ExpFloat64() }
func fixed(*rand.Rand) float64         { return 1 }

// serve runs the load on n servers and returns the mean time in seconds before service begins.
func serve(t *testing.T, load *trace.Trace, n int, change func(o *Options)) (wait float64) {
	t.Helper()
	_, r := simulate(t, testOptions(t, load, 1, func(o *Options) {
		o.Fleet = []Group{{Engine: server(), Replicas: n}}
		o.Network, o.PollInterval, o.Policy = 0, 0, "least-outstanding"
		if change != nil {
			change(o)
		}
	}))
	if r.Failed+r.Refused > 0 {
		t.Fatalf("%d requests failed and %d were refused", r.Failed, r.Refused)
	}
	service := 0.0
	for i := range load.Requests {
		service += float64(load.Requests[i].PromptTokens) / serviceTokens * serviceTime
	}
	return r.TTFT.Mean - service/float64(len(load.Requests))
}

func closeTo(t *testing.T, what string, got, want, percent float64) {
	t.Helper()
	off := 100 * (got - want) / want
	t.Logf("%s: %.4f, the formula says %.4f (%+.2f %%)", what, got, want, off)
	if math.Abs(off) > percent {
		t.Errorf("%s is %v, want %v within %v %%", what, got, want, percent)
	}
}

// TestOneServer compares the mean wait with the formula of Pollaczek and Khinchine: busy/(1-busy) * (1+c^2)/2 service times, where c is
// the service times' coefficient of variation.
func TestOneServer(t *testing.T) {
	for _, busy := range []float64{.3, .6, .8} {
		closeTo(t, "the wait of M/M/1", serve(t, poisson(120_000, 1, busy, exponential), 1, nil), busy/(1-busy)*serviceTime, 5)
		closeTo(t, "the wait of M/D/1", serve(t, poisson(120_000, 1, busy, fixed), 1, nil), busy/(1-busy)/2*serviceTime, 4)
	}
}

// TestSeveralServers compares the wait in a gateway's queue, in front of servers that take one request at a time, with Erlang's formula C.
func TestSeveralServers(t *testing.T) {
	const n, busy = 5, .8
	wait := serve(t, poisson(120_000, n, busy, exponential), n, func(o *Options) {
		o.MaxInFlight, o.QueueSize, o.QueueTimeout = 1, 1<<20, time.Hour
	})
	const offered = n * busy
	term, sum := 1.0, 0.0
	for k := range n {
		sum += term
		term *= offered / float64(k+1)
	}
	queued := term / (1 - busy) / (sum + term/(1-busy))
	closeTo(t, "the wait of M/M/5", wait, queued*serviceTime/(n-offered), 5)
}

// TestLittlesLaw compares the time average of requests in flight and queued, which is counted at the balancers, with rate times latency.
func TestLittlesLaw(t *testing.T) {
	const rate, requests = 15, 12_000
	load := trace.PrefixHeavy(rate, requests, 5)
	o := testOptions(t, load, 5, func(o *Options) {
		o.Gateways, o.MaxInFlight, o.QueueSize, o.QueueTimeout = 2, 8, 1<<20, time.Hour
	})
	w := newTestWorld(t, o)
	integral, most := 0.0, 0
	for before, n := int64(0), 0; w.step(); before = w.now {
		integral += float64(n) * float64(w.now-before) / 1e9
		n = 0
		queued := 0
		for _, g := range w.gateways {
			queued += g.balancer.QueueLen()
			n += int(g.balancer.InFlight())
		}
		n += queued
		most = max(most, queued)
	}
	r := w.result()
	if most == 0 {
		t.Error("no request has waited in a queue")
	}
	seconds := r.Duration
	closeTo(t, "requests in flight", integral/seconds, float64(requests)/seconds*r.Latency.Mean, .001)
	closeTo(t, "requests in flight", integral/seconds, rate*r.Latency.Mean, 3) // by the rate that was asked for
}
