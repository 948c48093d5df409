package gateway

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/gateway/dispatch"
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
	route, pool                    string
	ofPool                         *poolSeries                             // nil for requests that got no pool
	codes                          [600]atomic.Pointer[prometheus.Counter] // by status
	duration, firstToken, perToken prometheus.Observer
}

// poolSeries is the metrics of one pool.
type poolSeries struct {
	prompt, completion, cached, aborts prometheus.Counter
	pick                               prometheus.Observer
}

// Finished counts and logs an exchange.
func (o *observer) Finished(x *dispatch.Exchange) {
	s := o.seriesOf(x)
	o.code(s, x.Status).Inc()
	s.duration.Observe(seconds(x.Finished - x.Started))
	if x.Refusal != nil && x.Refusal.Code != "" {
		o.metrics.refusals.WithLabelValues(s.pool, x.Refusal.Code).Inc()
	}
	if s.ofPool != nil {
		s.ofPool.finished(x)
	}
	s.tokenTimes(x)
	o.genAI.Finished(x)
	o.log.write(x, s.route, s.pool)
}

func (s *poolSeries) finished(x *dispatch.Exchange) {
	if x.Outcome == dispatch.ClientGone {
		s.aborts.Inc()
	}
	if x.Attempts > 0 {
		s.pick.Observe(seconds(x.Queued))
	}
	add(s.prompt, x.Usage.PromptTokens)
	add(s.completion, x.Usage.CompletionTokens)
	add(s.cached, x.Usage.CachedTokens)
}

// tokenTimes observes the times between tokens. A response that is not streamed has no first token to speak of: its first byte comes
// when the last token was made.
func (s *series) tokenTimes(x *dispatch.Exchange) {
	if !x.Streamed || x.FirstToken == 0 {
		return
	}
	s.firstToken.Observe(seconds(x.FirstToken - x.Started))
	if n := outputTokens(x); n > 1 && x.LastToken > x.FirstToken {
		s.perToken.Observe(seconds(x.LastToken-x.FirstToken) / float64(n-1))
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

func seconds(ns int64) float64 { return float64(max(ns, 0)) / 1e9 }

// Retried counts a retry.
func (o *observer) Retried(p *dispatch.Pool, reason dispatch.Outcome) {
	o.metrics.retries.WithLabelValues(p.Name, reason.String()).Inc()
}

// MirrorDropped counts a request that was not mirrored.
func (o *observer) MirrorDropped(p *dispatch.Pool, reason string) {
	o.metrics.mirrorDropped.WithLabelValues(p.Name, reason).Inc()
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
	s.duration = m.duration.WithLabelValues(s.route, s.pool)
	s.firstToken = m.firstToken.WithLabelValues(s.route, s.pool)
	s.perToken = m.perToken.WithLabelValues(s.route, s.pool)
	if x.Pool != nil {
		s.ofPool = m.poolSeries(s.pool)
	}
	return s
}

func (m *metrics) poolSeries(pool string) *poolSeries {
	return &poolSeries{
		prompt:     m.tokens.WithLabelValues(pool, "prompt"),
		completion: m.tokens.WithLabelValues(pool, "completion"),
		cached:     m.tokens.WithLabelValues(pool, "cached"),
		aborts:     m.aborts.WithLabelValues(pool),
		pick:       m.pick.WithLabelValues(pool),
	}
}

// code returns the request counter for a status. Endpoints may answer with any number, so only those of RFC 9110, section 15, get a
// label of their own.
func (o *observer) code(s *series, status int) prometheus.Counter {
	if status < 100 || status >= len(s.codes) {
		return o.metrics.requests.WithLabelValues(s.route, s.pool, "other")
	}
	if c := s.codes[status].Load(); c != nil {
		return *c
	}
	c := o.metrics.requests.WithLabelValues(s.route, s.pool, strconv.Itoa(status))
	s.codes[status].Store(&c)
	return c
}
