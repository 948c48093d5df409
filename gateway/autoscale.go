package gateway

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/autoscale"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// kvCacheAge is how old a reading of an endpoint's KV cache may be that an autoscaler goes by.
const kvCacheAge = time.Minute

// startAutoscale starts to answer autoscalers, if they are to be answered.
func (g *Gateway) startAutoscale(c *config.Config) error {
	if c.Autoscale == nil {
		return nil
	}
	client, err := g.finder.Kubernetes()
	if err != nil {
		return fmt.Errorf("cannot answer autoscalers: %w", err)
	}
	version, _ := Version()
	server, err := autoscale.Start(autoscale.Options{
		Config:    *c.Autoscale,
		Kube:      client,
		Loads:     g.loads,
		Synced:    g.knows,
		Version:   version,
		Requested: func(api, code string) { g.metrics.autoscaleRequests.WithLabelValues(api, code).Inc() },
		Logger:    g.logger,
	})
	if err != nil {
		return fmt.Errorf("cannot answer autoscalers: %w", err)
	}
	g.autoscale = server
	g.metrics.autoscale.server.Store(server)
	return nil
}

// loads is what this gateway knows of the pools of its configuration.
func (g *Gateway) loads() []autoscale.Load {
	pools := g.dispatcher.Pools()
	all := make([]autoscale.Load, 0, len(pools))
	for _, p := range pools {
		if !p.Removed() {
			all = append(all, loadOf(p))
		}
	}
	return all
}

func loadOf(p *dispatch.Pool) autoscale.Load {
	queued := int64(p.QueueLen())
	l := autoscale.Load{Pool: p.Name, Queued: queued, Outstanding: queued + int64(p.InFlight()), Tokens: max(p.OutstandingTokens(), 0)}
	c := p.Config()
	if s := c.Service; s != nil {
		l.Service, l.Namespace = s.Name, s.Namespace
	}
	if c.Polled() != nil {
		l.KVCache, l.KVCacheKnown = kvCache(p.Endpoints())
	}
	return l
}

// kvCache is the sum of the shares of KV caches in use. It is known if all endpoints that are ready were read lately; those that are not ready
// count if they were.
func kvCache(all []*dispatch.Endpoint) (total float64, known bool) {
	now := dispatch.Now()
	for _, e := range attached(all) {
		if e.State() == dispatch.Draining {
			continue
		}
		s := e.Signals()
		if s != nil && s.KVCache.Known() && time.Duration(s.KVCache.Age(now)) <= kvCacheAge {
			total += s.KVCache.Value
		} else if e.State() == dispatch.Ready {
			return 0, false
		}
	}
	return total, true
}

// autoscaleCollector reads at each scrape what the server for autoscalers knows; nothing where there is none.
type autoscaleCollector struct {
	server atomic.Pointer[autoscale.Server]
}

var (
	autoscalePeersDesc = prometheus.NewDesc(namespace+"_autoscale_peers",
		"Other replicas of the gateway by what is known of them: answering, silent (they count as when they last answered), unheard (they have never "+
			"answered, so that autoscalers get no numbers), or idle (they have never answered and never had traffic).", []string{"state"}, nil)
	autoscaleAPIServiceDesc = prometheus.NewDesc(namespace+"_autoscale_apiservice",
		"1 for who answers a metrics API in the cluster: own (this gateway), foreign (another adapter) or missing (nobody). All are 0 while that is not known.",
		[]string{"group", "state"}, nil)
)

// Describe sends the descriptions of the collector's metrics.
func (*autoscaleCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- autoscalePeersDesc
	ch <- autoscaleAPIServiceDesc
}

// Collect sends what is known.
func (c *autoscaleCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.server.Load()
	if s == nil {
		return
	}
	for state, n := range s.Peers() {
		ch <- constant(autoscalePeersDesc, prometheus.GaugeValue, n, string(state))
	}
	for _, group := range autoscale.Groups {
		is := s.Registration(group)
		for _, r := range autoscale.Registrations {
			v := 0
			if r == is {
				v = 1
			}
			ch <- constant(autoscaleAPIServiceDesc, prometheus.GaugeValue, v, group, string(r))
		}
	}
}
