package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/discovery"
)

// lagBuckets are in seconds. Kubernetes takes tens of milliseconds; some of its times are whole seconds.
var lagBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// discoveryMetrics is what /metrics shows of pools whose endpoints are discovered.
type discoveryMetrics struct {
	up, updated       *prometheus.GaugeVec
	updates, troubles *prometheus.CounterVec
	lag               *histogramVec
}

func newDiscoveryMetrics(r prometheus.Registerer) *discoveryMetrics {
	m := &discoveryMetrics{
		up:       gauges("discovery_up", "1 while changes of the pool's endpoints are seen and make sense, 0 while the last ones are kept for want of better.", "pool"),
		updated:  gauges("discovery_last_update_timestamp_seconds", "When the pool's endpoints last changed, in Unix time.", "pool"),
		updates:  counters("discovery_updates_total", "Changes of the pool's endpoints that were put in force.", "pool"),
		troubles: counters("discovery_troubles_total", "How often something was found to be wrong with where the pool's endpoints are discovered.", "pool"),
		lag:      histograms("discovery_lag_seconds", "Time from a change of the pool's endpoints, as Kubernetes notes it, until it was in force.", lagBuckets, "pool"),
	}
	r.MustRegister(m.up, m.updated, m.updates, m.troubles, m.lag)
	return m
}

// add begins a pool's series.
func (m *discoveryMetrics) add(pool string) {
	m.up.WithLabelValues(pool)
	m.updates.WithLabelValues(pool)
	m.troubles.WithLabelValues(pool)
}

// forget ends a pool's series.
func (m *discoveryMetrics) forget(pool string) {
	m.up.DeleteLabelValues(pool)
	m.updated.DeleteLabelValues(pool)
	m.updates.DeleteLabelValues(pool)
	m.troubles.DeleteLabelValues(pool)
	m.lag.remove(pool)
}

// applied counts a set that was put in force at now, by the wall clock.
func (m *discoveryMetrics) applied(set discovery.Set, now time.Time) {
	m.updates.WithLabelValues(set.Pool).Inc()
	m.updated.WithLabelValues(set.Pool).Set(float64(now.UnixMilli()) / 1e3)
	if !set.Changed.IsZero() {
		m.lag.with(set.Pool).observe(int64(now.Sub(set.Changed))) // two machines' clocks, which may differ
	}
}

func (m *discoveryMetrics) watching(pool string, err error) {
	if err != nil {
		m.up.WithLabelValues(pool).Set(0)
		m.troubles.WithLabelValues(pool).Inc()
		return
	}
	m.up.WithLabelValues(pool).Set(1)
}
