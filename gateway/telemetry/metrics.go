package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"github.com/penstock/penstock/gateway/dispatch"
)

// Metrics are the figures that the conventions for generative AI define, of requests to paths of their APIs.
type Metrics struct {
	provider                                       *sdkmetric.MeterProvider
	duration, serverDuration, firstToken, perToken metric.Float64Histogram
	tokens                                         metric.Int64Histogram
	series                                         seriesMap
}

// The buckets that the conventions ask for: seconds, and tokens.
var (
	durationBuckets   = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstTokenBuckets = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	perTokenBuckets   = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
	tokenBuckets      = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
)

func newMetrics(e *environment, r *resource.Resource) (*Metrics, error) {
	exporter, err := newMetricExporter(e.metrics)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the exporter of metrics: %w", err)
	}
	return metricsWith(sdkmetric.NewPeriodicReader(exporter), r), nil
}

func newMetricExporter(s signal) (sdkmetric.Exporter, error) {
	if s.protocol == protocolGRPC {
		return otlpmetricgrpc.New(context.Background(), otlpmetricgrpc.WithTimeout(s.timeout))
	}
	return otlpmetrichttp.New(context.Background(), otlpmetrichttp.WithTimeout(s.timeout))
}

func metricsWith(reader sdkmetric.Reader, r *resource.Resource) *Metrics {
	m := &Metrics{provider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(r),
		sdkmetric.WithCardinalityLimit(seriesLimit))}
	meter := m.provider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	seconds := func(name, description string, buckets []float64) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(buckets...))
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return h
	}
	m.duration = seconds("gen_ai.client.operation.duration", "GenAI operation duration.", durationBuckets)
	m.serverDuration = seconds("gen_ai.server.request.duration", "Generative AI server request duration such as time-to-last byte or last output token.",
		durationBuckets)
	m.firstToken = seconds("gen_ai.server.time_to_first_token", "Time to generate first token for successful responses.", firstTokenBuckets)
	m.perToken = seconds("gen_ai.server.time_per_output_token", "Time per output token generated after the first token for successful responses.",
		perTokenBuckets)
	var err error
	m.tokens, err = meter.Int64Histogram("gen_ai.client.token.usage", metric.WithUnit("{token}"),
		metric.WithDescription("Number of input and output tokens used."), metric.WithExplicitBucketBoundaries(tokenBuckets...))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return m
}

// Finished counts a request, as dispatch.Observer is told of it. After the first one of its kind it allocates nothing.
func (m *Metrics) Finished(x *dispatch.Exchange) {
	if m == nil || x.Route == nil {
		return
	}
	o := operationOf(x)
	if o == nil {
		return
	}
	kind := operationError(x)
	s, ctx := m.series.of(x, o, kind), context.Background()
	whole := seconds(x.Finished - x.Started)
	m.duration.Record(ctx, whole, s.durations...)
	m.serverDuration.Record(ctx, whole, s.durations...)
	if kind == "" && x.Streamed && x.FirstToken != 0 {
		m.firstToken.Record(ctx, seconds(x.FirstToken-x.Started), s.successes...)
		if n := outputTokens(x); n > 1 && x.LastToken > x.FirstToken {
			m.perToken.Record(ctx, seconds(x.LastToken-x.FirstToken)/float64(n-1), s.successes...)
		}
	}
	if n := x.Usage.PromptTokens; n > 0 {
		m.tokens.Record(ctx, n, s.input...)
	}
	if n := x.Usage.CompletionTokens; n > 0 {
		m.tokens.Record(ctx, n, s.output...)
	}
}

// close sends the last figures until ctx ends.
func (m *Metrics) close(ctx context.Context) error {
	if m == nil {
		return nil
	}
	if err := m.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("cannot send the last figures: %w", err)
	}
	return nil
}

// outputTokens is how many tokens a streamed response had: as its usage says, else one for each event.
func outputTokens(x *dispatch.Exchange) int64 {
	if x.Usage.CompletionTokens > 0 {
		return x.Usage.CompletionTokens
	}
	return x.Events
}

func seconds(ns int64) float64 { return float64(max(ns, 0)) / 1e9 }
