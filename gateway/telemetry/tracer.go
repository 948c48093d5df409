package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock/gateway/dispatch"
)

// scope names this gateway's instrumentation in spans and metrics.
const scope = "github.com/penstock/penstock"

// Tracer makes spans of requests that are sampled.
type Tracer struct {
	sampler  sampler
	provider *sdktrace.TracerProvider
	spans    trace.Tracer
	queue    *queue
}

var _ dispatch.Tracer = (*Tracer)(nil)

func newTracer(e *environment, r *resource.Resource, logger *slog.Logger) (*Tracer, error) {
	exporter, err := newSpanExporter(e.traces)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the exporter of traces: %w", err)
	}
	t := &Tracer{sampler: e.sampler, queue: newQueue(exporter, e.batches, logger)}
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // Begin has decided before it asks for a span
		sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithResource(r),
		sdktrace.WithSpanProcessor(t.queue),
	)
	t.spans = t.provider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
	logger.Info("traces are exported", "protocol", e.traces.protocol)
	return t, nil
}

// newSpanExporter makes an exporter, which reads from the environment where the collector is and how it is spoken to. It connects later.
func newSpanExporter(s signal) (sdktrace.SpanExporter, error) {
	if s.protocol == protocolGRPC {
		return otlptracegrpc.New(context.Background(), otlptracegrpc.WithTimeout(s.timeout))
	}
	return otlptracehttp.New(context.Background(), otlptracehttp.WithTimeout(s.timeout))
}

// close sends what is left until ctx ends.
func (t *Tracer) close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	err := t.provider.Shutdown(ctx)
	t.queue.stop()
	if err != nil {
		return fmt.Errorf("cannot send the last spans: %w", err)
	}
	return nil
}

// Begin decides whether a request is traced. One that is not costs no object: it passes on what its caller said or, where that is nothing
// sound, that its trace is not sampled, so that endpoints do not begin traces of their own.
func (t *Tracer) Begin(x *dispatch.Exchange) dispatch.Trace {
	var remote remoteParent
	parent := parentOf(x.Request.Header, &remote)
	id := remote.trace
	if parent == nil {
		id = newTraceID()
	}
	switch {
	case t.sampler.samples(id, parent):
		return t.follow(x, id, parent)
	case parent == nil:
		var c dispatch.TraceContext
		writeParent(&c.Parent, id, newSpanID(), 0)
		x.SetTraceContext(&c)
	}
	return nil
}

// follow begins the span of a request.
func (t *Tracer) follow(x *dispatch.Exchange, id trace.TraceID, parent *remoteParent) dispatch.Trace {
	ctx := context.WithValue(context.Background(), idKey{}, id)
	if parent != nil {
		ctx = trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: parent.trace, SpanID: parent.span, TraceFlags: parent.flags, TraceState: stateOf(x.Request.Header), Remote: true,
		}))
	}
	r := &request{tracer: t, zero: time.Now().Add(-time.Duration(dispatch.Now()))}
	r.ctx, r.span = t.spans.Start(ctx, requestName(x), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.at(x.Started)))
	sc := r.span.SpanContext()
	r.state = sc.TraceState().String()
	x.SetTraceContext(contextOf(sc, r.state))
	return r
}

// ids makes ids of spans, and uses those of traces that Begin has decided on.
type ids struct{}

type idKey struct{}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, ok := ctx.Value(idKey{}).(trace.TraceID)
	if !ok {
		id = newTraceID()
	}
	return id, newSpanID()
}

func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }
