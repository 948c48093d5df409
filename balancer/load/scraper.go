package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/balancer"
)

// Config says how endpoints are polled.
type Config struct {
	// Engine names the model server, and so the metrics that are read: see Engines.
	Engine string
	// Interval is the time from the end of a poll of an endpoint to its next one, give or take a tenth. After failures in a row it
	// doubles, up to half a minute or itself if that is longer.
	Interval time.Duration
	// Timeout is how long a poll may take, connecting and the page included.
	Timeout time.Duration
	// Now is the clock of readings: monotonic ns, always positive.
	Now func() int64
}

const (
	// maxConcurrent is the most polls at once. Further ones wait their turn: endpoints that hang until the timeout delay the others' polls
	// rather than take any number of buffers.
	maxConcurrent = 64
	// startSpread is how far apart new targets are polled for the first time, so that a thousand are not polled at the same moment.
	startSpread = time.Millisecond
	// maxPause is the longest time between polls of an endpoint that fails, unless the interval is longer.
	maxPause = 30 * time.Second
)

// Notify tells that polls of an endpoint fail, with the first error, and with nil that they no longer do. Calls for one target never overlap.
type Notify func(e *balancer.Endpoint, err error)

// Scraper polls the metrics of endpoints, all of one kind, in the intervals of its configuration. Its methods may be called from any
// goroutine, but Close not from a notice.
type Scraper struct {
	config       Config
	engine       *engine
	notify       Notify
	newTransport func(Target, *Config) http.RoundTripper
	polled       func(*balancer.Endpoint, error) // observes polls in tests; may be nil
	slots        chan struct{}

	mu      sync.Mutex
	polls   map[*balancer.Endpoint]*poll
	ending  map[*balancer.Endpoint]*poll // the last that was started for an endpoint, until it has ended
	closed  bool
	running sync.WaitGroup
}

// poll is one target's state. Its goroutine alone uses it.
type poll struct {
	target Target
	engine *engine
	cancel context.CancelFunc
	done   chan struct{} // closed when its goroutine ends

	transport http.RoundTripper
	request   *http.Request
	history   history
	failures  int // in a row
}

// NewScraper returns a scraper without targets. The error names an engine that is not known.
func NewScraper(c Config, notify Notify) (*Scraper, error) {
	e := engines[c.Engine]
	if e == nil {
		return nil, fmt.Errorf("cannot poll the metrics of engine %q: want one of %s", c.Engine, strings.Join(Engines(), ", "))
	}
	if c.Interval <= 0 || c.Timeout <= 0 {
		panic("BUG: a scraper needs an interval and a timeout")
	}
	return &Scraper{
		config: c, engine: e, notify: notify, newTransport: newTransport,
		slots:  make(chan struct{}, maxConcurrent),
		polls:  make(map[*balancer.Endpoint]*poll),
		ending: make(map[*balancer.Endpoint]*poll),
	}, nil
}

// SetTargets replaces the targets. Those that stay as they are go on undisturbed; one that has changed starts anew. A poll of a target
// that has gone is cut off.
func (s *Scraper) SetTargets(targets []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	next := make(map[*balancer.Endpoint]*poll, len(targets))
	step := min(startSpread, s.config.Interval/time.Duration(len(targets)+1))
	delay := time.Duration(0)
	for _, t := range targets {
		if old := s.polls[t.Endpoint]; old != nil && old.target == t {
			next[t.Endpoint] = old
			continue
		}
		next[t.Endpoint] = s.start(t, delay)
		delay += step
	}
	for e, old := range s.polls {
		if next[e] != old {
			old.cancel()
		}
	}
	s.polls = next
}

// start begins to poll t after a delay, and not before the end of what ran for its endpoint. The lock is held.
func (s *Scraper) start(t Target, delay time.Duration) *poll {
	ctx, cancel := context.WithCancel(context.Background())
	p := &poll{target: t, engine: s.engine, cancel: cancel, done: make(chan struct{})}
	previous := s.ending[t.Endpoint]
	s.ending[t.Endpoint] = p
	s.running.Go(func() {
		if previous != nil {
			<-previous.done
		}
		s.run(ctx, p, delay)
		cancel()
		s.ended(p)
	})
	return p
}

func (s *Scraper) ended(p *poll) {
	close(p.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending[p.target.Endpoint] == p {
		delete(s.ending, p.target.Endpoint)
	}
}

// Targets returns the URLs that are polled, sorted.
func (s *Scraper) Targets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	urls := make([]string, 0, len(s.polls))
	for _, p := range s.polls {
		urls = append(urls, p.target.URL)
	}
	slices.Sort(urls)
	return urls
}

// Close ends all polling. When it returns nothing runs any more, and neither signals nor notices follow.
func (s *Scraper) Close() {
	s.mu.Lock()
	s.closed = true
	for _, p := range s.polls {
		p.cancel()
	}
	clear(s.polls)
	s.mu.Unlock()
	s.running.Wait()
}

// run polls p's target until ctx ends.
func (s *Scraper) run(ctx context.Context, p *poll, delay time.Duration) {
	p.transport = s.newTransport(p.target, &s.config)
	if c, ok := p.transport.(interface{ CloseIdleConnections() }); ok {
		defer c.CloseIdleConnections()
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for first := true; wait(ctx, timer, delay); first = false {
		if !s.acquire(ctx) {
			return
		}
		err := p.get(ctx, &s.config)
		s.release()
		if ctx.Err() != nil {
			return
		}
		s.note(p, err)
		delay = s.pause(p.failures)
		if first {
			// Anywhere within the interval, so that targets which came together drift apart.
			delay = rand.N(s.config.Interval)
		}
	}
}

// note takes in how a poll went.
func (s *Scraper) note(p *poll, err error) {
	if s.polled != nil {
		defer s.polled(p.target.Endpoint, err)
	}
	switch {
	case err != nil:
		p.failures++
		p.fail(err)
		if p.failures == 1 {
			s.notify(p.target.Endpoint, err)
		}
	case p.failures > 0:
		p.failures = 0
		s.notify(p.target.Endpoint, nil)
	}
}

// pause is the time to the next poll after a number of failures in a row, give or take a tenth.
func (s *Scraper) pause(failures int) time.Duration {
	d := s.config.Interval
	for range failures - 1 {
		if d >= maxPause {
			break
		}
		d = min(2*d, maxPause)
	}
	return d - d/10 + rand.N(d/5+1)
}

// acquire waits until one more poll may run; false means that ctx ended.
func (s *Scraper) acquire(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Scraper) release() { <-s.slots }

// wait waits for d; false means that ctx ended.
func wait(ctx context.Context, timer *time.Timer, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer.Reset(d)
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
