package gateway

import (
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"

	"github.com/penstock/penstock/gateway/telemetry"
)

// TestCollectorThatIsAway has requests go on, and counts the spans that are lost, whether the collector refuses connections or is silent.
func TestCollectorThatIsAway(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connections are made, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	for _, c := range []struct{ name, protocol, address string }{
		{"silent", "grpc", silent.Addr().String()},
		{"silent", "http/protobuf", silent.Addr().String()},
		{"away", "grpc", refused.Addr().String()},
		{"away", "http/protobuf", refused.Addr().String()},
	} {
		t.Run(c.name+" "+c.protocol, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"+c.address)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", c.protocol)
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "100")
			g := start(t, pool(answering(t, "hello")))
			client := caller(t, false)
			const requests = 50
			for range requests {
				if status, body := chat(t, client, g); status != 200 || body != "hello" {
					t.Fatalf("the client got %d %s", status, body)
				}
			}
			line := g.logs.await(t, "spans are lost on their way to the collector", 1)
			began := time.Now()
			g.stop()
			if took := time.Since(began); took > flushTimeout+5*time.Second {
				t.Errorf("the stop took %v", took)
			}
			if got := g.telemetry.Dropped(); got != 2*requests {
				t.Errorf("%d spans were lost, want %d; the log has %v", got, 2*requests, line)
			}
		})
	}
}

func TestLostSpansAreCounted(t *testing.T) {
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer bad.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", bad.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	g := start(t, pool(answering(t, "hello")))
	chat(t, caller(t, false), g)
	g.logs.await(t, "spans are lost on their way to the collector", 1)
	if n := g.metric("penstock_traces_dropped_total"); n != "1" && n != "2" { // the log is told of the first batch, which may have one of both
		t.Errorf("%s spans were lost, want 1 or 2", n)
	}
	g.stop()
	if n := g.telemetry.Dropped(); n != 2 {
		t.Errorf("%d spans were lost, want 2", n)
	}
}

// TestCollectorOfMetricsThatIsSilent has the end of the gateway not wait for it for longer than it may.
func TestCollectorOfMetricsThatIsSilent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://"+silent.Addr().String())
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
		tel := telemetry.FromEnvironment("test", slog.New(slog.DiscardHandler))
		began := time.Now()
		err := tel.Close(100 * time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "cannot send the last figures") {
			t.Errorf("%s: the error is %v", protocol, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v, want 100ms", protocol, took)
		}
	}
}

// TestSpansThatACollectorTakesInPart has it refuse some of a batch, or warn of what it took.
func TestSpansThatACollectorTakesInPart(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for rejected, want := range map[int64]struct {
			lost uint64
			log  string
		}{0: {0, "the OpenTelemetry library reports an error"}, 1: {1, "spans are lost on their way to the collector"}, 99: {2, "spans are lost"}} {
			c := collect(t, protocol)
			c.partial = &coltrace.ExportTracePartialSuccess{RejectedSpans: rejected, ErrorMessage: "too old (7 spans rejected)"}
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", strconv.Itoa(int(time.Hour/time.Millisecond))) // both spans of the request go in one batch
			g := start(t, pool(answering(t, "hello")))
			chat(t, caller(t, false), g)
			g.stop()
			if n := g.telemetry.Dropped(); n != want.lost || len(c.spans) != 2 {
				t.Errorf("%s: of %d spans, of which %d were refused, %d were lost, want %d", protocol, len(c.spans), rejected, n, want.lost)
			}
			if g.logs.count(want.log) != 1 || g.logs.count("too old") != 1 {
				t.Errorf("%s: the log does not say %q once", protocol, want.log)
			}
		}
	}
}

// TestGracefulStopSendsTheLastSpans has spans wait for far longer than the test does.
func TestGracefulStopSendsTheLastSpans(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		c := collect(t, protocol)
		t.Setenv("OTEL_BSP_SCHEDULE_DELAY", strconv.Itoa(int(time.Hour/time.Millisecond)))
		g := start(t, pool(answering(t, "hello"))+"shutdown: {lameDuck: 0s, drain: 1m}\n")
		const requests = 700 // more than a batch
		client := caller(t, false)
		for range requests {
			chat(t, client, g)
		}
		client.CloseIdleConnections()
		g.signals <- os.Interrupt
		g.timer().end() // the lame duck
		if err := g.wait(); err != nil {
			t.Fatal(err)
		}
		if n := len(c.requests()); n != requests {
			t.Errorf("%s: %d requests were traced, want %d", protocol, n, requests)
		}
		if n := g.telemetry.Dropped(); n != 0 {
			t.Errorf("%s: %d spans were lost", protocol, n)
		}
	}
}

func TestMetricsByOTLP(t *testing.T) {
	for _, name := range []string{"OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"} {
		c := collect(t, "http/protobuf")
		t.Setenv("OTEL_TRACES_EXPORTER", "none")
		t.Setenv(name, "otlp")
		if name != "OTEL_METRICS_EXPORTER" {
			t.Setenv("OTEL_METRICS_EXPORTER", "")
			s := httptest.NewServer(c)
			defer s.Close()
			t.Setenv(name, s.URL+"/v1/metrics")
		}
		first := make(chan struct{}) // the client has the first event, so the next is a piece of its own
		g := start(t, poolAt("http", model(t, newHeads(), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {}\n\n")
			w.(http.Flusher).Flush()
			<-first
			io.WriteString(w, "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9}}\n\n")
		}))+routed)
		response, err := caller(t, false).Do(newChat(t, context.Background(), g))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := response.Body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		close(first)
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		g.stop()
		points := make(map[string]uint64) // by metric, and what the token count is of
		for _, r := range c.metrics {
			for _, m := range r.ResourceMetrics[0].ScopeMetrics[0].Metrics {
				for _, p := range m.GetHistogram().DataPoints {
					have := attributesOf(p.Attributes)
					if have["gen_ai.operation.name"] != "chat" || have["gen_ai.provider.name"] != "vllm" || have["gen_ai.request.model"] != "llama" {
						t.Errorf("%s has the attributes %v", m.Name, have)
					}
					kind, _ := have["gen_ai.token.type"].(string)
					points[strings.TrimSuffix(m.Name+" "+kind, " ")] += p.Count
				}
			}
		}
		for _, want := range []string{"gen_ai.client.operation.duration", "gen_ai.server.request.duration", "gen_ai.server.time_to_first_token",
			"gen_ai.server.time_per_output_token", "gen_ai.client.token.usage input", "gen_ai.client.token.usage output"} {
			if points[want] != 1 {
				t.Errorf("%s: %s counted %d requests, want 1; there are %v", name, want, points[want], points)
			}
		}
		if len(c.spans) != 0 {
			t.Errorf("%s: spans were sent", name)
		}
	}
}

// TestCollectorIsSpokenToAsTheEnvironmentSays has a collector with a certificate of its own that wants a key.
func TestCollectorIsSpokenToAsTheEnvironmentSays(t *testing.T) {
	c := &collector{t: t, added: make(chan struct{}, 1)}
	keys := make(chan string, 8)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("X-Key")
		c.ServeHTTP(w, r)
	}))
	defer s.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", authority)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=collectors%20own")
	t.Setenv("OTEL_SERVICE_NAME", "gate")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	g := start(t, pool(answering(t, "hello")))
	chat(t, caller(t, false), g)
	c.one()
	if key := <-keys; key != "collectors own" {
		t.Errorf("the collector got the key %q", key)
	}
	if name := attributesOf(c.resource.Values)["service.name"]; name != "gate" {
		t.Errorf("the service is called %v", name)
	}
	g.stop()
}
