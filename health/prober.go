package health

import (
	"context"
	"crypto/tls"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// ProbeConfig says how endpoints are probed.
type ProbeConfig struct {
	// Path is what is requested with GET, with a query if it has one; 200 to 299 is a success, anything else, redirects included, a
	// failure. Probes over HTTP alone have one.
	Path string
	// Service is the name that is asked for; empty is the whole server. Probes over gRPC alone have one.
	Service string
	// Interval is the time from the end of a probe of an endpoint to its next one, give or take a tenth.
	Interval time.Duration
	// Timeout is how long a probe may take, connecting and the response's body or first message included.
	Timeout time.Duration
	// HealthyAfter is how many successes in a row make an endpoint healthy again; below 1 counts as 1. The first success that an
	// endpoint ever has is enough by itself, as every endpoint starts as not healthy.
	HealthyAfter int
	// UnhealthyAfter is how many failures in a row make a healthy endpoint unhealthy; below 1 counts as 1.
	UnhealthyAfter int
}

// maxConcurrent is the most probes at once. Further ones wait their turn: endpoints that hang until the timeout delay the others' probes
// rather than take any number of connections.
const maxConcurrent = 128

// startSpread is how far apart new targets are probed for the first time, so that a thousand are not probed at the same moment, and one
// that has just come up is not kept waiting.
const startSpread = time.Millisecond

// Target is an endpoint to probe.
type Target struct {
	// Name is what reports call it, unique among the targets.
	Name string
	// URL has the scheme http, https or h2c, a host and a port, and nothing else.
	URL string
	// ID tells replicas apart that have the same URL one after the other; empty where nothing does.
	ID string
}

// Report tells about an endpoint: its first result, and then each change of its health. err is why it is unhealthy, nil if it is not.
// Calls for one target never overlap, and their order is that of its probes.
type Report func(target string, healthy bool, err error)

// Status is what is known of a target.
type Status struct {
	// Healthy is whether it passes.
	Healthy bool
	// Checked is when the last probe ended; zero before the first.
	Checked time.Time
	// Took is how long the last probe took.
	Took time.Duration
	// Err is why the last probe failed, nil if it passed. With thresholds above 1 it may have passed while Healthy is still false, and
	// the other way around.
	Err error
}

// Prober probes endpoints over HTTP or gRPC, each on a connection of its own, in the intervals of its configuration. Its methods may be
// called from any goroutine, but Close not from a report.
type Prober struct {
	config    ProbeConfig
	transport *transports  // over HTTP
	health    *connections // over gRPC, else nil
	report    Report
	slots     chan struct{}

	mu      sync.Mutex
	probes  map[string]*probe
	ending  map[string]*probe // the last that was started under a name, until it has ended
	closed  bool
	running sync.WaitGroup
}

// NewProber returns a prober without targets. It makes its connections by the transport that newTransport returns for a scheme, http,
// https or h2c, each made once; Transports makes the usual ones.
func NewProber(config ProbeConfig, newTransport func(scheme string) http.RoundTripper, report Report) *Prober {
	p := newProber(config, report)
	p.transport = &transports{make: newTransport}
	return p
}

// NewGRPCProber returns a prober without targets that asks by gRPC's health protocol: a Watch call stays open to each endpoint that
// offers one, and the others are asked with Check. Endpoints at https are spoken to over TLS with what configOf returns for a target's
// name, nil being the default, and the others without; an open Watch moves to a new connection when configOf returns another one.
func NewGRPCProber(config ProbeConfig, configOf func(target string) *tls.Config, report Report) *Prober {
	p := newProber(config, report)
	p.health = &connections{configOf: configOf, dial: (&net.Dialer{}).DialContext}
	return p
}

func newProber(config ProbeConfig, report Report) *Prober {
	if config.Interval <= 0 || config.Timeout <= 0 {
		panic("BUG: a prober needs an interval and a timeout")
	}
	return &Prober{
		config: config,
		report: report,
		slots:  make(chan struct{}, maxConcurrent),
		probes: make(map[string]*probe),
		ending: make(map[string]*probe),
	}
}

// SetTargets replaces the targets. Those that stay as they are go on undisturbed; one whose URL or ID has changed starts anew. A probe of a
// target that has gone is cut off; a report of it that has begun may still be under way when SetTargets returns.
func (p *Prober) SetTargets(targets []Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	gone := maps.Clone(p.probes)
	step := min(startSpread, p.config.Interval/time.Duration(len(targets)+1))
	delay := time.Duration(0)
	for _, t := range targets {
		old := p.probes[t.Name]
		delete(gone, t.Name)
		if old != nil && old.target == t {
			continue
		}
		if old != nil {
			old.cancel()
		}
		p.start(t, delay)
		delay += step
	}
	for name, old := range gone {
		old.cancel()
		delete(p.probes, name)
	}
}

// start begins to probe t after a delay, and not before the end of what ran under its name. The lock is held.
func (p *Prober) start(t Target, delay time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	b := &probe{target: t, cancel: cancel, done: make(chan struct{})}
	previous := p.ending[t.Name]
	p.probes[t.Name], p.ending[t.Name] = b, b
	p.running.Go(func() {
		if previous != nil {
			<-previous.done
		}
		p.run(ctx, b, delay)
		cancel()
		p.ended(b)
	})
}

func (p *Prober) ended(b *probe) {
	close(b.done)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending[b.target.Name] == b {
		delete(p.ending, b.target.Name)
	}
}

// Status returns what is known of a target; false if it is none.
func (p *Prober) Status(target string) (Status, bool) {
	p.mu.Lock()
	b := p.probes[target]
	p.mu.Unlock()
	if b == nil {
		return Status{}, false
	}
	return b.current(), true
}

// Targets returns the names of the targets, sorted.
func (p *Prober) Targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.probes))
}

// Close ends all probing. When it returns nothing runs any more and no report follows.
func (p *Prober) Close() {
	p.mu.Lock()
	p.closed = true
	for name, b := range p.probes {
		b.cancel()
		delete(p.probes, name)
	}
	p.mu.Unlock()
	p.running.Wait()
	if p.transport != nil {
		p.transport.close()
	}
}

// run probes b until ctx ends.
func (p *Prober) run(ctx context.Context, b *probe, delay time.Duration) {
	// The first pause is anywhere within the interval, so that targets which came together drift apart.
	pause := time.Duration(rand.Int64N(int64(p.config.Interval))) + 1
	for sleep(ctx, delay) {
		if !p.acquire(ctx) {
			return
		}
		started := time.Now()
		w, err := p.probe(ctx, b)
		p.release()
		p.take(ctx, b, started, err, w != nil && err != nil)
		delay, pause = pause, jittered(p.config.Interval)
		if w != nil {
			delay = p.follow(ctx, b, w, delay)
		}
	}
}

// probe probes b's target once. A Watch call that told the result goes on, to be followed.
func (p *Prober) probe(ctx context.Context, b *probe) (*watch, error) {
	if p.health == nil {
		return nil, p.get(ctx, b.target)
	}
	return p.ask(ctx, b)
}

// take notes a result and reports it, unless ctx has ended, which is what the result is then about.
func (p *Prober) take(ctx context.Context, b *probe, started time.Time, err error, decisive bool) {
	if ctx.Err() != nil {
		return
	}
	if healthy, tell := b.note(p.config, started, err, decisive); tell {
		p.report(b.target.Name, healthy, err)
	}
}

// acquire waits until one more probe may run; false means that ctx ended.
func (p *Prober) acquire(ctx context.Context) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Prober) release() { <-p.slots }

// sleep waits; false means that ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		// Without a timer: those that are due at once, of several goroutines, crash the race detector in a bubble of testing/synctest,
		// whose timers share one racectx (timer.maybeRunChan in Go 1.26).
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// jittered returns d give or take a tenth.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(rand.Int64N(int64(d/5)+1))
}
