package simulate

import (
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/engine"
)

// poller reads a replica's metrics for one gateway, at the times at which the gateway's own does (balancer/load): at once, then anywhere within
// the interval, so that replicas which came together drift apart, and from then on in intervals, give or take a tenth.
type poller struct {
	g        *gateway
	replica  *replica
	endpoint *balancer.Endpoint

	next     func(w *world)
	first    bool // nothing was tried before
	failures int  // in a row
	before   engine.Stats
	beforeAt int64 // when these were read; 0 if never
}

// longestPause is the longest time between polls that fail, unless the interval is longer.
const longestPause = 30 * time.Second

// poll begins to read r's metrics, for as long as the gateway knows it.
func (g *gateway) poll(r *replica, e *balancer.Endpoint) {
	if g.w.o.PollInterval <= 0 {
		return
	}
	p := &poller{g: g, replica: r, endpoint: e, first: true}
	p.next = func(*world) { p.poll() }
	g.w.events.push(g.w.now, p.next)
}

func (p *poller) poll() {
	w := p.g.w
	if p.g.endpoints[p.replica] != p.endpoint {
		return
	}
	if p.replica.state == replicaDead || w.o.PollLoss > 0 && w.random.Float64() < w.o.PollLoss {
		p.failures++
	} else {
		p.failures = 0
		p.read(w.now + 1) // as 0 is never
	}
	w.events.push(w.now+p.pause(), p.next)
}

// pause is the time to the next poll, in ns.
func (p *poller) pause() int64 {
	w := p.g.w
	d := w.o.PollInterval
	if p.first {
		p.first = false
		return w.random.Int64N(int64(d))
	}
	for range p.failures - 1 {
		if d >= longestPause {
			break
		}
		d = min(2*d, longestPause)
	}
	return int64(d-d/10) + w.random.Int64N(int64(d/5+1))
}

// read takes what the replica's metrics say now.
func (p *poller) read(now int64) {
	stats, blockTokens := p.replica.engine.Stats(), p.g.w.blockTokens
	reading := func(v float64) balancer.Reading { return balancer.Reading{Value: v, At: now} }
	s := &balancer.Signals{
		Waiting: reading(float64(stats.Waiting)), Running: reading(float64(stats.Running)), KVCache: reading(stats.KVUsage),
		BlockSize: reading(float64(blockTokens)), Blocks: reading(float64(p.replica.engine.Config().KVTokens / blockTokens)),
		InFlight: p.endpoint.InFlight(),
	}
	if seconds := float64(now-p.beforeAt) / 1e9; p.beforeAt != 0 && seconds > 0 {
		s.PrefixHits = reading(float64(stats.PrefixHits-p.before.PrefixHits) / seconds)
		s.PrefixQueries = reading(float64(stats.PrefixQueries-p.before.PrefixQueries) / seconds)
	}
	p.before, p.beforeAt = stats, now
	p.endpoint.SetSignals(s)
}
