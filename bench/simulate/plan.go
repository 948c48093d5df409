package simulate

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/penstock/penstock/bench/trace"
)

// Planning asks how many replicas a load needs, and which target an autoscaler should have.
type Planning struct {
	// Options are those of the runs. Its Fleet has one group, whose number of replicas is what is asked for.
	Options Options
	// Load makes the trace of each seed.
	Load Load
	// Share is the share of requests that are to meet all objectives, 0 to 1; with every seed.
	Share float64
	// MaxReplicas is the most replicas that are tried.
	MaxReplicas int
	// Seeds is how many seeds there are, from Options.Seed on.
	Seeds int
	// Autoscale has all that an autoscaler is set to, but for Target and Max, which are asked for; nil asks for a fixed number only.
	Autoscale *Autoscale
	// Parallel is how many seeds run at once; 0 is 1. It changes no result.
	Parallel int
	// Progress is told of each number or target that was tried, and how it did; nil is allowed.
	Progress func(tried string, goodput float64)
}

// Plan is the answer. Where Met is false, what it has is the best that was found.
type Plan struct {
	// Replicas is the fewest that meet the share without being scaled.
	Replicas int `json:"replicas"`
	// Met says that these do.
	Met bool `json:"met"`
	// Fixed is how they do, with the seed that does worst.
	Fixed *Result `json:"fixed"`
	// Fewer is how one fewer do; nil if that was not tried.
	Fewer *Result `json:"fewer,omitempty"`
	// Scaled is the autoscaler's part; nil if none was asked for.
	Scaled *ScaledPlan `json:"scaled,omitempty"`
	// Tried is all that was tried, in this order.
	Tried []Trial `json:"tried"`
}

// Trial is a number of replicas, or an autoscaler's target, and how it did with the seed that does worst.
type Trial struct {
	// Replicas is the fixed number, or with how many the autoscaler began.
	Replicas int `json:"replicas"`
	// Target is the autoscaler's; 0 for a fixed number.
	Target float64 `json:"target,omitempty"`
	Result *Result `json:"result"`
}

// ScaledPlan is what an autoscaler should be set to.
type ScaledPlan struct {
	// Metric and Target are what the autoscaler is to have: so much of the metric for each replica.
	Metric ScaleMetric `json:"metric"`
	Target float64     `json:"target"`
	// Min and Max bound the replicas.
	Min int `json:"min"`
	Max int `json:"max"`
	// Met says that the share is met, with every seed.
	Met bool `json:"met"`
	// Run is how it does with the seed that does worst, and Saved the share of the fixed number's replica hours that it saves; below 0
	// it costs more.
	Run   *Result `json:"run"`
	Saved float64 `json:"saved"`
}

// Run looks for the answer. It stops early with ctx's error when ctx ends.
func (p *Planning) Run(ctx context.Context) (*Plan, error) {
	switch {
	case len(p.Options.Fleet) != 1:
		return nil, fmt.Errorf("cannot plan for %d groups of replicas: want one", len(p.Options.Fleet))
	case !(p.Share > 0 && p.Share < 1):
		return nil, fmt.Errorf("cannot plan for a share of %v: want more than 0 and less than 1, such as 0.99", p.Share)
	case p.MaxReplicas < 1 || p.MaxReplicas > maxReplicas:
		return nil, fmt.Errorf("cannot plan with at most %d replicas: want 1 to %d", p.MaxReplicas, maxReplicas)
	case p.Seeds < 1:
		return nil, fmt.Errorf("cannot plan with %d seeds: want at least 1", p.Seeds)
	}
	s := &planSearch{Planning: p, ctx: ctx, fixed: make(map[int]*Result)}
	for i := range p.Seeds {
		t, err := p.Load(p.Options.Seed + uint64(i))
		if err != nil {
			return nil, err
		}
		s.traces = append(s.traces, t)
	}
	plan, err := s.replicas()
	if err == nil && p.Autoscale != nil {
		plan.Scaled, err = s.target(plan)
	}
	if err != nil {
		return nil, err
	}
	plan.Tried = s.tried
	return plan, nil
}

// planSearch is a Planning at work.
type planSearch struct {
	*Planning
	ctx    context.Context
	traces []*trace.Trace
	fixed  map[int]*Result
	tried  []Trial
}

// worst runs all seeds and returns the one with the least goodput.
func (s *planSearch) worst(o Options) (*Result, error) {
	results := make([]*Result, len(s.traces))
	seeds := Comparison{Parallel: s.Parallel}
	err := seeds.each(s.ctx, len(s.traces), func(i int) error {
		o := o
		o.Trace, o.Seed = s.traces[i], s.Options.Seed+uint64(i)
		r, err := Run(o)
		if err != nil {
			return err
		}
		r.Outcomes = nil
		results[i] = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	worst := results[0]
	for _, r := range results {
		if r.Goodput < worst.Goodput {
			worst = r
		}
	}
	return worst, nil
}

func (s *planSearch) tell(tried string, t Trial) {
	s.tried = append(s.tried, t)
	if s.Progress != nil {
		s.Progress(tried, t.Result.Goodput)
	}
}

func (s *planSearch) with(replicas int) (*Result, error) {
	if r := s.fixed[replicas]; r != nil {
		return r, nil
	}
	o := s.Options
	o.Fleet = []Group{{Engine: s.Options.Fleet[0].Engine, Replicas: replicas}}
	o.Autoscale = nil
	r, err := s.worst(o)
	if err != nil {
		return nil, err
	}
	s.fixed[replicas] = r
	s.tell(fmt.Sprintf("replicas = %d", replicas), Trial{Replicas: replicas, Result: r})
	return r, nil
}

// replicas doubles the number until it is enough, and halves the interval from there.
func (s *planSearch) replicas() (*Plan, error) {
	low, high := 0, 1
	for {
		r, err := s.with(high)
		if err != nil {
			return nil, err
		}
		if r.Goodput >= s.Share {
			break
		}
		if high == s.MaxReplicas {
			return &Plan{Replicas: high, Fixed: r}, nil
		}
		low, high = high, min(2*high, s.MaxReplicas)
	}
	for high-low > 1 {
		mid := (low + high) / 2
		r, err := s.with(mid)
		if err != nil {
			return nil, err
		}
		if r.Goodput >= s.Share {
			high = mid
		} else {
			low = mid
		}
	}
	return &Plan{Replicas: high, Met: true, Fixed: s.fixed[high], Fewer: s.fixed[high-1]}, nil
}

// targetSteps is how many times the interval of targets is halved, in the logarithm: 1.07-fold steps are left of a 1000-fold one.
const targetSteps = 7

// target looks for the highest target that meets the share: the higher it is, the fewer replicas are kept.
func (s *planSearch) target(plan *Plan) (*ScaledPlan, error) {
	most := min(2*plan.Replicas+4, s.MaxReplicas)
	low, high := s.bounds(plan)
	best, err := s.scaled(low, plan.Replicas, most)
	if err != nil || !best.Met {
		return s.against(plan, best), err
	}
	for range targetSteps {
		mid := math.Sqrt(low * high)
		r, err := s.scaled(mid, plan.Replicas, most)
		if err != nil {
			return nil, err
		}
		if r.Met {
			best, low = r, mid
		} else {
			high = mid
		}
	}
	return s.against(plan, best), nil
}

// bounds are targets that are surely too low and too high: from a twentieth to fifty times what there is for each replica of the fixed number on
// the average.
func (s *planSearch) bounds(plan *Plan) (low, high float64) {
	t, r := s.traces[0], plan.Fixed
	seconds := max(t.Duration().Seconds(), 1)
	perReplica := float64(len(t.Requests)) * r.Latency.Mean / seconds / float64(plan.Replicas) // Little's law
	if s.Autoscale.Metric == OutstandingTokens {
		tokens := 0.0
		for i := range t.Requests {
			tokens += float64(t.Requests[i].PromptTokens)
		}
		perReplica = tokens * r.TTFT.Mean / seconds / float64(plan.Replicas)
	}
	return perReplica / 20, perReplica * 50
}

func (s *planSearch) scaled(target float64, begin, most int) (*ScaledPlan, error) {
	a := *s.Autoscale
	target = roundTarget(target)
	a.Target, a.Max = target, max(most, a.Min)
	o := s.Options
	o.Autoscale = &a
	o.Fleet = []Group{{Engine: s.Options.Fleet[0].Engine, Replicas: begin}} // a load that is underway finds replicas that are, too
	r, err := s.worst(o)
	if err != nil {
		return nil, err
	}
	s.tell(fmt.Sprintf("a target of %v %s per replica", target, a.Metric), Trial{Replicas: begin, Target: target, Result: r})
	return &ScaledPlan{Metric: a.Metric, Target: target, Min: a.Min, Max: a.Max, Met: r.Goodput >= s.Share, Run: r}, nil
}

// roundTarget rounds to two digits, as nobody sets a target of 17.3205.
func roundTarget(v float64) float64 {
	if v <= 0 {
		return 0.1
	}
	scale := math.Pow(10, 1-math.Floor(math.Log10(v))) // by which a division leaves no 1.4000000000000001
	return max(math.Round(v*scale)/scale, 1e-3)
}

// against notes what is saved.
func (s *planSearch) against(plan *Plan, scaled *ScaledPlan) *ScaledPlan {
	if scaled == nil {
		return nil
	}
	fixed := float64(plan.Replicas) * (time.Duration(plan.Fixed.Duration * float64(time.Second))).Hours()
	if fixed > 0 {
		scaled.Saved = 1 - scaled.Run.ReplicaHours/fixed
	}
	return scaled
}
