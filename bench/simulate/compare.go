package simulate

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/penstock/penstock/bench/trace"
)

// Load makes the trace of a seed.
type Load func(seed uint64) (*trace.Trace, error)

// Comparison is several policies over the same loads.
type Comparison struct {
	// Options are what all runs have in common; Policy, Trace and Seed are set for each.
	Options Options
	// Load makes the trace of each seed.
	Load Load
	// Policies are compared in this order.
	Policies []string
	// Seeds is how many seeds there are, from Options.Seed on.
	Seeds int
	// Parallel is how many runs go on at once; 0 is 1. It changes no result.
	Parallel int
	// Progress is told after each run how many of all have ended; nil is allowed. Calls do not overlap.
	Progress func(done, all int)
}

// Summary is how a policy did over all seeds.
type Summary struct {
	Policy    string   `json:"policy"`
	Goodput   Estimate `json:"goodput"`
	GoodRate  Estimate `json:"goodRate"`
	TTFTp50   Estimate `json:"ttftP50"`
	TTFTp99   Estimate `json:"ttftP99"`
	TPOTp50   Estimate `json:"tpotP50"`
	TPOTp99   Estimate `json:"tpotP99"`
	CacheHits Estimate `json:"cacheHits"`
	Imbalance Estimate `json:"imbalance"`
	Failed    Estimate `json:"failed"`
	Refused   Estimate `json:"refused"`
	// ReplicaHours is the time that replicas were there.
	ReplicaHours Estimate  `json:"replicaHours"`
	Runs         []*Result `json:"runs"`
}

// Estimate is a mean over seeds, and half the width of its 95 % confidence interval by Student's distribution; 0 with a single seed, of which
// nothing is known of the spread.
type Estimate struct {
	Mean float64 `json:"mean"`
	Half float64 `json:"half"`
}

// Overlaps reports whether the intervals have something in common.
func (e Estimate) Overlaps(f Estimate) bool { return math.Abs(e.Mean-f.Mean) <= e.Half+f.Half }

// Run makes all runs, and summarises them by policy. It stops early with ctx's error when ctx ends.
func (c *Comparison) Run(ctx context.Context) ([]Summary, error) {
	if c.Seeds < 1 || len(c.Policies) == 0 {
		return nil, fmt.Errorf("cannot compare %d policies over %d seeds: want at least one of each", len(c.Policies), c.Seeds)
	}
	traces := make([]*trace.Trace, c.Seeds)
	for i := range traces {
		t, err := c.Load(c.Options.Seed + uint64(i))
		if err != nil {
			return nil, err
		}
		traces[i] = t
	}
	results := make([][]*Result, len(c.Policies))
	for i := range results {
		results[i] = make([]*Result, c.Seeds)
	}
	err := c.each(ctx, len(c.Policies)*c.Seeds, func(k int) error {
		policy, seed := k%len(c.Policies), k/len(c.Policies)
		o := c.Options
		o.Policy, o.Trace, o.Seed = c.Policies[policy], traces[seed], c.Options.Seed+uint64(seed)
		r, err := Run(o)
		if err != nil {
			return err
		}
		r.Outcomes = nil
		results[policy][seed] = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	summaries := make([]Summary, len(c.Policies))
	for i, policy := range c.Policies {
		summaries[i] = summarize(policy, results[i])
	}
	return summaries, nil
}

// each calls run for all numbers below n, Parallel at a time.
func (c *Comparison) each(ctx context.Context, n int, run func(k int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	done := 0
	next := make(chan int)
	var workers sync.WaitGroup
	for range max(c.Parallel, 1) {
		workers.Go(func() {
			for k := range next {
				if err := run(k); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done++
				if c.Progress != nil {
					c.Progress(done, n)
				}
				mu.Unlock()
			}
		})
	}
	for k := 0; k < n && ctx.Err() == nil; k++ {
		select {
		case next <- k:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

func summarize(policy string, runs []*Result) Summary {
	of := func(value func(r *Result) float64) Estimate {
		values := make([]float64, len(runs))
		for i, r := range runs {
			values[i] = value(r)
		}
		return estimate(values)
	}
	return Summary{
		Policy: policy, Runs: runs,
		Goodput:      of(func(r *Result) float64 { return r.Goodput }),
		GoodRate:     of(func(r *Result) float64 { return r.GoodRate }),
		TTFTp50:      of(func(r *Result) float64 { return r.TTFT.P50 }),
		TTFTp99:      of(func(r *Result) float64 { return r.TTFT.P99 }),
		TPOTp50:      of(func(r *Result) float64 { return r.TPOT.P50 }),
		TPOTp99:      of(func(r *Result) float64 { return r.TPOT.P99 }),
		CacheHits:    of(func(r *Result) float64 { return r.CacheHits }),
		Imbalance:    of(func(r *Result) float64 { return r.TokenImbalance }),
		Failed:       of(func(r *Result) float64 { return float64(r.Failed) }),
		Refused:      of(func(r *Result) float64 { return float64(r.Refused) }),
		ReplicaHours: of(func(r *Result) float64 { return r.ReplicaHours }),
	}
}

// student are the 0.975 quantiles of Student's distribution, by degrees of freedom from 1 on; further on it is close to the normal one's.
var student = [...]float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086}

// EstimateOf estimates the mean of what values, at least one, were drawn from.
func EstimateOf(values []float64) Estimate { return estimate(values) }

func estimate(values []float64) Estimate {
	n := float64(len(values))
	sum, squares := 0.0, 0.0
	for _, v := range values {
		sum += v
	}
	mean := sum / n
	if len(values) < 2 {
		return Estimate{Mean: mean}
	}
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	t := 1.96 + 2.4/(n-1) // for more than the table has
	if len(values)-2 < len(student) {
		t = student[len(values)-2]
	}
	return Estimate{Mean: mean, Half: t * math.Sqrt(squares/(n-1)/n)}
}
