package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/penstock/penstock/bench/simulate"
	"github.com/penstock/penstock/bench/trace"
	"github.com/penstock/penstock/gateway"
)

// simulateCommand plays a load and says how policies did, or how many replicas it needs. An interrupt ends it without results.
func simulateCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	const who = "penstock simulate"
	s, code, ok := parseSimulate(args, stderr)
	if !ok {
		return code
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	files, err := openReports(s.json, (*simulation).writeJSON, s.html, (*simulation).writeHTML)
	if err != nil {
		return fail(stderr, who, err)
	}
	r, err := s.run(ctx, stderr)
	if err != nil {
		files.discard()
		return fail(stderr, who, err)
	}
	if err := errors.Join(r.writeText(stdout), files.write(r)); err != nil {
		return fail(stderr, who, err)
	}
	return exitOK
}

// run runs everything that the flags ask for. It returns as soon as ctx ends, while runs that have begun may go on until they end.
func (s *simulateFlags) run(ctx context.Context, stderr io.Writer) (*simulation, error) {
	if err := s.load.read(); err != nil {
		return nil, err
	}
	version, _ := gateway.Version()
	r := &simulation{Format: simulationFormat, Version: version, Options: s.describe()}
	progress := newSimulateProgress(stderr)
	defer progress.end()
	load := func(seed uint64) (*trace.Trace, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, err := s.loads(seed)
		if err == nil && seed == s.options.Seed {
			r.describeLoad(t)
		}
		return t, err
	}
	ended := make(chan error, 1)
	go func() {
		var err error
		if s.plan {
			r.Plan, err = s.planning(load, progress).Run(ctx)
		} else {
			c := simulate.Comparison{Options: s.options, Load: load, Policies: s.policies, Seeds: s.seeds, Parallel: s.atOnce, Progress: progress.runs}
			progress.runs(0, len(c.Policies)*c.Seeds)
			r.Policies, err = c.Run(ctx)
		}
		ended <- err
	}()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("the simulation was ended early, after %s: it has no results", progress.passed())
	}
	if err != nil {
		return nil, err
	}
	r.judge()
	return r, nil
}

func (s *simulateFlags) planning(load simulate.Load, progress *simulateProgress) *simulate.Planning {
	p := &simulate.Planning{Options: s.options, Load: load, Share: s.share, MaxReplicas: s.maxReplicas, Seeds: s.seeds, Parallel: s.atOnce, Progress: progress.tried}
	if s.scaleBy != scaleByNone {
		p.Autoscale = &simulate.Autoscale{Metric: simulate.ScaleMetric(s.scaleBy), Min: s.minReplicas, Stabilization: s.stabilization}
	}
	return p
}

// describe is what the results depend on.
func (s *simulateFlags) describe() simulatedOptions {
	o := &s.options
	d := simulatedOptions{
		Fleet: s.fleetText(), Policies: s.policies, Gateways: o.Gateways, Seed: o.Seed, Seeds: s.seeds,
		PollInterval: o.PollInterval.Seconds(), PollLoss: o.PollLoss, Network: o.Network.Seconds(),
		MaxInFlight: o.MaxInFlight, QueueSize: o.QueueSize, QueueTimeout: o.QueueTimeout.Seconds(), SlowStart: o.SlowStart.Seconds(),
		EstimateError: o.EstimateError, Objectives: s.objectives(), Changes: s.changes, Detection: o.Detection.Seconds(), StartTime: o.StartTime.Seconds(),
	}
	for _, g := range o.Fleet {
		d.Groups = append(d.Groups, simulatedGroup{Replicas: g.Replicas, Profile: g.Engine.Name, KVTokens: g.Engine.KVTokens,
			BatchedTokens: g.Engine.MaxBatchedTokens, Sequences: g.Engine.MaxSequences})
	}
	if a := o.Autoscale; a != nil {
		d.Autoscale = &simulatedScaler{Metric: a.Metric, Target: a.Target, Min: a.Min, Max: a.Max, Stabilization: a.Stabilization.Seconds()}
	}
	if s.plan {
		d.Fleet, d.Groups[0].Replicas = "as many × "+o.Fleet[0].Engine.Name+" as it takes", 0
		d.Plan = &simulatedPlan{Share: s.share, Min: s.minReplicas, Max: s.maxReplicas, ScaleBy: s.scaleBy, Stabilization: s.stabilization.Seconds()}
	}
	return d
}

func (r *simulation) describeLoad(t *trace.Trace) {
	x := t.Summary()
	r.Load = simulatedLoad{Name: x.Name, Requests: x.Requests, Seconds: x.Duration.Seconds(), Rate: x.Rate,
		MeanPromptTokens: x.Prompt.Mean, MeanOutputTokens: x.Output.Mean, IdealHits: x.HitRate}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
