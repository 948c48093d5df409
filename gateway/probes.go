package gateway

import (
	"crypto/tls"
	"net/http"
	"reflect"
	"sync"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/health"
)

// probes runs the active probes of the pools that have some.
type probes struct {
	dispatcher *dispatch.Dispatcher

	mu      sync.Mutex
	probers map[string]*poolProber
	closed  bool
}

// poolProber probes the endpoints of a pool.
type poolProber struct {
	*health.Prober
	config config.Probe
}

// update makes probes follow what pools and endpoints there are now. It is called after each change of these.
func (s *probes) update() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	probed := make(map[string]*poolProber)
	for _, p := range s.dispatcher.Pools() {
		c := p.Config().Probe
		if c == nil {
			continue
		}
		prober := s.probers[p.Name]
		if prober == nil || !reflect.DeepEqual(prober.config, *c) {
			prober = &poolProber{s.newProber(p, c), *c}
		}
		prober.SetTargets(targets(p))
		probed[p.Name] = prober
	}
	for name, old := range s.probers {
		if probed[name] != old {
			old.Close()
		}
	}
	s.probers = probed
}

func (s *probes) newProber(p *dispatch.Pool, c *config.Probe) *health.Prober {
	settings := health.ProbeConfig{
		Path:           c.Path,
		Interval:       c.Interval.Std(),
		Timeout:        c.Timeout.Std(),
		HealthyAfter:   c.HealthyAfter,
		UnhealthyAfter: c.UnhealthyAfter,
	}
	report := func(target string, healthy bool, err error) {
		cause := ""
		if err != nil {
			cause = err.Error()
		}
		s.dispatcher.SetHealthy(p.Name, target, healthy, cause)
	}
	if c.GRPC != nil {
		settings.Service = c.GRPC.Service
		return health.NewGRPCProber(settings, func(address string) *tls.Config { return tlsOf(p, address) }, report)
	}
	return health.NewProber(settings, func(scheme string) http.RoundTripper { return asConfigured{p, scheme} }, report)
}

func targets(p *dispatch.Pool) []health.Target {
	var all []health.Target
	for _, e := range p.Endpoints() {
		if e.State() != dispatch.Draining {
			all = append(all, health.Target{Name: e.Address, URL: e.Config.Scheme + "://" + e.Address, ID: e.ID()})
		}
	}
	return all
}

// asConfigured sends a probe with the TLS settings that the endpoint has at the time, as a reload may change them.
type asConfigured struct {
	pool   *dispatch.Pool
	scheme string
}

// RoundTrip sends a probe.
func (t asConfigured) RoundTrip(r *http.Request) (*http.Response, error) {
	return health.Transports(tlsOf(t.pool, r.URL.Host))(t.scheme).RoundTrip(r)
}

// tlsOf returns the TLS settings of a pool's endpoint; nil if it has none or was removed just now, when nobody waits for the result.
func tlsOf(p *dispatch.Pool, address string) *tls.Config {
	for _, e := range p.Endpoints() {
		if e.Address == address {
			return e.Config.TLS
		}
	}
	return nil
}

// close ends all probes.
func (s *probes) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, p := range s.probers {
		p.Close()
	}
}
