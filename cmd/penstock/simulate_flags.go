package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/simulate"
	"github.com/penstock/penstock/bench/trace"
)

// simulateFlags is the command line of penstock simulate.
type simulateFlags struct {
	load    loadFlags
	limit   int
	options simulate.Options

	fleet, profile                          string
	replicas                                int
	kvTokens, batchedTokens, maxSequences   int
	changes                                 listFlag
	autoscale                               string
	minReplicas, maxReplicas, seeds, atOnce int
	stabilization                           time.Duration

	compare  string
	policies []string // what is run: --compare, or --policy
	plan     bool
	share    float64
	scaleBy  string

	json, html string
}

const (
	defaultSimulateDuration = 10 * time.Minute
	defaultMaxReplicas      = 64
	defaultStabilization    = 5 * time.Minute
	maxSeeds                = 1000
	scaleByNone             = "none"
)

// define adds the flags.
func (s *simulateFlags) define(f *flagSet) {
	d := simulate.Default()
	s.options = d
	o := &s.options
	s.load.define(f, defaultSimulateDuration, loadWords{sent: "come", seed: "the load, and what gateways draw. Each further one of --seeds adds 1 to it."})
	f.IntVar(&s.limit, "limit", 0, "Only the first `N` requests of the load are simulated; 0 is all.")

	f.StringVar(&s.fleet, "fleet", "", "The replicas are the `LIST` of groups COUNTxPROFILE, with commas, such as 8xllama3-70b-tp4-h200,8xllama3-70b-tp4-a100*0.7, where *0.7 makes them 0.7 times as fast.")
	f.IntVar(&s.replicas, "replicas", 4, "Without --fleet there are `N` equal replicas.")
	f.StringVar(&s.profile, "profile", engine.DefaultProfile, "Without --fleet each replica is as fast as the model and GPU of the profile `NAME`, which may end in *FACTOR: "+strings.Join(engine.ProfileNames(), ", ")+".")
	f.IntVar(&s.kvTokens, "kv-tokens", 0, "The KV cache of each replica holds `N` tokens; 0 is what the profile says.")
	f.IntVar(&s.batchedTokens, "max-num-batched-tokens", 0, "An engine step computes at most `N` tokens; 0 is what the profile says.")
	f.IntVar(&s.maxSequences, "max-num-seqs", 0, "At most `N` sequences run at once on a replica; 0 is what the profile says.")

	f.IntVar(&o.Gateways, "gateways", d.Gateways, "The load is shared at random by `N` gateways, each of which knows only its own requests.")
	f.StringVar(&o.Policy, "policy", d.Policy, "Requests are balanced by the policy `NAME`: "+strings.Join(simulate.PolicyNames(), ", ")+". Those that begin with "+rivalPrefix+" are other projects', as these document them.")
	f.DurationVar(&o.PollInterval, "poll-interval", d.PollInterval, "Each gateway reads each replica's metrics every `DURATION`; 0 is never.")
	f.Float64Var(&o.PollLoss, "poll-loss", d.PollLoss, "The `SHARE` of readings that fail, 0 to 1.")
	f.DurationVar(&o.Network, "network", d.Network, "A request takes `DURATION` from the gateway to a replica, and a token back.")
	f.IntVar(&o.MaxInFlight, "max-in-flight", d.MaxInFlight, "At most `N` requests of a gateway are in flight on a replica, and others queue; 0 is unlimited.")
	f.IntVar(&o.QueueSize, "queue-size", d.QueueSize, "At most `N` requests wait in a gateway; others are refused.")
	f.DurationVar(&o.QueueTimeout, "queue-timeout", d.QueueTimeout, "A request that has waited in a gateway for `DURATION` is refused.")
	f.DurationVar(&o.SlowStart, "slow-start", d.SlowStart, "A replica that joins a running fleet gets its full share after `DURATION`.")
	f.Float64Var(&o.EstimateError, "estimate-error", d.EstimateError, "A gateway errs in a prompt's length by `SPREAD`, the standard deviation of the logarithm.")
	f.DurationVar(&o.Objectives.TTFT, "ttft", d.Objectives.TTFT, "Goodput counts answers whose first token comes within `DURATION`; 0 asks for nothing.")
	f.DurationVar(&o.Objectives.TPOT, "tpot", d.Objectives.TPOT, "Goodput counts answers with at most `DURATION` per token after the first; 0 asks for nothing.")

	f.Var(&s.changes, "change", "Something happens to the fleet, as `TIME:KIND:NUMBER`: 60s:kill:3 and 60s:drain:3 end the replica with that number, the first being 0, 300s:add:4 adds replicas of the first group, 600s:roll:2 replaces all of them, two at a time; may be given several times.")
	f.DurationVar(&o.Detection, "detection", d.Detection, "Gateways notice after `DURATION` that a replica has died.")
	f.DurationVar(&o.StartTime, "start-time", d.StartTime, "A new replica is ready after `DURATION`.")
	f.StringVar(&s.autoscale, "autoscale", "", "Replicas come and go as Kubernetes's HorizontalPodAutoscaler has it with the target `METRIC:TARGET` for each replica: requests:20 (requests in flight and queued) or tokens:8000 (prompt tokens that wait to be read).")
	f.IntVar(&s.minReplicas, "min-replicas", 1, "With --autoscale or --plan, there are at least `N` replicas while an autoscaler decides.")
	f.IntVar(&s.maxReplicas, "max-replicas", defaultMaxReplicas, "With --autoscale there are at most `N` replicas, and --plan tries no more.")
	f.DurationVar(&s.stabilization, "stabilization", defaultStabilization, "With --autoscale or --plan, an autoscaler takes away only what was not needed for `DURATION`.")

	f.StringVar(&s.compare, "compare", "", "The policies of the `LIST`, with commas, are compared over the same loads; all stands for every one, and rivals for other projects'.")
	f.IntVar(&s.seeds, "seeds", 1, "Everything is run with `N` seeds, and means are reported with their 95 % confidence intervals.")
	f.BoolVar(&s.plan, "plan", false, "How many replicas the load needs is looked for, and the target that an autoscaler should have.")
	f.Float64Var(&s.share, "share", .99, "With --plan, the `SHARE` of requests that must meet the objectives with every seed, below 1.")
	f.StringVar(&s.scaleBy, "scale-by", string(simulate.OutstandingRequests), "With --plan, the autoscaler's `METRIC`: requests, tokens, or none for a fixed number alone.")
	f.IntVar(&s.atOnce, "parallel", 0, "Runs go on `N` at a time, which changes no result; 0 is the number of CPUs.")
	f.StringVar(&s.json, "json", "", "The results are written to `FILE` as JSON.")
	f.StringVar(&s.html, "html", "", "The results are written to `FILE` as one HTML page with charts.")
}

// parseSimulate reads the command line. If it ends the program, ok is false and code its exit code.
func parseSimulate(args []string, stderr io.Writer) (s *simulateFlags, code int, ok bool) {
	s = &simulateFlags{}
	f := newFlags("simulate", "Plays a load on a virtual clock through gateways, with the balancer that serves, before modelled GPU replicas; compares policies, and plans how many replicas a load needs.", stderr)
	s.define(f)
	if code, ok := f.parse(args); !ok {
		return nil, code, false
	}
	if err := s.check(f); err != nil {
		return nil, f.wrong("%v", err), false
	}
	return s, exitOK, true
}

// check completes the flags and says what is wrong with them.
func (s *simulateFlags) check(f *flagSet) error {
	for _, check := range []func(*flagSet) error{s.checkLoad, s.checkPolicies, s.checkPlan, s.checkFleet, s.checkChanges, s.checkAutoscale, s.checkOptions} {
		if err := check(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulateFlags) checkLoad(f *flagSet) error {
	if f.isSet("time-scale") && f.isSet("rate") {
		return errors.New("--time-scale cannot be combined with --rate: each says how fast the trace is played")
	}
	if err := s.load.check(f); err != nil {
		return err
	}
	switch {
	case f.isSet("rate") && !possibleRate(s.load.rate):
		return fmt.Errorf("--rate is %v: want more than 0, and at most a million", s.load.rate)
	case s.limit < 0:
		return fmt.Errorf("--limit is %d: want at least 1, or 0 for all requests", s.limit)
	case s.seeds < 1 || s.seeds > maxSeeds:
		return fmt.Errorf("--seeds is %d: want 1 to %d", s.seeds, maxSeeds)
	case s.atOnce < 0:
		return fmt.Errorf("--parallel is %d: want at least 1, or 0 for the number of CPUs", s.atOnce)
	case s.atOnce == 0:
		s.atOnce = runtime.GOMAXPROCS(0)
	}
	if s.load.file == "" && !f.isSet("rate") {
		s.load.rate = defaultBenchRate
	}
	s.options.Seed = s.load.seed
	return nil
}

// rivalPrefix begins the names of other projects' policies.
const rivalPrefix = "rival-"

func (s *simulateFlags) checkPolicies(f *flagSet) error {
	known := simulate.PolicyNames()
	if !slices.Contains(known, s.options.Policy) {
		return fmt.Errorf("--policy is %q: want one of %s", s.options.Policy, strings.Join(known, ", "))
	}
	s.policies = []string{s.options.Policy}
	if !f.isSet("compare") {
		return nil
	}
	for _, name := range []string{"policy", "plan"} {
		if f.isSet(name) {
			return fmt.Errorf("--%s cannot be combined with --compare, which lists the policies", name)
		}
	}
	s.policies = nil
	for _, item := range strings.Split(s.compare, ",") {
		item = strings.TrimSpace(item)
		switch {
		case item == "all" || item == "rivals":
			for _, name := range known {
				if (item == "all" || strings.HasPrefix(name, rivalPrefix)) && !slices.Contains(s.policies, name) {
					s.policies = append(s.policies, name)
				}
			}
		case !slices.Contains(known, item):
			return fmt.Errorf("--compare has %q: want all, rivals or some of %s", item, strings.Join(known, ", "))
		case slices.Contains(s.policies, item):
			return fmt.Errorf("--compare has %s twice", item)
		default:
			s.policies = append(s.policies, item)
		}
	}
	return nil
}

func (s *simulateFlags) checkPlan(f *flagSet) error {
	if !s.plan {
		return withoutIts(f, "--plan", "share", "scale-by")
	}
	for _, other := range []struct{ name, why string }{
		{"fleet", "it looks for the number of equal replicas: want --profile"},
		{"replicas", "it looks for their number: want --max-replicas for the most that it tries"},
		{"autoscale", "it looks for the autoscaler's target: want --scale-by for its metric"},
	} {
		if f.isSet(other.name) {
			return fmt.Errorf("--%s cannot be combined with --plan: %s", other.name, other.why)
		}
	}
	if !(s.share > 0 && s.share < 1) {
		return fmt.Errorf("--share is %v: want more than 0 and less than 1, such as 0.99", s.share)
	}
	if metrics := []string{string(simulate.OutstandingRequests), string(simulate.OutstandingTokens), scaleByNone}; !slices.Contains(metrics, s.scaleBy) {
		return fmt.Errorf("--scale-by is %q: want one of %s", s.scaleBy, strings.Join(metrics, ", "))
	}
	if s.scaleBy == scaleByNone {
		return withoutIts(f, "an autoscaler, which --scale-by none excludes", "min-replicas", "stabilization")
	}
	s.replicas = 1
	return nil
}

// checkOptions lets the simulator look at all of it, with a load that is always fine.
func (s *simulateFlags) checkOptions(*flagSet) error {
	o := s.options
	o.Trace = &trace.Trace{BlockTokens: 1, Requests: []trace.Request{{PromptTokens: 1, OutputTokens: 1}}}
	return o.Validate()
}

// loads makes the load of each seed. Seeds of a trace differ in how its copies are shifted, and in what gateways draw.
func (s *simulateFlags) loads(seed uint64) (*trace.Trace, error) {
	t, err := s.load.make(s.load.rate, seed)
	if err == nil && s.limit > 0 {
		t = t.Limit(s.limit)
	}
	return t, err
}

func (s *simulateFlags) objectives() report.Objectives {
	return report.Objectives{TTFT: s.options.Objectives.TTFT.Seconds(), TPOT: s.options.Objectives.TPOT.Seconds()}
}

// isPositive is false for what is no number, too.
func isPositive(x float64) bool { return x > 0 && !math.IsInf(x, 1) }
