package telemetry

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"go.opentelemetry.io/otel"
)

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		name            string
		env             map[string]string
		traces, metrics string
		log             string
	}{
		{"nothing", nil, "", "", ""},
		{"an endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, protocolHTTP, "", ""},
		{"an endpoint for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"}, protocolHTTP, "", ""},
		{"an endpoint for metrics", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, "", protocolHTTP, ""},
		{"exporters", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}, protocolHTTP, protocolHTTP, ""},
		{"gRPC", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, protocolGRPC, "", ""},
		{"gRPC for traces", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
			protocolGRPC, protocolHTTP, ""},
		{"no exporter", map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "", "", ""},
		{"disabled", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, "", "", ""},
		{"another exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, "", "", "cannot use OTEL_TRACES_EXPORTER: it must be otlp or none"},
		{"another protocol", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "", "",
			"cannot use OTEL_EXPORTER_OTLP_PROTOCOL: it must be grpc or http/protobuf"},
		{"names in capitals", map[string]string{"OTEL_TRACES_EXPORTER": "OTLP", "OTEL_EXPORTER_OTLP_PROTOCOL": " GRPC", "OTEL_TRACES_SAMPLER": "Always_Off"},
			protocolGRPC, "", ""},
		{"an endpoint that is a space", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, "", "", ""},
		{"an endpoint without a scheme", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "", "",
			"cannot use OTEL_EXPORTER_OTLP_ENDPOINT: it must be a URL such as http://collector:4318"},
		{"an endpoint without a scheme, by gRPC", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			protocolGRPC, "", ""},
		{"an endpoint without a host", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http:///v1/metrics"}, "", "",
			"cannot use OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: it must be a URL such as http://collector:4318"},
		{"neither disabled nor not", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "yes"}, protocolHTTP, "",
			"cannot use OTEL_SDK_DISABLED: it must be true or false; it counts as false"},
		{"another sampler", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "xray"}, protocolHTTP, "", "OTEL_TRACES_SAMPLER"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			var log bytes.Buffer
			e := readEnvironment(slog.New(slog.NewTextHandler(&log, nil)))
			if e.traces.protocol != c.traces || e.metrics.protocol != c.metrics {
				t.Errorf("traces go by %q and metrics by %q, want %q and %q", e.traces.protocol, e.metrics.protocol, c.traces, c.metrics)
			}
			if !strings.Contains(log.String(), c.log) || (c.log == "") != (log.Len() == 0) {
				t.Errorf("the log says %q, want %q", &log, c.log)
			}
		})
	}
}

// TestWrongVariables has every variable hold what it cannot, with a mark that must get neither into the log nor to stderr, as some are keys. None of
// them may keep the gateway from serving.
func TestWrongVariables(t *testing.T) {
	const mark = "s3cr3t"
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:" + mark, "it must be a URL such as http://collector:4318"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://" + mark + "/%zz", "it must be a URL such as http://collector:4318"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=b," + mark, "cannot use entry 2 of OTEL_EXPORTER_OTLP_HEADERS: "},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=%zz" + mark, "cannot use entry 1 of OTEL_EXPORTER_OTLP_TRACES_HEADERS: "},
		{"OTEL_EXPORTER_OTLP_METRICS_HEADERS", mark + " " + mark + "=x", "cannot use entry 1 of OTEL_EXPORTER_OTLP_METRICS_HEADERS: "},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s" + mark, "it must be a whole number from 1 to 86400000; it counts as not set"},
		{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1", "it must be a whole number from 1 to"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd" + mark, "it must be gzip or none; it counts as none"},
		{"OTEL_EXPORTER_OTLP_INSECURE", "yes" + mark, "it must be true or false; it counts as false"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", filepath.Join(t.TempDir(), "missing"), "missing: no such file or directory; it counts as not set"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", empty, "empty.pem has no certificate; it counts as not set"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY", empty, "it must be set together with OTEL_EXPORTER_OTLP_CLIENT_KEY; neither counts"},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "-5", "it must be a whole number from 1 to 1048576; it counts as not set"},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "1000000000000", "it must be a whole number from 1 to 1048576"},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1", "it must be a whole number from 1 to"},
		{"OTEL_BSP_SCHEDULE_DELAY", "0", "it must be a whole number from 1 to"},
		{"OTEL_BSP_EXPORT_TIMEOUT", "30s" + mark, "it must be a whole number from 1 to"},
		{"OTEL_METRIC_EXPORT_INTERVAL", "1m" + mark, "it must be a whole number from 1 to"},
		{"OTEL_METRIC_EXPORT_TIMEOUT", "0", "it must be a whole number from 1 to"},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many" + mark, "it must be a whole number; it counts as not set"},
		{"OTEL_TRACES_SAMPLER_ARG", "2", "it must be a number from 0 to 1; it counts as 1"},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
			t.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
			t.Setenv(c.name, c.value)
			var log bytes.Buffer
			var toStderr strings.Builder // what the library would write there
			otel.SetLogger(funcr.New(func(prefix, args string) { toStderr.WriteString(args) }, funcr.Options{}))
			FromEnvironment("test", slog.New(slog.NewTextHandler(&log, nil))).Close(time.Minute)
			if !strings.Contains(log.String(), c.name) || !strings.Contains(log.String(), c.want) {
				t.Errorf("the log says %q, want %q", &log, c.want)
			}
			if strings.Contains(log.String(), mark) || toStderr.Len() > 0 {
				t.Errorf("the log says %q, and stderr %q", &log, toStderr.String())
			}
		})
	}
}

func TestBatches(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	logger := slog.New(slog.DiscardHandler)
	if got := readEnvironment(logger).batches; got != (batches{2048, 512, 5 * time.Second, 30 * time.Second}) {
		t.Errorf("by default spans go as %+v", got)
	}
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "7")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "8")
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "9")
	e := readEnvironment(logger)
	if got := e.batches; got != (batches{100, 100, 7 * time.Millisecond, 8 * time.Millisecond}) || e.traces.timeout != 9*time.Millisecond {
		t.Errorf("spans go as %+v, within %v", got, e.traces.timeout)
	}
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
	if got := readEnvironment(logger).batches.size; got != 10 {
		t.Errorf("%d spans go at once, want 10", got)
	}
}
