package telemetry

import (
	"bytes"
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// nowhere is an exporter that drops what it gets.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                             { return nil }

type idle struct{}

func (idle) Close() {}

// dispatcher has one pool with one endpoint.
func dispatcher(t testing.TB, tracer dispatch.Tracer) *dispatch.Dispatcher {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte("pools: {main: {endpoints: [\"http://127.0.0.1:1\"]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	d := dispatch.New(dispatch.Options{NewUpstream: func(dispatch.EndpointConfig) dispatch.Upstream { return idle{} }, Tracer: tracer})
	if err := d.Apply(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

var (
	methodPOST = []byte("POST")
	pathChat   = []byte("/v1/chat/completions")
)

// trip is a request that is answered at once, as an engine sees it.
func trip(t testing.TB, d *dispatch.Dispatcher, x *dispatch.Exchange, h header) {
	x.Reset(d)
	x.Started = dispatch.Now()
	x.Protocol = "HTTP/1.1"
	x.Request.Method, x.Request.Path, x.Request.Header = methodPOST, pathChat, h
	x.BeginTrace()
	if action, _ := x.Match(); action != dispatch.Forward {
		t.Fatal("the request is not forwarded")
	}
	if x.Admit() != nil {
		t.Fatal("the request is refused")
	}
	x.TraceContext()
	x.FirstByte()
	x.Status = 200
	x.Finish(dispatch.Completed)
}

// cases are what tracing may cost a request.
func cases(t testing.TB) []timingCase {
	var log bytes.Buffer
	tracer := func(ratio string) *Tracer {
		tr := tracerTo(nowhere{}, 1<<20, &log)
		tr.sampler, _ = parseSampler("parentbased_traceidratio", ratio)
		t.Cleanup(func() { tr.close(context.Background()) })
		return tr
	}
	return []timingCase{
		{"off", dispatcher(t, nil), header{}},
		{"not sampled", dispatcher(t, tracer("0")), header{}},
		{"not sampled by the caller", dispatcher(t, tracer("1")), headerOf("traceparent", sampled[:54]+"0")},
		{"sampled", dispatcher(t, tracer("1")), headerOf("traceparent", sampled)},
	}
}

type timingCase struct {
	name       string
	dispatcher *dispatch.Dispatcher
	header     header
}

func TestUnsampledRequestsAllocateNothing(t *testing.T) {
	for _, c := range cases(t)[:3] {
		x := &dispatch.Exchange{}
		if n := testing.AllocsPerRun(1000, func() { trip(t, c.dispatcher, x, c.header) }); n != 0 {
			t.Errorf("%s: a request allocates %v times, want 0", c.name, n)
		}
	}
}

func BenchmarkTrip(b *testing.B) {
	for _, c := range cases(b) {
		b.Run(c.name, func(b *testing.B) {
			x := &dispatch.Exchange{}
			b.ReportAllocs()
			for b.Loop() {
				trip(b, c.dispatcher, x, c.header)
			}
		})
	}
}
