package main

import (
	"context"
	"log/slog"

	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway"
)

// benchTarget is something that load is sent to.
type benchTarget struct {
	name string
	// start makes it ready for a run, and says where it is; stop ends it.
	start func() (url string, stop func(), err error)
	// pid is the process whose processor time counts, and cpuOf says what that is; pid 0 is none.
	pid   int
	cpuOf string
	// fresh says that nothing of an earlier run is left in its caches.
	fresh bool
}

const defaultTarget = "target"

// startTargets lists the targets of the command line; those of policies log to log.
func (b *benchFlags) startTargets(log *slog.Logger) []benchTarget {
	var list []benchTarget
	if len(b.policies) > 0 {
		for _, policy := range b.policies {
			list = append(list, b.inProcess(policy, func() (string, func(), error) { return b.startPolicy(policy, log) }))
		}
		if b.direct.set {
			list = append(list, b.inProcess(report.Direct, func() (string, func(), error) { return b.startMock(log) }))
		}
		return list
	}
	for _, target := range b.targets {
		name, url := splitTarget(target)
		list = append(list, b.remote(name, url))
	}
	if b.direct.set {
		list = append(list, b.remote(report.Direct, b.direct.url))
	}
	return list
}

func (b *benchFlags) remote(name, url string) benchTarget {
	return benchTarget{name: name, pid: b.pids[name], cpuOf: "the target's process",
		start: func() (string, func(), error) { return url, func() {}, nil }}
}

func (b *benchFlags) inProcess(name string, start func() (string, func(), error)) benchTarget {
	return benchTarget{name: name, pid: ownPID(), cpuOf: "generator, gateway and replicas together", start: start, fresh: true}
}

func (b *benchFlags) mockOptions() mock.Options {
	return mock.Options{Models: []string{b.options.Model}, Profile: b.profile, Speed: b.engineSpeed}
}

// startMock starts one replica with nothing in front.
func (b *benchFlags) startMock(log *slog.Logger) (url string, stop func(), err error) {
	o := b.mockOptions()
	o.Log = log
	replicas, err := startReplicas(1, o)
	if err != nil {
		closeReplicas(replicas)
		return "", nil, err
	}
	return "http://" + replicas[0].Addr(), func() { closeReplicas(replicas) }, nil
}

// startPolicy starts replicas, with cold caches, and a gateway in front that balances by the policy.
func (b *benchFlags) startPolicy(policy string, log *slog.Logger) (url string, stop func(), err error) {
	o := b.mockOptions()
	o.Log = log
	replicas, err := startReplicas(b.replicas, o)
	if err != nil {
		closeReplicas(replicas)
		return "", nil, err
	}
	g, err := policyGateway(policy, replicas, log)
	if err != nil {
		closeReplicas(replicas)
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := g.Run(ctx); err != nil {
			log.Error("the gateway of a run ended badly", "policy", policy, "error", err)
		}
	}()
	return "http://" + reachable(g.Addr().String()), func() {
		cancel()
		<-ended
		closeReplicas(replicas)
	}, nil
}

// policyGateway makes a gateway before replicas, with its ports open. It polls the replicas' metrics, as policies may go by them.
func policyGateway(policy string, replicas []*mock.Server, log *slog.Logger) (*gateway.Gateway, error) {
	quick, session := policy, policy == "session"
	if session {
		quick = "" // which needs to be told what a session is
	}
	c, err := config.Quick("127.0.0.1:0", "127.0.0.1:0", urlsOf(replicas), nil, quick, mock.DefaultOptions.Engine, nil)
	if err != nil {
		return nil, err
	}
	for _, pool := range c.Pools {
		pool.SlowStart = 0 // every endpoint is new
		if session {
			pool.Balance, pool.Session = policy, &config.Key{Header: loadgen.SessionHeader}
		}
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return openGateway(c, log)
}
