package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/gateway/dispatch"
)

// poolCollector reads the state of pools and endpoints at each scrape, so that nothing has to be kept up to date on the way of a
// request. An endpoint's series end with the endpoint, which bounds them.
type poolCollector struct{ pools func() []*dispatch.Pool }

var (
	queueDepthDesc        = poolDesc("queue_depth", "Requests that wait in the gateway for an endpoint of the pool.")
	queueLimitDesc        = poolDesc("queue_limit", "Most requests that may wait for an endpoint of the pool; beyond it they are refused.")
	inFlightLimitDesc     = poolDesc("inflight_limit", "Most requests that the pool's ready endpoints take at once from this gateway; absent where maxInFlight does not limit them.")
	inFlightDesc          = poolDesc("inflight_requests", "Requests that were sent to an endpoint of the pool and whose response is not finished, mirror copies included.")
	outstandingDesc       = poolDesc("outstanding_requests", "Queued and in-flight requests of the pool together: what an autoscaler should scale on.")
	outstandingTokensDesc = poolDesc("outstanding_tokens", "Prompt tokens of the pool that are still to be computed, those that are most likely cached left out; 0 where balance does not look at prompts.")
	endpointsDesc         = poolDesc("endpoints", "Endpoints of the pool by state: ready, unhealthy, ejected, not-ready or draining.", "state")
	retriesDeniedDesc     = poolDesc("retries_denied_total", "Attempts that were not made again because the pool's retry budget was spent.")

	endpointInFlightDesc     = poolDesc("endpoint_inflight_requests", "Requests that were sent to the endpoint and whose response is not finished, mirror copies included.", "endpoint")
	endpointRequestsDesc     = poolDesc("endpoint_requests_total", "Requests that were sent to the endpoint, retries included and mirror copies not.", "endpoint")
	endpointMirroredDesc     = poolDesc("endpoint_mirrored_requests_total", "Mirror copies that were sent to the endpoint.", "endpoint")
	endpointFailuresDesc     = poolDesc("endpoint_failures_total", "Attempts that failed by the endpoint's fault: no connection, a reset, a broken answer or none in time.", "endpoint")
	endpointBackPressureDesc = poolDesc("endpoint_back_pressure_total", "Answers of the endpoint with status 429 or 503.", "endpoint")
	endpointEjectionsDesc    = poolDesc("endpoint_ejections_total", "How often the endpoint was taken out of the pick after failures.", "endpoint")

	endpointWaitingDesc   = poolDesc("endpoint_waiting_requests", "Requests of all clients that wait in the endpoint, as it said when it was last read.", "endpoint")
	endpointRunningDesc   = poolDesc("endpoint_running_requests", "Requests of all clients that run in the endpoint, as it said when it was last read.", "endpoint")
	endpointKVCacheDesc   = poolDesc("endpoint_kv_cache_utilization", "Share of the endpoint's KV cache in use, 0 to 1, as it said when it was last read.", "endpoint")
	endpointSignalAgeDesc = poolDesc("endpoint_signal_age_seconds", "Time since the oldest of what the endpoint says of its load was read; it grows while the endpoint cannot be read.", "endpoint")
	endpointSignalUpDesc  = poolDesc("endpoint_signal_up", "1 if the endpoint said something of its load when it was last asked, 0 if it could not be asked or told nothing of use.", "endpoint")
)

func poolDesc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, append([]string{"pool"}, more...), nil)
}

// Describe sends the descriptions of the collector's metrics.
func (poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		queueDepthDesc, queueLimitDesc, inFlightDesc, inFlightLimitDesc, outstandingDesc, outstandingTokensDesc, endpointsDesc, retriesDeniedDesc,
		endpointInFlightDesc, endpointRequestsDesc, endpointMirroredDesc, endpointFailuresDesc, endpointBackPressureDesc, endpointEjectionsDesc,
		endpointWaitingDesc, endpointRunningDesc, endpointKVCacheDesc, endpointSignalAgeDesc, endpointSignalUpDesc,
	} {
		ch <- d
	}
}

// Collect sends the state of every pool.
func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c.pools() {
		collectPool(p, ch)
	}
}

func collectPool(p *dispatch.Pool, ch chan<- prometheus.Metric) {
	// The sum is taken of these two readings, so that it never contradicts them.
	queued, inFlight := p.QueueLen(), p.InFlight()
	ch <- constant(queueDepthDesc, prometheus.GaugeValue, queued, p.Name)
	ch <- constant(inFlightDesc, prometheus.GaugeValue, inFlight, p.Name)
	ch <- constant(outstandingDesc, prometheus.GaugeValue, queued+inFlight, p.Name)
	ch <- constant(outstandingTokensDesc, prometheus.GaugeValue, float64(p.OutstandingTokens()), p.Name)
	collectLimits(p, ch)
	_, denied := p.Retries()
	ch <- constant(retriesDeniedDesc, prometheus.CounterValue, denied, p.Name)
	states := map[dispatch.State]int{dispatch.Ready: 0, dispatch.Unhealthy: 0, dispatch.Ejected: 0, dispatch.NotReady: 0, dispatch.Draining: 0}
	all := p.Endpoints()
	for _, e := range all {
		states[e.State()]++
	}
	for _, e := range attached(all) {
		collectEndpoint(p, e, ch)
	}
	for state, n := range states {
		ch <- constant(endpointsDesc, prometheus.GaugeValue, n, p.Name, state.String())
	}
}

func collectLimits(p *dispatch.Pool, ch chan<- prometheus.Metric) {
	c := p.Config()
	ch <- constant(queueLimitDesc, prometheus.GaugeValue, c.Queue.Size, p.Name)
	if c.MaxInFlight > 0 {
		ch <- constant(inFlightLimitDesc, prometheus.GaugeValue, c.MaxInFlight*p.Ready(), p.Name)
	}
}

func collectEndpoint(p *dispatch.Pool, e *dispatch.Endpoint, ch chan<- prometheus.Metric) {
	ch <- constant(endpointInFlightDesc, prometheus.GaugeValue, e.InFlight(), p.Name, e.Address)
	ch <- constant(endpointRequestsDesc, prometheus.CounterValue, e.Requests(), p.Name, e.Address)
	ch <- constant(endpointMirroredDesc, prometheus.CounterValue, e.Mirrored(), p.Name, e.Address)
	ch <- constant(endpointFailuresDesc, prometheus.CounterValue, faults(e), p.Name, e.Address)
	ch <- constant(endpointBackPressureDesc, prometheus.CounterValue, e.BackPressure(), p.Name, e.Address)
	ch <- constant(endpointEjectionsDesc, prometheus.CounterValue, e.Ejections(), p.Name, e.Address)
	if s := e.Signals(); s != nil {
		collectSignals(p, e, s, ch)
	}
}

// collectSignals sends what the endpoint said of its load, and nothing of what it never said; and whether it still says it, if it is asked.
func collectSignals(p *dispatch.Pool, e *dispatch.Endpoint, s *balancer.Signals, ch chan<- prometheus.Metric) {
	for _, m := range [...]struct {
		desc    *prometheus.Desc
		reading balancer.Reading
	}{{endpointWaitingDesc, s.Waiting}, {endpointRunningDesc, s.Running}, {endpointKVCacheDesc, s.KVCache}} {
		if m.reading.Known() {
			ch <- constant(m.desc, prometheus.GaugeValue, m.reading.Value, p.Name, e.Address)
		}
	}
	if !isPolled(e) {
		return
	}
	up := 1
	if s.Failure != "" {
		up = 0
	}
	ch <- constant(endpointSignalUpDesc, prometheus.GaugeValue, up, p.Name, e.Address)
	if oldest := s.Oldest(); oldest.Known() {
		age := time.Duration(oldest.Age(dispatch.Now()))
		ch <- constant(endpointSignalAgeDesc, prometheus.GaugeValue, age.Seconds(), p.Name, e.Address)
	}
}

func constant[N int | int64 | float64](d *prometheus.Desc, kind prometheus.ValueType, v N, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, kind, float64(v), labels...)
}

func faults(e *dispatch.Endpoint) (n int64) {
	for o := dispatch.Completed; o <= dispatch.Refused; o++ {
		if o.IsFault() {
			n += e.Failures(o)
		}
	}
	return n
}

// attached leaves out endpoints that drain while another one has their address, as after a change of TLS settings: two series
// cannot have the same labels.
func attached(all []*dispatch.Endpoint) []*dispatch.Endpoint {
	seen := make(map[string]bool, len(all))
	kept := make([]*dispatch.Endpoint, 0, len(all))
	for _, e := range all {
		if !seen[e.Address] {
			seen[e.Address] = true
			kept = append(kept, e)
		}
	}
	return kept
}
