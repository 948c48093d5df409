package gateway

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/telemetry"
)

// traceMetrics says how many spans were lost.
type traceMetrics struct {
	of atomic.Pointer[telemetry.Telemetry]
}

func newTraceMetrics(r *prometheus.Registry) *traceMetrics {
	m := new(traceMetrics)
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: "traces_dropped_total",
		Help: "Spans that were lost because the collector was away, too slow, or refused them."}, func() float64 { return float64(m.of.Load().Dropped()) }))
	return m
}

// startTelemetry starts what the environment says, which is nothing unless a collector is set.
func (g *Gateway) startTelemetry() {
	version, _ := Version()
	g.telemetry = telemetry.FromEnvironment(version, g.logger)
	g.metrics.traces.of.Store(g.telemetry)
}

// tracer is what traces requests; nil where nothing does.
func (g *Gateway) tracer() dispatch.Tracer {
	if g.telemetry.Tracer == nil {
		return nil
	}
	return g.telemetry.Tracer
}

// How long a collector has to take the last spans: at a graceful stop, and where the gateway is to end at once.
const (
	flushTimeout       = 5 * time.Second
	forcedFlushTimeout = 200 * time.Millisecond
)

// stopTelemetry sends the last spans. Every request has ended.
func (g *Gateway) stopTelemetry() {
	began, most := time.Now(), flushTimeout
	if g.hurried.Load() {
		most = forcedFlushTimeout
	}
	if err := g.telemetry.Close(most); err != nil {
		g.logger.Warn("telemetry is incomplete", "error", err, took(began))
	}
}
