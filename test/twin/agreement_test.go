package twin_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/simulate"
	"github.com/penstock/penstock/bench/trace"
)

// TestAgreement sends the same arrivals through simulated gateways and engines and through real processes, penstock serve and penstock mock,
// and requires the same figures of both, within what their own noise explains, and the same order of the policies. It takes two minutes of
// two cores, so it runs only where PENSTOCK_TWIN is set.
//
// What differs on purpose is given to both alike or taken away: the simulated engines are as fast as the mocks are at their speed, the gateways'
// intervals and objectives are those of real time, hops take the time that was measured, tokens are estimated without an error, as a quarter of
// the mocks' bytes is, and no prompt has blocks of earlier answers, which the load generator does not send.
func TestAgreement(t *testing.T) {
	if os.Getenv("PENSTOCK_TWIN") == "" {
		t.Skip("PENSTOCK_TWIN is not set: make twin runs this")
	}
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-2*endTime)) // so that no process is left
		defer cancel()
	}
	program := buildPenstock(ctx, t)
	for _, f := range []fleet{
		{replicas: 8, gateways: 2, speed: 4, rate: 20, requests: 2000},
		{replicas: 32, gateways: 4, speed: 2, rate: 50, requests: 2400},
	} {
		t.Run(fmt.Sprintf("%d replicas", f.replicas), func(t *testing.T) { f.compare(ctx, t, program) })
	}
}

// twinPolicies differ by far under the loads here.
var twinPolicies = []string{"auto", "least-outstanding"}

// compare measures and simulates every policy.
func (f *fleet) compare(ctx context.Context, t *testing.T, program string) {
	f.program = program
	hop := f.measureHop(ctx, t)
	load := f.load(t)
	t.Logf("%v; %d gateways, speed %g, a hop takes %v", load.Summary(), f.gateways, f.speed, hop)
	var real []figures
	var twins []twin
	for _, policy := range twinPolicies {
		twins = append(twins, newTwin(f.simulate(t, load, policy, hop)))
		real = append(real, f.measure(ctx, t, load, policy))
	}
	t.Logf("%-18s %-14s %10s %10s %10s %10s", "policy", "figure", "real", "simulated", "+-", "allowed")
	for i, policy := range twinPolicies {
		for k, c := range criteria {
			got, want, allowed := c.of(&real[i]), twins[i].mean[k], twins[i].allowed(k)
			t.Logf("%-18s %-14s %10.2f %10.2f %10.2f %10.2f", policy, c.name, got, want, twins[i].deviation[k], allowed)
			if math.Abs(got-want) > allowed {
				t.Errorf("%s: %s is %.2f, and %.2f +- %.2f when it is simulated: further apart than %.2f", policy, c.name, got, want, twins[i].deviation[k], allowed)
			}
		}
	}
	f.compareOrder(t, real, twins)
}

// compareOrder requires the order of the policies, and that what is allowed does not let one policy pass for another.
func (f *fleet) compareOrder(t *testing.T, real []figures, twins []twin) {
	for k, c := range criteria {
		a, b := c.of(&real[0]), c.of(&real[1])
		x, y := twins[0].mean[k], twins[1].mean[k]
		if c.ordered && (a < b) != (x < y) {
			t.Errorf("%s: %v has %.2f and %.2f, and %.2f and %.2f when it is simulated: the order is another", c.name, twinPolicies, a, b, x, y)
		}
	}
	for i := range real {
		if twins[1-i].agrees(&real[i]) {
			t.Errorf("what %s comes to passes for %s: the comparison shows nothing", twinPolicies[i], twinPolicies[1-i])
		}
	}
}

// fleet is a size at which simulated and real gateways are compared.
type fleet struct {
	replicas, gateways int
	// speed is how much faster than their GPUs the replicas are. Requests come so much more often, too.
	speed    float64
	rate     float64 // requests a second of the GPUs' time
	requests int

	program string
}

const twinProfile = "llama3-70b-tp4-a100"

// twinObjectives are what requests are to meet, in the GPUs' time.
var twinObjectives = simulate.Objectives{TTFT: 1500 * time.Millisecond, TPOT: 120 * time.Millisecond}

const (
	pollInterval = 500 * time.Millisecond
	// mostLate is how late the generator may send, at the 99th percentile, for a run to say something: it runs on the same cores as all else.
	mostLate = 20 * time.Millisecond
	// tries is how often what the machine was too busy for is begun. What was measured is never measured again.
	tries = 3
	// mostHop is the most that is believed of a hop on the loopback.
	mostHop = 3 * time.Millisecond
	// simulations is how many seeds the simulator gets for the same arrivals.
	simulations = 30
)

func (f *fleet) objectives() simulate.Objectives {
	return simulate.Objectives{TTFT: f.scaled(twinObjectives.TTFT), TPOT: f.scaled(twinObjectives.TPOT)}
}

func (f *fleet) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) / f.speed) }

// load is the arrivals in real time.
func (f *fleet) load(t *testing.T) *trace.Trace {
	t.Helper()
	load, err := trace.Chats(trace.ChatOptions{
		Rate: f.rate, Requests: f.requests, Seed: 7, SystemPrompts: 3, SystemTokens: 256,
		Documents: 12 * f.replicas, DocumentTokens: trace.Lengths{Mean: 2500, Spread: .5}, DocumentSkew: .8,
		Turns: 3, Think: 6 * time.Second, MaxPromptTokens: 12_000,
		UserTokens: trace.Lengths{Mean: 60, Spread: .8}, OutputTokens: trace.Lengths{Mean: 30, Spread: .5},
		BlockTokens: engine.DefaultBlockTokens, // the mocks'
	})
	if err != nil {
		t.Fatal(err)
	}
	load = load.Speed(f.speed)
	for i := range load.Requests {
		// The load generator does not send back what a mock has answered, so no cache has seen the answers in later prompts.
		r := &load.Requests[i]
		r.Blocks = r.Blocks[:min(len(r.Blocks), r.PromptTokens/load.BlockTokens)]
	}
	return load
}

// engine is the replicas' engine at the fleet's speed.
func (f *fleet) engine(t *testing.T) engine.Config {
	t.Helper()
	p, err := engine.LookupProfile(twinProfile)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*float64{&p.StepBase, &p.WeightTime, &p.PerSequence, &p.PerContextToken, &p.PerPair, &p.PerToken} {
		*v /= f.speed
	}
	p.ComputeRate *= f.speed
	p.Overhead = f.scaled(p.Overhead)
	return engine.Config{Profile: p}
}

// simulate is what the simulator says, for several seeds.
func (f *fleet) simulate(t *testing.T, load *trace.Trace, policy string, hop time.Duration) (all []figures) {
	t.Helper()
	o := simulate.Default()
	o.Trace, o.Policy, o.Gateways, o.Fleet = load, policy, f.gateways, []simulate.Group{{Engine: f.engine(t), Replicas: f.replicas}}
	o.PollInterval, o.Network, o.SlowStart, o.EstimateError, o.Objectives = pollInterval, hop, 0, 0, f.objectives()
	for seed := range simulations {
		o.Seed = uint64(seed + 1)
		o.Trace = renamed(load, o.Seed)
		r, err := simulate.Run(o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, figuresOf(simulated(load, r.Outcomes), f.replicas, o.Objectives))
	}
	return all
}

// renamed is the load with other names for the same blocks. Which replica is the first that a prompt is sent to depends on the hashes of the
// prompt's name and of the replicas', and those of real ones, their ports, are others in each run.
func renamed(load *trace.Trace, seed uint64) *trace.Trace {
	other := *load
	other.Requests = slices.Clone(load.Requests)
	for i := range other.Requests {
		r := &other.Requests[i]
		r.Blocks = slices.Clone(r.Blocks)
		for k := range r.Blocks {
			r.Blocks[k] ^= seed << 32
		}
	}
	return &other
}

// measure sends the load through real gateways to real mocks.
func (f *fleet) measure(ctx context.Context, t *testing.T, load *trace.Trace, policy string) figures {
	t.Helper()
	var answers []answer
	for try := 1; ; try++ {
		var late []float64
		answers, late = f.run(ctx, t, load, policy)
		d := report.Percentiles(late)
		t.Logf("%s: requests were sent late by %.2f ms in the median, %.2f ms at the 99th percentile", policy, d.P50, d.P99)
		if d.P99 <= ms(mostLate) {
			break
		}
		if try == tries {
			t.Fatalf("the machine was too busy to measure %s: 1 %% of the requests were sent more than %.1f ms late, and at most %v are allowed. "+
				"Run this again where two cores have nothing else to do.", policy, d.P99, mostLate)
		}
	}
	for i := range answers {
		if !answers[i].complete {
			t.Fatalf("%s: a request was not answered", policy)
		}
	}
	return figuresOf(answers, f.replicas, f.objectives())
}

// measureHop is the time that a hop takes between gateway and replica, in which the simulator puts all that comes on top of an engine: half of
// what requests take longer that meet nobody else.
func (f *fleet) measureHop(ctx context.Context, t *testing.T) time.Duration {
	t.Helper()
	load, err := trace.Independent(trace.IndependentOptions{
		Rate: 15, Requests: 45, Fixed: true, PromptTokens: trace.Lengths{Mean: 64}, OutputTokens: trace.Lengths{Mean: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	alone := f.simulate(t, load, twinPolicies[1], 0)[0]
	var hop time.Duration
	for range tries {
		answers, _ := f.run(ctx, t, load, twinPolicies[1])
		real := figuresOf(answers, f.replicas, f.objectives())
		hop = time.Duration((real.TTFTp50 - alone.TTFTp50) / 2 * float64(time.Millisecond))
		if 0 <= hop && hop <= mostHop {
			break
		}
	}
	if hop < 0 || hop > mostHop {
		t.Fatalf("the machine was too busy to measure: a hop on the loopback seems to take %v, with at most %v believed. "+
			"Run this again where two cores have nothing else to do.", hop, mostHop)
	}
	return hop
}

// run plays the load and returns the answers, and how late requests were sent, in ms.
func (f *fleet) run(ctx context.Context, t *testing.T, load *trace.Trace, policy string) (answers []answer, late []float64) {
	t.Helper()
	mocks := start(ctx, t, f.program, "mock", "--listen", "127.0.0.1:0", "--replicas", fmt.Sprint(f.replicas), "--profile", twinProfile,
		"--speed", fmt.Sprint(f.speed), "--idle-timeout", "-1s")
	defer mocks.stop()
	replicas := mocks.await(`^replica at http://(\S+)$`, f.replicas)
	number := make(map[string]int)
	for i, r := range replicas {
		number[r] = i
	}
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(file, []byte(f.config(policy, replicas)), 0o600); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for range f.gateways {
		g := start(ctx, t, f.program, "serve", "--config", file)
		defer g.stop()
		urls = append(urls, "http://"+g.await(`"msg":"serving","listen":"([^"]+)"`, 1)[0])
	}
	var mu sync.Mutex
	var sending sync.WaitGroup
	for i, part := range split(load, len(urls)) {
		sending.Go(func() {
			m, err := loadgen.Run(ctx, part, loadgen.Options{URL: urls[i], Timeout: time.Minute})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			answers = append(answers, measured(m, number)...)
			for i := range m.Samples {
				late = append(late, ms(m.Samples[i].Sent-m.Samples[i].At))
			}
		})
	}
	sending.Wait()
	if len(answers) != len(load.Requests) {
		t.Fatalf("%d of %d requests were sent", len(answers), len(load.Requests))
	}
	return answers, late
}

// split deals a load out at random, as whoever stands before gateways does.
func split(load *trace.Trace, parts int) []*trace.Trace {
	all := make([]*trace.Trace, parts)
	for i := range all {
		all[i] = &trace.Trace{Name: load.Name, BlockTokens: load.BlockTokens}
	}
	for _, r := range load.Requests {
		part := all[rand.IntN(parts)]
		part.Requests = append(part.Requests, r)
	}
	return all
}

func (f *fleet) config(policy string, replicas []string) string {
	o := f.objectives()
	return fmt.Sprintf(`
listen: 127.0.0.1:0
admin: 127.0.0.1:0
accessLog: {enabled: false}
debugHeaders: true
shutdown: {lameDuck: 0s, drain: 2s}
pools:
  twin:
    endpoints: ["http://%s"]
    engine: vllm
    balance: %s
    objectives: {ttft: %v, tpot: %v}
    metrics: {interval: %v, timeout: %v}
    slowStart: 0s
routes:
  - {match: {model: %s}, split: [{pool: twin}]}
`, strings.Join(replicas, `", "http://`), policy, o.TTFT, o.TPOT, pollInterval, pollInterval-time.Millisecond, loadgen.DefaultOptions.Model)
}
