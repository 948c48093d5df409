package gateway

import (
	"maps"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/live"
	"github.com/penstock/penstock/gateway/telemetry"
)

// unmatched is what metrics and logs call the route and the pool of a request that got neither.
const unmatched = "none"

// observer counts what became of requests and logs them. It runs on the way of every request: after the first request of a route
// and pool it allocates nothing, looks nothing up by name and formats no label.
type observer struct {
	metrics *metrics
	log     *accessLog
	genAI   *telemetry.Metrics // nil: not exported
}

var _ dispatch.Observer = (*observer)(nil)

// series is the metrics of one route and pool.
type series struct {
	route, pool string
	ofRoute     *routeSeries   // nil for one that the configuration no longer had when it was first needed
	ofPool      *poolSeries    // nil likewise, and for requests that got no pool
	ofTarget    *atomic.Uint64 // nil unless the split has the pool more than once
	refusals    atomic.Pointer[map[string]prometheus.Counter]
}

// routeSeries is the metrics that tell routes apart.
type routeSeries struct {
	codes                                      [600]atomic.Pointer[prometheus.Counter] // by status
	duration, firstToken, perToken, longestGap *histogram
}

// poolSeries is the metrics of one pool.
type poolSeries struct {
	prompt, completion, cached, aborts prometheus.Counter
	outcomes                           [dispatch.Refused + 1]prometheus.Counter
	pick, queueWait                    *histogram
	ofService                          *serviceSeries // nil for a pool that is not a Service's
}

// serviceSeries is the metrics of one Service of Kubernetes.
type serviceSeries struct {
	classes  [len(codeClasses)]prometheus.Counter
	duration *histogram
}

// codeClasses are named by the first digit of the statuses in them.
var codeClasses = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Finished counts and logs an exchange.
func (o *observer) Finished(x *dispatch.Exchange) {
	s := o.seriesOf(x)
	if s.ofRoute != nil {
		o.countCode(s, x.Status)
		s.ofRoute.finished(x)
	}
	if s.ofPool != nil {
		s.ofPool.finished(x)
	}
	if s.ofTarget != nil {
		s.ofTarget.Add(1)
	}
	if x.Refusal != nil && x.Refusal.Code != "" {
		o.refused(s, x.Refusal.Code)
	}
	o.genAI.Finished(x)
	o.log.write(x, s.route, s.pool)
}

func (s *poolSeries) finished(x *dispatch.Exchange) {
	s.outcomes[x.Outcome].Inc()
	if x.Outcome == dispatch.ClientGone {
		s.aborts.Inc()
	}
	if x.Attempts > 0 {
		s.pick.observe(x.Queued)
	}
	if x.Queued > 0 {
		s.queueWait.observe(x.Queued)
	}
	add(s.prompt, x.Usage.PromptTokens)
	add(s.completion, x.Usage.CompletionTokens)
	add(s.cached, x.Usage.CachedTokens)
	if s.ofService != nil {
		s.ofService.finished(x)
	}
}

func (s *serviceSeries) finished(x *dispatch.Exchange) {
	class := x.Status / 100
	if class < 1 || class >= len(codeClasses) {
		class = 0
	}
	s.classes[class].Inc()
	s.duration.observe(x.Finished - x.Started)
}

// finished observes the times of a request. A response that is not streamed has no first token to speak of: its first byte comes when the
// last token was made.
func (s *routeSeries) finished(x *dispatch.Exchange) {
	s.duration.observe(x.Finished - x.Started)
	if !x.Streamed || x.FirstToken == 0 {
		return
	}
	s.firstToken.observe(x.FirstToken - x.Started)
	if x.LastToken <= x.FirstToken {
		return
	}
	s.longestGap.observe(x.LongestGap)
	if n := outputTokens(x); n > 1 {
		s.perToken.observe((x.LastToken - x.FirstToken) / (n - 1))
	}
}

// outputTokens is the number of tokens of a streamed response: as its usage says, else one for each event, as model servers send
// them by default.
func outputTokens(x *dispatch.Exchange) int64 {
	if x.Usage.CompletionTokens > 0 {
		return int64(x.Usage.CompletionTokens)
	}
	return x.Events
}

func add[N int | int64](c prometheus.Counter, n N) {
	if n > 0 {
		c.Add(float64(n))
	}
}

// Retried counts a retry.
func (o *observer) Retried(p *dispatch.Pool, reason dispatch.Outcome) {
	o.metrics.kept.ifPool(p.Name, func() { o.metrics.retries.WithLabelValues(p.Name, reason.String()).Inc() })
}

// MirrorDropped counts a request that was not mirrored.
func (o *observer) MirrorDropped(p *dispatch.Pool, reason string) {
	o.metrics.kept.ifPool(p.Name, func() { o.metrics.mirrorDropped.WithLabelValues(p.Name, reason).Inc() })
}

// seriesOf returns the metrics of the request's route and pool. They are kept where dispatch has a place for them, which a new
// configuration leaves empty.
func (o *observer) seriesOf(x *dispatch.Exchange) *series {
	place := x.Stats()
	if s, ok := place.Load().(*series); ok {
		return s
	}
	s := o.newSeries(x)
	place.Store(s)
	return s
}

func (o *observer) newSeries(x *dispatch.Exchange) *series {
	m := o.metrics
	s := &series{route: unmatched, pool: unmatched}
	if x.Route != nil {
		s.route = x.Route.Name
	}
	if x.Pool != nil {
		s.pool = x.Pool.Name
	}
	m.kept.ifRoute(routePool{s.route, s.pool}, func() { s.ofRoute = m.routeSeries(s.route, s.pool) })
	if x.Target != nil {
		s.ofTarget = m.targets.find(live.TargetKey{Route: s.route, Pool: s.pool, Model: x.Target.Model})
	}
	if x.Pool != nil {
		m.kept.ifPool(s.pool, func() { s.ofPool = m.poolSeries(s.pool) })
		if of := x.Pool.Config().Service; of != nil && s.ofPool != nil {
			m.kept.ifService(service{of.Namespace, of.Name}, func() { s.ofPool.ofService = m.serviceSeries(of.Namespace, of.Name) })
		}
	}
	return s
}

func (m *metrics) routeSeries(route, pool string) *routeSeries {
	return &routeSeries{
		duration:   m.duration.with(route, pool),
		firstToken: m.firstToken.with(route, pool),
		perToken:   m.perToken.with(route, pool),
		longestGap: m.longestGap.with(route, pool),
	}
}

func (m *metrics) poolSeries(pool string) *poolSeries {
	s := &poolSeries{
		prompt:     m.tokens.WithLabelValues(pool, "prompt"),
		completion: m.tokens.WithLabelValues(pool, "completion"),
		cached:     m.tokens.WithLabelValues(pool, "cached"),
		aborts:     m.aborts.WithLabelValues(pool),
		pick:       m.pick.with(pool),
		queueWait:  m.queueWait.with(pool),
	}
	for o := range s.outcomes {
		s.outcomes[o] = m.outcomes.WithLabelValues(pool, dispatch.Outcome(o).String())
	}
	return s
}

func (m *metrics) serviceSeries(namespace, name string) *serviceSeries {
	s := &serviceSeries{duration: m.serviceDuration.with(namespace, name)}
	for i, class := range codeClasses {
		s.classes[i] = m.serviceRequests.WithLabelValues(namespace, name, class)
	}
	return s
}

// countCode counts a request by its status. Endpoints may answer with any number, so only those of RFC 9110, section 15, get a label of
// their own.
func (o *observer) countCode(s *series, status int) {
	label := strconv.Itoa
	if status < 100 || status >= len(s.ofRoute.codes) {
		status, label = 0, func(int) string { return "other" }
	}
	if c := s.ofRoute.codes[status].Load(); c != nil {
		(*c).Inc()
		return
	}
	o.metrics.kept.ifRoute(routePool{s.route, s.pool}, func() {
		c := o.metrics.requests.WithLabelValues(s.route, s.pool, label(status))
		s.ofRoute.codes[status].Store(&c)
		c.Inc()
	})
}

// refused counts an error answer of the gateway's own. Their codes are constants of this program.
func (o *observer) refused(s *series, code string) {
	known := s.refusals.Load()
	if known != nil {
		if c := (*known)[code]; c != nil {
			c.Inc()
			return
		}
	}
	o.metrics.kept.ifPool(s.pool, func() {
		c := o.metrics.refusals.WithLabelValues(s.pool, code)
		c.Inc()
		next := map[string]prometheus.Counter{code: c}
		if known != nil {
			maps.Copy(next, *known)
		}
		s.refusals.Store(&next) // two at once may lose one, which is then looked up again
	})
}
