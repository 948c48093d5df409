package telemetry

import (
	"context"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TestSamplersDecideAsTheLibrarysDo takes each of the specification's samplers through new traces and through callers that sampled and did not.
func TestSamplersDecideAsTheLibrarysDo(t *testing.T) {
	half := sdktrace.TraceIDRatioBased(.5)
	for name, theirs := range map[string]sdktrace.Sampler{
		"": sdktrace.ParentBased(sdktrace.AlwaysSample()), "always_on": sdktrace.AlwaysSample(), "always_off": sdktrace.NeverSample(), "traceidratio": half,
		"parentbased_always_on": sdktrace.ParentBased(sdktrace.AlwaysSample()), "parentbased_always_off": sdktrace.ParentBased(sdktrace.NeverSample()),
		"parentbased_traceidratio": sdktrace.ParentBased(half),
	} {
		s, err := parseSampler(name, "0.5")
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			id := newTraceID()
			for _, parent := range []*remoteParent{nil, {trace: id, span: newSpanID()}, {trace: id, span: newSpanID(), flags: 1}} {
				ctx := context.Background()
				if parent != nil {
					ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
						TraceID: id, SpanID: parent.span, TraceFlags: parent.flags, Remote: true}))
				}
				want := theirs.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx, TraceID: id}).Decision == sdktrace.RecordAndSample
				if got := s.samples(id, parent); got != want {
					t.Fatalf("%q decides %v on %v below %+v, want %v", name, got, id, parent, want)
				}
			}
		}
	}
}

func TestSamplersThatAreNone(t *testing.T) {
	for _, c := range []struct{ name, arg, want string }{
		{"jaeger_remote", "", "must be one of always_on, "},
		{"traceidratio", "1.5", `OTEL_TRACES_SAMPLER_ARG="1.5": it must be a number from 0 to 1`},
		{"traceidratio", "NaN", "must be a number from 0 to 1"},
		{"parentbased_traceidratio", "all", "must be a number from 0 to 1"},
	} {
		s, err := parseSampler(c.name, c.arg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %q", c.name, c.arg, err, c.want)
		}
		if !s.samples(newTraceID(), nil) {
			t.Errorf("%s %s: nothing is sampled", c.name, c.arg)
		}
	}
}
