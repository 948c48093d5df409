package gateway

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// collector takes what is exported by OTLP, by gRPC and by HTTP.
type collector struct {
	coltrace.UnimplementedTraceServiceServer
	t       testing.TB
	added   chan struct{}
	partial *coltrace.ExportTracePartialSuccess // what it says of spans that it did not take, or wants to warn of

	mu       sync.Mutex
	spans    []*otlp.Span
	metrics  []*colmetrics.ExportMetricsServiceRequest
	raw      []byte // all that ever came
	resource *common.KeyValueList
}

// collect starts a collector and lets gateways of this test send their traces to it. They are sent at once, so that no test has to wait.
func collect(t testing.TB, protocol string) *collector {
	t.Helper()
	c := &collector{t: t, added: make(chan struct{}, 1)}
	set := t.(interface{ Setenv(name, value string) }).Setenv
	set("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
	set("OTEL_BSP_SCHEDULE_DELAY", "1")
	if protocol == "grpc" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		coltrace.RegisterTraceServiceServer(s, c)
		go s.Serve(l)
		t.Cleanup(s.Stop)
		set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
		return c
	}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	set("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	return c
}

// Export takes spans by gRPC.
func (c *collector) Export(_ context.Context, r *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	raw, err := proto.Marshal(r)
	if err != nil {
		c.t.Error(err)
	}
	c.take(r, raw)
	return &coltrace.ExportTraceServiceResponse{PartialSuccess: c.partial}, nil
}

// ServeHTTP takes spans and metrics by HTTP.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/v1/traces":
		request := new(coltrace.ExportTraceServiceRequest)
		if err := proto.Unmarshal(raw, request); err != nil {
			c.t.Error(err)
		}
		c.take(request, raw)
		w.Header().Set("Content-Type", "application/x-protobuf")
		answer, err := proto.Marshal(&coltrace.ExportTraceServiceResponse{PartialSuccess: c.partial})
		if err != nil {
			c.t.Error(err)
		}
		w.Write(answer)
		return
	case "/v1/metrics":
		request := new(colmetrics.ExportMetricsServiceRequest)
		if err := proto.Unmarshal(raw, request); err != nil {
			c.t.Error(err)
		}
		c.mu.Lock()
		c.metrics = append(c.metrics, request)
		c.mu.Unlock()
		signal(c.added)
	default:
		c.t.Errorf("the collector is asked for %s", r.URL.Path)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *collector) take(r *coltrace.ExportTraceServiceRequest, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		c.resource = &common.KeyValueList{Values: rs.Resource.Attributes}
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
	c.raw = append(c.raw, raw...)
	signal(c.added)
}

// traced is the spans of one request.
type traced struct {
	server   *otlp.Span
	attempts []*otlp.Span // in their order
}

// await waits until n requests have been traced, and returns them in the order in which they began.
func (c *collector) await(n int) []traced {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		if list := c.requests(); len(list) >= n {
			if len(list) > n {
				c.t.Fatalf("%d requests were traced, want %d", len(list), n)
			}
			return list
		}
		select {
		case <-c.added:
		case <-deadline:
			c.t.Fatalf("%d requests were traced, want %d; the spans are %v", len(c.requests()), n, c.spans)
		}
	}
}

// one is await for a single request.
func (c *collector) one() traced {
	c.t.Helper()
	return c.await(1)[0]
}

func (c *collector) requests() (list []traced) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Kind == otlp.Span_SPAN_KIND_SERVER {
			list = append(list, traced{server: s})
		}
	}
	for _, s := range c.spans {
		for i := range list {
			if s.Kind == otlp.Span_SPAN_KIND_CLIENT && string(s.ParentSpanId) == string(list[i].server.SpanId) {
				list[i].attempts = append(list[i].attempts, s)
			}
		}
	}
	byStart := func(a, b *otlp.Span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) }
	for i := range list {
		slices.SortFunc(list[i].attempts, byStart)
	}
	slices.SortFunc(list, func(a, b traced) int { return byStart(a.server, b.server) })
	return list
}

// check holds a span's attributes against those that are wanted; "-" wants one not to be there.
func check(t testing.TB, s *otlp.Span, want map[string]any) {
	t.Helper()
	have := attributesOf(s.Attributes)
	for name, v := range want {
		got, there := have[name]
		if v == "-" {
			if there {
				t.Errorf("span %q has %s=%v", s.Name, name, got)
			}
			continue
		}
		if fmt.Sprint(got) != fmt.Sprint(v) {
			t.Errorf("span %q has %s=%v, want %v", s.Name, name, got, v)
		}
	}
}

func attributesOf(list []*common.KeyValue) map[string]any {
	have := make(map[string]any)
	for _, a := range list {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			have[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			have[a.Key] = v.IntValue
		case *common.AnyValue_DoubleValue:
			have[a.Key] = v.DoubleValue
		}
	}
	return have
}

// events are the names of a span's events, in their order.
func events(s *otlp.Span) (names []string) {
	for _, e := range s.Events {
		names = append(names, e.Name)
	}
	return names
}

// parentOf is the traceparent that names a span, which is sampled.
func parentOf(s *otlp.Span) string {
	return "00-" + hex.EncodeToString(s.TraceId) + "-" + hex.EncodeToString(s.SpanId) + "-01"
}
