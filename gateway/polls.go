package gateway

import (
	"log/slog"
	"reflect"
	"sync"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/balancer/load"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// polls reads the metrics of the endpoints of the pools whose engine has some. What was read stands on the endpoints; nothing follows from a
// poll that fails but that it is told.
type polls struct {
	dispatcher *dispatch.Dispatcher
	logger     *slog.Logger

	mu       sync.Mutex
	scrapers map[string]*poolScraper
	closed   bool
}

// poolScraper polls the endpoints of a pool.
type poolScraper struct {
	*load.Scraper
	engine string
	config config.Metrics
}

// update makes polls follow what pools and endpoints there are now. It is called after each change of these.
func (s *polls) update() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	polled := make(map[string]*poolScraper)
	for _, p := range s.dispatcher.Pools() {
		if scraper := s.scraper(p); scraper != nil {
			scraper.SetTargets(s.targets(p, &scraper.config))
			polled[p.Name] = scraper
		}
	}
	for name, old := range s.scrapers {
		if polled[name] == nil {
			old.Close()
			s.forget(name)
		}
	}
	s.scrapers = polled
}

// scraper returns the scraper that a pool is to have: the one that it has, or a new one in its place; nil if its engine has no metrics. The
// lock is held.
func (s *polls) scraper(p *dispatch.Pool) *poolScraper {
	engine, c := p.Config().Engine, p.Config().Polled()
	if c == nil {
		return nil
	}
	old := s.scrapers[p.Name]
	if old != nil && old.engine == engine && reflect.DeepEqual(old.config, *c) {
		return old
	}
	if old != nil {
		old.Close()
		if old.engine != engine {
			s.forget(p.Name)
		}
	}
	scraper, err := load.NewScraper(
		load.Config{Engine: engine, Interval: c.Interval.Std(), Timeout: c.Timeout.Std(), Now: dispatch.Now},
		func(e *balancer.Endpoint, err error) { s.tell(p.Name, e.Name, err) },
	)
	if err != nil {
		s.logger.Error("endpoints are not polled", "pool", p.Name, "error", err) // a test keeps it from happening
		return nil
	}
	return &poolScraper{scraper, engine, *c}
}

// forget drops what another engine has said, as nobody reads it anew.
func (s *polls) forget(pool string) {
	if p := s.dispatcher.Pool(pool); p != nil {
		for _, e := range p.Endpoints() {
			e.Balancer.SetSignals(nil)
		}
	}
}

// tell logs that an endpoint's metrics cannot be read, or can be again.
func (s *polls) tell(pool, endpoint string, err error) {
	if err == nil {
		s.logger.Info("endpoint's metrics are read again", "pool", pool, "endpoint", endpoint)
		return
	}
	s.logger.Warn("cannot read an endpoint's metrics: what was read of it grows old", "pool", pool, "endpoint", endpoint, "error", err)
}

func (s *polls) targets(p *dispatch.Pool, c *config.Metrics) []load.Target {
	var all []load.Target
	for _, e := range p.Endpoints() {
		at, err := config.ParseEndpoint(e.Config.Scheme + "://" + e.Address)
		if err != nil {
			s.logger.Error("an endpoint is not polled", "pool", p.Name, "error", err)
			continue
		}
		if isPolled(e) {
			all = append(all, load.Target{Endpoint: e.Balancer, URL: c.URL(at), TLS: e.Config.TLS})
		}
	}
	return all
}

// isPolled reports whether an endpoint is in a state in which its metrics are read, if its pool's are.
func isPolled(e *dispatch.Endpoint) bool {
	state := e.State()
	return state != dispatch.Draining && state != dispatch.NotReady
}

// close ends all polls.
func (s *polls) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, p := range s.scrapers {
		p.Close()
	}
}
