package simulate

import (
	"math"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/trace"
)

func testPlanning(t *testing.T, rate float64) *Planning {
	return &Planning{
		Options: testOptions(t, nil, 1, func(o *Options) { o.StartTime = 10 * time.Second }),
		Load:    func(seed uint64) (*trace.Trace, error) { return trace.NoReuse(rate, int(60*rate), seed), nil },
		Share:   .95, MaxReplicas: 50, Seeds: 2,
	}
}

func TestPlanFindsTheFewest(t *testing.T) {
	p := testPlanning(t, 60)
	plan, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Met || plan.Fixed.Goodput < p.Share || plan.Fewer == nil || plan.Fewer.Goodput >= p.Share {
		t.Errorf("%d replicas: %+v, one fewer: %+v", plan.Replicas, plan.Fixed, plan.Fewer)
	}
	if plan.Replicas < 4 || plan.Replicas > 9 { // about 11 requests a second each
		t.Errorf("%d replicas are planned", plan.Replicas)
	}
	p.MaxReplicas = 3
	if plan, err = p.Run(t.Context()); err != nil || plan.Met || plan.Replicas != 3 {
		t.Errorf("with three at most: %+v, %v", plan, err)
	}
}

func TestPlanScales(t *testing.T) {
	p := testPlanning(t, 30)
	p.Autoscale = &Autoscale{Metric: OutstandingRequests, Min: 1, Stabilization: 30 * time.Second}
	plan, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Scaled
	if s == nil || !s.Met || s.Run.Goodput < p.Share || s.Target < 1 || s.Min != 1 || s.Max < plan.Replicas {
		t.Fatalf("scaled: %+v", s)
	}
	if want := 1 - s.Run.ReplicaHours/(float64(plan.Replicas)*plan.Fixed.Duration/3600); math.Abs(s.Saved-want) > 1e-6 {
		t.Errorf("%v of replica hours is saved, want %v", s.Saved, want)
	}
}

func TestPlanErrors(t *testing.T) {
	for _, c := range []struct {
		change func(p *Planning)
		want   string
	}{
		{func(p *Planning) { p.Options.Fleet = nil }, "cannot plan for 0 groups of replicas: want one"},
		{func(p *Planning) { p.Share = 1 }, "cannot plan for a share of 1: want more than 0 and less than 1, such as 0.99"},
		{func(p *Planning) { p.Share = math.NaN() }, "cannot plan for a share of NaN: want more than 0 and less than 1, such as 0.99"},
		{func(p *Planning) { p.MaxReplicas = 0 }, "cannot plan with at most 0 replicas: want 1 to 100000"},
		{func(p *Planning) { p.Seeds = 0 }, "cannot plan with 0 seeds: want at least 1"},
	} {
		p := testPlanning(t, 10)
		c.change(p)
		if _, err := p.Run(t.Context()); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
