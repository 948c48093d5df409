package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock/gateway/dispatch"
)

// request is one request that is traced: a span of kind SERVER, and below it one of kind CLIENT for each attempt.
type request struct {
	tracer  *Tracer
	ctx     context.Context // that of span
	span    trace.Span
	attempt trace.Span       // nil between attempts
	state   string           // tracestate
	zero    time.Time        // zero on the scale of dispatch.Now
	failed  dispatch.Outcome // how the last attempt ended
	status  int              // that the endpoint answered with; 0 if it did not
}

var _ dispatch.Trace = (*request)(nil)

// at is when something was.
func (r *request) at(ns int64) time.Time { return r.zero.Add(time.Duration(ns)) }

func (r *request) event(s trace.Span, name string, ns int64, attributes ...attribute.KeyValue) {
	s.AddEvent(name, trace.WithTimestamp(r.at(ns)), trace.WithAttributes(attributes...))
}

// Queued notes a wait in the pool's queue.
func (r *request) Queued(from, to int64) {
	r.event(r.span, eventQueued, from)
	r.event(r.span, eventDequeued, to, keyQueueWait.Float64(milliseconds(to-from)))
}

// Attempt begins the span of an attempt, which the endpoint is told of as its parent.
func (r *request) Attempt(x *dispatch.Exchange) {
	_, r.attempt = r.tracer.spans.Start(r.ctx, attemptName(x), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(r.at(dispatch.Now())), trace.WithAttributes(attemptAttributes(x, r.failed)...))
	x.SetTraceContext(contextOf(r.attempt.SpanContext(), r.state))
}

// AttemptEnded ends the span of an attempt.
func (r *request) AttemptEnded(x *dispatch.Exchange, e dispatch.AttemptEnd) {
	s := r.attempt
	if s == nil {
		return
	}
	r.attempt, r.failed = nil, e.Outcome
	if e.FirstByte != 0 {
		r.event(s, eventHead, e.FirstByte)
	}
	if e.FirstToken != 0 && x.Streamed {
		r.event(s, eventFirstToken, e.FirstToken)
	}
	if answeredBy(x, &e) {
		r.status = x.Status
	}
	s.SetAttributes(answerAttributes(x, &e)...)
	if kind := attemptError(x, &e); kind != "" {
		s.SetAttributes(semconv.ErrorTypeKey.String(kind))
		s.SetStatus(codes.Error, connectProblem(&e))
	}
	s.End(trace.WithTimestamp(r.at(e.At)))
}

// Finished ends the span of the request.
func (r *request) Finished(x *dispatch.Exchange) {
	s := r.span
	s.SetName(requestName(x))
	if x.Streamed && x.FirstToken != 0 {
		r.event(s, eventFirstToken, x.FirstToken)
	}
	s.SetAttributes(requestAttributes(x, r.statusSent(x))...)
	kind, isError := requestError(x)
	if kind != "" {
		s.SetAttributes(semconv.ErrorTypeKey.String(kind))
	}
	if isError {
		s.SetStatus(codes.Error, "")
	}
	s.End(trace.WithTimestamp(r.at(x.Finished)))
}

// statusSent is the status that the client got. A client that left has 499 in logs, whatever its response began with.
func (r *request) statusSent(x *dispatch.Exchange) int {
	if x.Outcome == dispatch.ClientGone {
		return r.status
	}
	return x.Status
}

func milliseconds(ns int64) float64 { return float64(ns) / 1e6 }
