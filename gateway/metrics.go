package gateway

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/live"
)

// Buckets in seconds. They cover an embedding that takes milliseconds as well as a generation that takes minutes, and are denser
// where objectives for chat are usually set: 0.2 to 2 s to the first token, 20 to 100 ms for each further one.
var (
	durationBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600}
	ttftBuckets     = []float64{.005, .01, .025, .05, .1, .15, .2, .3, .4, .5, .75, 1, 1.5, 2, 3, 5, 10, 20, 60}
	tpotBuckets     = []float64{.0025, .005, .0075, .01, .015, .02, .025, .03, .04, .05, .075, .1, .15, .2, .3, .5, 1, 2}
	gapBuckets      = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10, 30, 60}
	waitBuckets     = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	pickBuckets     = []float64{1e-6, 1e-5, 1e-4, .001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
)

// metrics is what /metrics shows. Its registry holds nothing that this package did not put there.
type metrics struct {
	registry *prometheus.Registry

	requests, refusals, tokens, outcomes, retries, aborts, mirrorDropped, serviceRequests *prometheus.CounterVec
	duration, firstToken, perToken, longestGap, pick, queueWait, serviceDuration          *histogramVec
	kept                                                                                  kept
	targets                                                                               targetCounts

	reloads       *prometheus.CounterVec
	handshakes    *prometheus.CounterVec
	generation    prometheus.Gauge
	reloadSuccess prometheus.Gauge // when
	lastReload    prometheus.Gauge // whether
	certReloads   *prometheus.CounterVec

	discovery         *discoveryMetrics
	adminDenied       *prometheus.CounterVec
	traces            *traceMetrics
	autoscaleRequests *prometheus.CounterVec
	autoscale         *autoscaleCollector
}

// newMetrics registers every metric. pools is asked at each scrape for the state of pools and endpoints, connections for the open
// client connections, and dropped for the access-log lines that were dropped.
func newMetrics(pools func() []*dispatch.Pool, connections func() int, dropped func() uint64) *metrics {
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		requests:      counters("requests_total", "Requests that were answered or given up, by the status that the client got; 499: the client left first.", "route", "pool", "code"),
		refusals:      counters("refusals_total", "Requests that the gateway answered itself with an error, by the error's code.", "pool", "code"),
		tokens:        counters("tokens_total", "Tokens that responses reported in their usage, by kind: prompt, completion, or cached (the part of prompt that a prefix cache held).", "pool", "kind"),
		retries:       counters("retries_total", "Attempts that were made again on another endpoint, by what went wrong.", "pool", "reason"),
		aborts:        counters("client_aborts_total", "Requests whose client left before the response ended.", "pool"),
		mirrorDropped: counters("mirror_dropped_total", "Requests that were to be mirrored to the pool and were not, by reason.", "pool", "reason"),
		outcomes:      counters("request_outcomes_total", "Requests of the pool by how they ended: completed (whatever the status), refused by the gateway, client_gone, or what the endpoint or the deadline did.", "pool", "outcome"),
		duration:      histograms("request_duration_seconds", "Time from when a request's head had come to the end of its response.", durationBuckets, "route", "pool"),
		firstToken:    histograms("time_to_first_token_seconds", "Time from when a request's head had come to the first body byte of a streamed response.", ttftBuckets, "route", "pool"),
		perToken:      histograms("time_per_output_token_seconds", "Mean time per output token after the first, of a streamed response.", tpotBuckets, "route", "pool"),
		longestGap:    histograms("inter_token_gap_max_seconds", "Longest pause between two pieces of the body of a streamed response, as its client saw it.", gapBuckets, "route", "pool"),
		pick:          histograms("pick_duration_seconds", "Time from admission to the pick of an endpoint, waiting included, of requests that got one; 0 when an endpoint was free.", pickBuckets, "pool"),
		queueWait:     histograms("queue_wait_seconds", "Time in the pool's queue of requests that had to wait, whether they got an endpoint or not.", waitBuckets, "pool"),

		serviceRequests: counters("service_requests_total", "Requests of pools that are a Service of Kubernetes, by the class of the status that the client got.", "namespace", "service", "code_class"),
		serviceDuration: histograms("service_request_duration_seconds", "Time from when a request's head had come to the end of its response, of pools that are a Service of Kubernetes.", durationBuckets, "namespace", "service"),

		reloads:       counters("config_reloads_total", "Attempts to load a changed configuration, by result: success or failure.", "result"),
		generation:    gauge("config_generation", "Number of configurations that were applied since the start."),
		reloadSuccess: gauge("config_last_success_timestamp_seconds", "When a configuration was last applied, in Unix time."),
		lastReload:    gauge("config_last_reload_successful", "1 while the configuration file as it was last read is in force, 0 if it has errors and the one before stays in force."),
		handshakes:    counters("tls_handshakes_total", "TLS handshakes with clients, by result: success or failure.", "result"),
		certReloads:   counters("certificate_reloads_total", "Attempts to load a changed certificate or client authority, by result: success or failure.", "result"),

		adminDenied:       newAdminDenied(),
		autoscaleRequests: counters("autoscale_requests_total", "Questions of autoscalers and of other replicas of the gateway, by the API (external, custom, discovery, load, other or keda) and the answer's status.", "api", "code"),
		autoscale:         new(autoscaleCollector),
		kept:              *newKept(nil),
		targets:           targetCounts{of: make(map[live.TargetKey]*atomic.Uint64)},
	}
	for _, result := range []string{resultSuccess, resultFailure} {
		m.reloads.WithLabelValues(result)
		m.handshakes.WithLabelValues(result)
		m.certReloads.WithLabelValues(result)
	}
	m.lastReload.Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.refusals, m.tokens, m.outcomes, m.retries, m.aborts, m.mirrorDropped, m.serviceRequests,
		m.duration, m.firstToken, m.perToken, m.longestGap, m.pick, m.queueWait, m.serviceDuration,
		m.reloads, m.generation, m.reloadSuccess, m.lastReload, m.handshakes, m.certReloads,
		buildInfo(),
		gaugeFunc("connections_open", "Client connections that are open.", func() float64 { return float64(connections()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: "access_log_dropped_total",
			Help: "Access-log lines that were dropped because their reader was too slow."}, func() float64 { return float64(dropped()) }),
		poolCollector{pools}, m.adminDenied, m.autoscaleRequests, m.autoscale,
	)
	m.discovery = newDiscoveryMetrics(m.registry)
	m.traces = newTraceMetrics(m.registry)
	return m
}

const (
	namespace     = "penstock"
	resultSuccess = "success"
	resultFailure = "failure"
)

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func gaugeFunc(name, help string, value func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value)
}

// release is the version that the linker was told, by -X. An image is built without the repository, from which the go command would know it.
var release string

// Version returns the version that the program was built as, else that of its main module as the go command recorded it, with the commit where it
// is known.
func Version() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(release, "unknown"), ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return cmp.Or(release, info.Main.Version), commit
}

func buildInfo() prometheus.Collector {
	version, commit := Version()
	labels := prometheus.Labels{"version": version, "commit": commit, "go": runtime.Version()}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "1; its labels say which build this is.", ConstLabels: labels})
	g.Set(1)
	return g
}
