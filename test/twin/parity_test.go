package twin_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/trace"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway"
)

// TestDecisionParity records what the policy of a gateway under load sees, decides and is told, and tells it to a new policy, one thing after
// the other and at no particular time. That one must decide all the same: to the same endpoint, with the same expectation of what is cached
// there, and of policies that have one with the same cost to the last bit. So a pick depends on nothing but what the simulator gives, too.
func TestDecisionParity(t *testing.T) {
	for _, policy := range []string{"auto", "prefix", "peak-ewma"} {
		t.Run(policy, func(t *testing.T) { testParity(t, policy) })
	}
}

func testParity(t *testing.T, policy string) {
	events := record(t, policy)
	live := recorded(events)
	fresh := func() balancer.Policy {
		p, err := balancer.NewPolicy(policy, balancer.Settings{Objectives: parityObjectives})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	again := replay(events, fresh(), nil)
	if len(again) != len(live) {
		t.Fatalf("%d picks were recorded and %d replayed", len(live), len(again))
	}
	for i := range live {
		if live[i] != again[i] {
			t.Fatalf("pick %d of %d was %+v in the gateway, and is %+v when it is replayed", i+1, len(live), live[i], again[i])
		}
	}
	if policy != "auto" {
		return
	}
	cover(events).check(t)
	// Were any of this not needed for parity, its loss would not show.
	for _, c := range []struct {
		name   string
		change func(*event) bool
	}{
		{"how requests went", func(e *event) bool { return e.done == nil }},
		{"what endpoints said", func(e *event) bool { return e.signals == nil }},
		{"counts", func(e *event) bool {
			if e.pick != nil {
				e.pick = withoutCounts(e.pick)
			}
			return true
		}},
		{"random numbers", func(e *event) bool {
			if e.pick != nil {
				k := *e.pick
				k.request.Rand = 0
				e.pick = &k
			}
			return true
		}},
	} {
		elsewhere, otherwise := differ(live, replay(events, fresh(), c.change))
		t.Logf("without %s, %d of %d picks go elsewhere and %d more differ", c.name, elsewhere, len(live), otherwise)
		if elsewhere+otherwise == 0 {
			t.Errorf("without %s, no pick is another: it was not put to the test", c.name)
		}
	}
}

// coverage is how often a recording has what puts a policy to the test.
type coverage struct {
	picks, none, busy, tried, casts, said, dones, failed, turnedAway, told int
	chosen                                                                 map[int]int
}

func cover(events []event) coverage {
	c := coverage{chosen: make(map[int]int)}
	for _, e := range events {
		switch {
		case e.cast != nil:
			c.casts++
		case e.signals != nil:
			c.said++
		case e.pick != nil:
			c.addPick(e.pick)
		case e.done != nil:
			c.addDone(&e.done.done)
		}
	}
	return c
}

func (c *coverage) addPick(k *pick) {
	c.picks++
	c.chosen[k.chosen]++
	if k.chosen < 0 {
		c.none++
	}
	if len(k.tried) > 0 {
		c.tried++
	}
	if slices.ContainsFunc(k.counts, func(n counts) bool { return n.inFlight > 1 && n.owed > 0 }) {
		c.busy++
	}
}

func (c *coverage) addDone(d *balancer.Done) {
	c.dones++
	for _, n := range []struct {
		is bool
		n  *int
	}{{d.Failed, &c.failed}, {d.Busy, &c.turnedAway}, {d.Told, &c.told}} {
		if n.is {
			*n.n++
		}
	}
}

// check requires that the load put the policy to the test.
func (c coverage) check(t *testing.T) {
	t.Helper()
	t.Logf("%d picks by endpoint %v: %d while requests and prompts were underway, %d without room, %d after another endpoint failed; %d snapshots; "+
		"%d signals; %d ends: %d told tokens, %d failed, %d turned away", c.picks, c.chosen, c.busy, c.none, c.tried, c.casts, c.said, c.dones, c.told, c.failed,
		c.turnedAway)
	for _, n := range []struct {
		what        string
		have, least int
	}{
		{"picks", c.picks, parityRequests}, {"picks while requests were underway", c.busy, parityRequests / 8}, {"picks after a failure", c.tried, 1},
		{"snapshots", c.casts, 2}, {"signals", c.said, 2 * parityReplicas}, {"answers that told tokens", c.told, parityRequests / 2},
		{"failures", c.failed, leastFailures}, {"back-pressure", c.turnedAway, 1},
	} {
		if n.have < n.least {
			t.Errorf("the recording has %d %s, want at least %d", n.have, n.what, n.least)
		}
	}
}

const (
	parityReplicas = 8
	parityRequests = 500
	parityRate     = 200 // a second
	leastFailures  = 3
)

// parityObjectives are tight enough for the mocks' speed that some are missed.
var parityObjectives = balancer.Objectives{TTFT: int64(100 * time.Millisecond), TPOT: int64(5 * time.Millisecond)}

// record runs a gateway under load and returns what its policy was told and decided.
func record(t *testing.T, policy string) []event {
	t.Helper()
	replicas := startMocks(t, parityReplicas, mock.Options{Speed: 6, KVTokens: 24_000}) // so few that room is short
	var r *recorder
	url := startGateway(t, parityConfig(policy, replicas), func(p balancer.Policy) balancer.Policy {
		r = newRecorder(p)
		return r
	})
	other := startGateway(t, parityConfig(policy, replicas), nil) // of whose requests the policy hears by polls alone
	load, err := trace.Chats(trace.ChatOptions{
		Rate: parityRate, Requests: parityRequests, Seed: 1, SystemPrompts: 3, SystemTokens: 200,
		Documents: 20, DocumentTokens: trace.Lengths{Mean: 2500, Spread: .6}, DocumentSkew: 1, Turns: 4, Think: 300 * time.Millisecond,
		UserTokens: trace.Lengths{Mean: 60, Spread: .8}, OutputTokens: trace.Lengths{Mean: 16, Spread: .6},
	})
	if err != nil {
		t.Fatal(err)
	}
	var beside sync.WaitGroup
	beside.Go(func() { makeTrouble(t, replicas, load.Duration()) })
	beside.Go(func() { send(t, load, other, 2) })
	send(t, load, url, 1)
	beside.Wait()
	provoke(t, r, url, replicas)
	return r.recording()
}

// send sends the load, as another one of as many requests if the salt is another.
func send(t *testing.T, load *trace.Trace, url string, salt uint64) {
	m, err := loadgen.Run(t.Context(), load, loadgen.Options{URL: url, Salt: salt, Timeout: 30 * time.Second})
	if err != nil {
		t.Error(err)
		return
	}
	if n := m.Result(report.Objectives{}).Completed; n < parityRequests*8/10 {
		t.Errorf("%d of %d requests were answered", n, parityRequests)
	}
}

// makeTrouble lets every replica turn some requests away and, one after the other, die for a moment.
func makeTrouble(t *testing.T, replicas []*mock.Server, load time.Duration) {
	for _, s := range replicas {
		if err := s.SetFaults([]mock.Fault{{Kind: mock.StatusAnswer, Status: 429, Next: 2}}); err != nil {
			t.Error(err)
		}
	}
	step := load / time.Duration(len(replicas)+2)
	time.Sleep(step)
	for _, s := range replicas {
		if err := s.SetFaults([]mock.Fault{{Kind: mock.Death, For: mock.Duration(step)}}); err != nil {
			t.Error(err)
		}
		time.Sleep(step)
	}
}

// provoke sees to it that a request was turned away, and that some met dead replicas and were sent elsewhere, however well the policy got by
// before: it lets the replica die that had the last request, until the policy has none left to get by with.
func provoke(t *testing.T, r *recorder, url string, replicas []*mock.Server) {
	ask := func() {
		body := `{"model": "llama-3-8b", "max_tokens": 1, "messages": [{"role": "user", "content": "Are you there?"}]}`
		answer, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	for _, s := range replicas {
		if err := s.SetFaults([]mock.Fault{{Kind: mock.StatusAnswer, Status: 429, Next: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	for range 4 * len(replicas) {
		ask()
		events := r.recording()
		if c := cover(events); c.tried > 0 && c.failed >= leastFailures {
			return
		}
		name := lastChosen(events)
		for _, s := range replicas {
			if s.Addr() != name {
				continue
			}
			if err := s.SetFaults([]mock.Fault{{Kind: mock.Death, For: mock.Duration(time.Hour)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func parityConfig(policy string, replicas []*mock.Server) string {
	urls := make([]string, len(replicas))
	for i, s := range replicas {
		urls[i] = `"http://` + s.Addr() + `"`
	}
	return fmt.Sprintf(`
listen: 127.0.0.1:0
admin: 127.0.0.1:0
accessLog: {enabled: false}
shutdown: {lameDuck: 0s, drain: 5s}
pools:
  twin:
    endpoints: [%s]
    engine: vllm
    balance: %s
    objectives: {ttft: %v, tpot: %v}
    metrics: {interval: 100ms, timeout: 90ms}
    maxInFlight: 12
    slowStart: 0s
    eject: {consecutiveFailures: 1, baseTime: 200ms, maxTime: 200ms}
routes:
  - {match: {model: llama-3-8b}, split: [{pool: twin}]}
`, strings.Join(urls, ", "), policy, time.Duration(parityObjectives.TTFT), time.Duration(parityObjectives.TPOT))
}

// startMocks starts replicas until the test's end.
func startMocks(t *testing.T, n int, o mock.Options) []*mock.Server {
	t.Helper()
	var all []*mock.Server
	for range n {
		s, err := mock.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(l); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// startGateway starts a gateway until the test's end, and returns its URL.
func startGateway(t *testing.T, yaml string, wrap func(balancer.Policy) balancer.Policy) (url string) {
	t.Helper()
	c, err := config.Parse("twin.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(c, gateway.Options{WrapPolicy: wrap})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		g.Close()
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	return "http://" + g.Addr().String()
}
