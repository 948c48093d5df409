package simulate

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/trace"
)

// Options is everything that a run depends on.
type Options struct {
	// Trace is the load.
	Trace *trace.Trace
	// Fleet is the replicas that are there at the beginning, in groups of equal ones.
	Fleet []Group
	// Policy names the policy that picks, one of PolicyNames.
	Policy string
	// Gateways is how many gateway replicas share the load, at random; each knows only its own requests.
	Gateways int
	// PollInterval is the time between two readings of a replica's metrics by a gateway; 0 is never.
	PollInterval time.Duration
	// PollLoss is the share of readings that fail, 0 to 1.
	PollLoss float64
	// Network is the time that a request takes from the gateway to a replica, and a token back.
	Network time.Duration
	// MaxInFlight is the most requests in flight per endpoint and gateway; beyond it they queue. 0 is unlimited.
	MaxInFlight int
	// QueueSize is how many requests may wait in each gateway, and QueueTimeout for how long.
	QueueSize    int
	QueueTimeout time.Duration
	// SlowStart is how long a replica that joins a running fleet takes to get its full share.
	SlowStart time.Duration
	// EstimateError is the standard deviation of the logarithm of what a gateway takes a prompt's length for, over what it is.
	EstimateError float64
	// Objectives are the latencies that count as good.
	Objectives Objectives
	// Changes happen to the fleet.
	Changes []Change
	// Detection is how long gateways take to notice that a replica has died.
	Detection time.Duration
	// StartTime is how long a new replica takes until it is ready.
	StartTime time.Duration
	// Autoscale adds and removes replicas; nil leaves their number alone.
	Autoscale *Autoscale
	// Seed decides everything that is random.
	Seed uint64
}

// Group is a number of equal replicas.
type Group struct {
	Engine   engine.Config
	Replicas int
}

// Objectives are latencies that requests are to meet; 0 is any.
type Objectives struct {
	// TTFT is the longest time from a request's arrival to its first token.
	TTFT time.Duration
	// TPOT is the longest mean time between tokens after the first.
	TPOT time.Duration
}

// Default returns options with everything set but Trace and Fleet.
func Default() Options {
	return Options{
		Policy: "auto", Gateways: 1, PollInterval: 2 * time.Second, Network: 250 * time.Microsecond,
		QueueSize: 512, QueueTimeout: 30 * time.Second, SlowStart: 30 * time.Second, EstimateError: .1,
		Objectives: Objectives{TTFT: 5 * time.Second, TPOT: 60 * time.Millisecond},
		Detection:  time.Second, StartTime: time.Minute, Seed: 1,
	}
}

// maxReplicas bounds a fleet, maxGateways the gateways, and longest every time that is given, so that sums of them do not overflow.
const (
	maxReplicas = 100_000
	maxGateways = 1_000
	longest     = 365 * 24 * time.Hour
)

// Validate says what of o makes no sense.
func (o *Options) Validate() error {
	if o.Trace == nil || len(o.Trace.Requests) == 0 {
		return errors.New("cannot simulate: the trace has no requests")
	}
	if err := o.Trace.Validate(); err != nil {
		return fmt.Errorf("cannot simulate: %w", err)
	}
	if d := o.Trace.Duration(); d > longest {
		return fmt.Errorf("cannot simulate a trace of %v: want at most %v", d, longest)
	}
	replicas := 0
	for i := range o.Fleet {
		g := &o.Fleet[i]
		if g.Replicas < 1 {
			return fmt.Errorf("cannot simulate %d replicas of %s: want at least 1", g.Replicas, g.Engine.Name)
		}
		replicas += g.Replicas
		config := o.engineConfig(g)
		if err := config.Validate(); err != nil {
			return fmt.Errorf("cannot simulate replicas of %s: %w", g.Engine.Name, err)
		}
	}
	if _, err := lookupPolicy(o.Policy); err != nil {
		return err
	}
	for _, bound := range []struct {
		what               string
		value, least, most float64
	}{
		{"replicas", float64(replicas), 1, maxReplicas},
		{"gateways", float64(o.Gateways), 1, maxGateways},
		{"poll loss", o.PollLoss, 0, 1},
		{"estimate error", o.EstimateError, 0, 3},
		{"requests in flight per endpoint", float64(o.MaxInFlight), 0, 1 << 30},
		{"requests in the queue", float64(o.QueueSize), 0, 1 << 30},
	} {
		if !(bound.value >= bound.least && bound.value <= bound.most) {
			return fmt.Errorf("cannot simulate with %s = %v: want %v to %v", bound.what, bound.value, bound.least, bound.most)
		}
	}
	for _, d := range []struct {
		what  string
		value time.Duration
	}{
		{"poll interval", o.PollInterval}, {"network time", o.Network}, {"queue timeout", o.QueueTimeout}, {"slow start", o.SlowStart},
		{"TTFT objective", o.Objectives.TTFT}, {"TPOT objective", o.Objectives.TPOT}, {"detection time", o.Detection}, {"start time", o.StartTime},
	} {
		if d.value < 0 || d.value > longest {
			return fmt.Errorf("cannot simulate with a %s of %v: want 0 to %v", d.what, d.value, longest)
		}
	}
	if o.PollInterval > 0 && o.PollInterval < time.Millisecond {
		return fmt.Errorf("cannot simulate with a poll interval of %v: want 0 (never) or at least 1ms", o.PollInterval)
	}
	if err := o.validateChanges(replicas); err != nil {
		return err
	}
	return o.Autoscale.validate(o.Policy)
}

// engineConfig is how a group's engines run: their prefix caches go by the trace's blocks.
func (o *Options) engineConfig(g *Group) engine.Config {
	c := g.Engine
	c.EveryToken, c.BlockTokens = false, o.Trace.BlockTokens
	return c
}
