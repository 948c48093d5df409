package simulate

import (
	"math"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/trace"
)

func TestValidate(t *testing.T) {
	change := func(c Change) func(o *Options) { return func(o *Options) { o.Changes = []Change{c} } }
	scale := func(a Autoscale) func(o *Options) { return func(o *Options) { o.Autoscale = &a } }
	good := Autoscale{Metric: OutstandingRequests, Target: 10, Min: 1, Max: 5}
	with := func(change func(a *Autoscale)) func(o *Options) {
		a := good
		change(&a)
		return scale(a)
	}
	for _, c := range []struct {
		change func(o *Options)
		want   string
	}{
		{func(o *Options) {}, ""},
		{scale(good), ""},
		{func(o *Options) { o.Trace = nil }, "cannot simulate: the trace has no requests"},
		{func(o *Options) { o.Trace = &trace.Trace{BlockTokens: 16} }, "cannot simulate: the trace has no requests"},
		{func(o *Options) { o.Trace = &trace.Trace{Requests: make([]trace.Request, 1)} },
			"cannot simulate: cannot use blocks of 0 tokens: they must have at least 1"},
		{func(o *Options) { o.Trace = even(2, 366*24*time.Hour, 1, 1) }, "cannot simulate a trace of 8784h0m0s: want at most 8760h0m0s"},
		{func(o *Options) { o.Fleet = nil }, "cannot simulate with replicas = 0: want 1 to 100000"},
		{func(o *Options) { o.Fleet[0].Replicas = 0 }, "cannot simulate 0 replicas of llama3-8b-h100: want at least 1"},
		{func(o *Options) { o.Fleet[0].Replicas = 100_001 }, "cannot simulate with replicas = 100001: want 1 to 100000"},
		{func(o *Options) { o.Fleet[0].Engine.MaxSequences = 0 },
			"cannot simulate replicas of llama3-8b-h100: cannot run at most 0 sequences: it must be at least 1"},
		{func(o *Options) { o.Policy = "fastest" }, `cannot simulate the policy "fastest": the policies are auto, least-outstanding, ` +
			"least-tokens, peak-ewma, power-of-two, prefix, random, rival-bounded-load, rival-dynamo, rival-llm-d, rival-sglang, round-robin, session"},
		{func(o *Options) { o.Gateways = 0 }, "cannot simulate with gateways = 0: want 1 to 1000"},
		{func(o *Options) { o.Gateways = 1001 }, "cannot simulate with gateways = 1001: want 1 to 1000"},
		{func(o *Options) { o.PollLoss = -.1 }, "cannot simulate with poll loss = -0.1: want 0 to 1"},
		{func(o *Options) { o.PollLoss = math.NaN() }, "cannot simulate with poll loss = NaN: want 0 to 1"},
		{func(o *Options) { o.EstimateError = 3.5 }, "cannot simulate with estimate error = 3.5: want 0 to 3"},
		{func(o *Options) { o.MaxInFlight = -1 }, "cannot simulate with requests in flight per endpoint = -1: want 0 to 1.073741824e+09"},
		{func(o *Options) { o.QueueSize = -1 }, "cannot simulate with requests in the queue = -1: want 0 to 1.073741824e+09"},
		{func(o *Options) { o.PollInterval = -1 }, "cannot simulate with a poll interval of -1ns: want 0 to 8760h0m0s"},
		{func(o *Options) { o.PollInterval = time.Microsecond }, "cannot simulate with a poll interval of 1µs: want 0 (never) or at least 1ms"},
		{func(o *Options) { o.Network = -1 }, "cannot simulate with a network time of -1ns: want 0 to 8760h0m0s"},
		{func(o *Options) { o.QueueTimeout = math.MaxInt64 },
			"cannot simulate with a queue timeout of 2562047h47m16.854775807s: want 0 to 8760h0m0s"},
		{func(o *Options) { o.SlowStart = -1 }, "cannot simulate with a slow start of -1ns: want 0 to 8760h0m0s"},
		{func(o *Options) { o.Objectives.TTFT = -1 }, "cannot simulate with a TTFT objective of -1ns: want 0 to 8760h0m0s"},
		{func(o *Options) { o.Objectives.TPOT = -1 }, "cannot simulate with a TPOT objective of -1ns: want 0 to 8760h0m0s"},
		{func(o *Options) { o.Detection = -1 }, "cannot simulate with a detection time of -1ns: want 0 to 8760h0m0s"},
		{func(o *Options) { o.StartTime = -1 }, "cannot simulate with a start time of -1ns: want 0 to 8760h0m0s"},
		{change(Change{At: -1, Kind: Kill}), "cannot let a change happen at -1ns: want 0 to 8760h0m0s"},
		{change(Change{Kind: Kill, Replica: 3}), "cannot kill replica 3: the fleet has replicas 0 to 2"},
		{change(Change{Kind: Drain, Replica: -1}), "cannot drain replica -1: the fleet has replicas 0 to 2"},
		{change(Change{Kind: Add}), "cannot add 0 replicas: want 1 to 100000"},
		{change(Change{Kind: Roll, Count: 100_001}), "cannot roll 100001 replicas: want 1 to 100000"},
		{change(Change{Kind: "reboot"}), `cannot make the change "reboot": want kill, drain, add or roll`},
		{with(func(a *Autoscale) { a.Metric = "cpu" }), `cannot scale by "cpu": want requests or tokens`},
		{func(o *Options) {
			o.Policy, o.Autoscale = "random", &Autoscale{Metric: OutstandingTokens, Target: 1, Min: 1, Max: 1}
		},
			"cannot scale by tokens with the policy random: it does not look at prompts, so gateways count none"},
		{with(func(a *Autoscale) { a.Target = 0 }), "cannot scale to a target of 0 per replica: want a positive number"},
		{with(func(a *Autoscale) { a.Target = math.Inf(1) }), "cannot scale to a target of +Inf per replica: want a positive number"},
		{with(func(a *Autoscale) { a.Min = 0 }), "cannot scale between 0 and 5 replicas: want at least 1, and at most 100000"},
		{with(func(a *Autoscale) { a.Max = 0 }), "cannot scale between 1 and 0 replicas: want at least 1, and at most 100000"},
		{with(func(a *Autoscale) { a.Interval = 1 }), "cannot scale with an interval of 1ns: want 0 for 15s, or 1ms to 8760h0m0s"},
		{with(func(a *Autoscale) { a.Stabilization = -1 }), "cannot scale with a stabilization of -1ns: want 0 to 8760h0m0s"},
	} {
		o := testOptions(t, even(1, 0, 1, 1), 3, c.change)
		got := ""
		_, err := Run(o)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestComparisonNeedsSomething(t *testing.T) {
	for _, c := range []struct {
		policies []string
		seeds    int
		want     string
	}{
		{nil, 1, "cannot compare 0 policies over 1 seeds: want at least one of each"},
		{[]string{"auto"}, 0, "cannot compare 1 policies over 0 seeds: want at least one of each"},
	} {
		if _, err := (&Comparison{Policies: c.policies, Seeds: c.seeds}).Run(t.Context()); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
