package gateway

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/live"
)

// kept is what the configuration has that metrics have series of. Series of what it no longer has end with the reload that takes it away,
// and none begins again for a request that was matched before: all series are begun under its lock. What such requests still count is
// lost.
type kept struct {
	mu       sync.RWMutex
	routes   map[routePool]bool
	pools    map[string]bool
	services map[service]bool
	targets  map[live.TargetKey]bool // whose split has their pool more than once
}

type routePool struct{ route, pool string }

type service struct{ namespace, name string }

// newKept returns what c has, and what requests are that no route takes.
func newKept(c *config.Config) *kept {
	k := &kept{
		routes:   map[routePool]bool{{unmatched, unmatched}: true},
		pools:    map[string]bool{unmatched: true},
		services: make(map[service]bool),
		targets:  make(map[live.TargetKey]bool),
	}
	if c == nil {
		return k
	}
	for name, p := range c.Pools {
		k.pools[name] = true
		if p.Service != nil {
			k.services[service{p.Service.Namespace, p.Service.Name}] = true
		}
	}
	models := make(map[routePool][]string)
	dispatch.EachTarget(c, func(route, pool, model string) {
		pair := routePool{route, pool}
		k.routes[pair] = true
		models[pair] = append(models[pair], model)
	})
	for pair, of := range models {
		if len(of) == 1 {
			continue
		}
		for _, model := range of {
			k.targets[live.TargetKey{Route: pair.route, Pool: pair.pool, Model: model}] = true
		}
	}
	return k
}

// widen lets series begin of what c has, too. It comes before c is in force, as requests may be quicker than whoever puts it there.
func (m *metrics) widen(c *config.Config) {
	next := newKept(c)
	m.kept.mu.Lock()
	defer m.kept.mu.Unlock()
	addAll(m.kept.routes, next.routes)
	addAll(m.kept.pools, next.pools)
	addAll(m.kept.services, next.services)
	m.targets.widen(next.targets)
}

func addAll[K comparable](to, from map[K]bool) {
	for k := range from {
		to[k] = true
	}
}

// narrow ends the series of what c, which is in force, does not have. Nobody else may widen or narrow meanwhile. The lock is not held while series
// are looked for, of which there may be many: what is no longer kept does not begin again.
func (m *metrics) narrow(c *config.Config) {
	next, k := newKept(c), &m.kept
	k.mu.Lock()
	routes, pools, services := k.routes, k.pools, k.services
	k.routes, k.pools, k.services = next.routes, next.pools, next.services
	k.mu.Unlock()
	for pair := range routes {
		if !next.routes[pair] {
			m.forgetRoute(pair)
		}
	}
	for name := range pools {
		if !next.pools[name] {
			m.forgetPool(name)
		}
	}
	for s := range services {
		if !next.services[s] {
			m.forgetService(s)
		}
	}
	m.targets.narrow(next.targets)
}

// ifRoute calls begin, which begins series of a route and pool, if the configuration has them.
func (k *kept) ifRoute(pair routePool, begin func()) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.routes[pair] {
		begin()
	}
}

// ifPool calls begin, which begins series of a pool, if the configuration has it.
func (k *kept) ifPool(name string, begin func()) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.pools[name] {
		begin()
	}
}

// ifService calls begin, which begins series of a Service, if the configuration has a pool of it.
func (k *kept) ifService(s service, begin func()) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.services[s] {
		begin()
	}
}

func (m *metrics) forgetRoute(pair routePool) {
	m.requests.DeletePartialMatch(prometheus.Labels{"route": pair.route, "pool": pair.pool})
	for _, v := range []*histogramVec{m.duration, m.firstToken, m.perToken, m.longestGap} {
		v.remove(pair.route, pair.pool)
	}
}

func (m *metrics) forgetPool(name string) {
	for _, v := range []*prometheus.CounterVec{m.refusals, m.tokens, m.outcomes, m.retries, m.aborts, m.mirrorDropped} {
		v.DeletePartialMatch(prometheus.Labels{"pool": name})
	}
	m.pick.remove(name)
	m.queueWait.remove(name)
}

func (m *metrics) forgetService(s service) {
	m.serviceRequests.DeletePartialMatch(prometheus.Labels{"namespace": s.namespace, "service": s.name})
	m.serviceDuration.remove(s.namespace, s.name)
}
