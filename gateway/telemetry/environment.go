package telemetry

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
)

// The ways to speak OTLP.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// defaultQueue is how many spans wait to be sent at most, where OTEL_BSP_MAX_QUEUE_SIZE does not say otherwise.
const defaultQueue = 2048

// environment is what the environment says beside what the exporters read of it themselves: where collectors are, and how they are spoken to.
type environment struct {
	traces  string // the protocol; empty: off
	metrics string // the protocol; empty: off
	sampler sampler
	queue   int // spans
}

// readEnvironment reads the variables of OpenTelemetry's specification. Wrong values are logged; they count as not set, or turn off what they
// are about.
func readEnvironment(logger *slog.Logger) *environment {
	e := &environment{queue: defaultQueue}
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return e
	}
	e.traces = protocolOf("TRACES", logger)
	e.metrics = protocolOf("METRICS", logger)
	if e.traces == "" {
		return e
	}
	var err error
	if e.sampler, err = parseSampler(os.Getenv("OTEL_TRACES_SAMPLER"), os.Getenv("OTEL_TRACES_SAMPLER_ARG")); err != nil {
		logger.Warn("the sampler is not what the environment says", "error", err)
	}
	if v := os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE"); v != "" {
		if n, err := strconv.Atoi(v); err == nil && n > 0 {
			e.queue = n
		}
	}
	return e
}

// protocolOf is how a signal, TRACES or METRICS, is exported; empty if it is not. Traces are exported where an endpoint or an exporter is set;
// metrics, which /metrics has too, only where the endpoint or the exporter is for them.
func protocolOf(signal string, logger *slog.Logger) string {
	endpoint := os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
	if signal == "TRACES" {
		endpoint = endpoint || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != ""
	}
	name := "OTEL_" + signal + "_EXPORTER"
	switch v := strings.TrimSpace(os.Getenv(name)); v {
	case "":
		if !endpoint {
			return ""
		}
	case "otlp":
	case "none":
		return ""
	default:
		logger.Error("cannot export by "+name+"="+v+": it must be otlp or none", "off", strings.ToLower(signal))
		return ""
	}
	name = "OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL"
	if os.Getenv(name) == "" {
		name = "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	switch v := os.Getenv(name); v {
	case "":
		return protocolHTTP
	case protocolGRPC, protocolHTTP:
		return v
	default:
		logger.Error("cannot export by "+name+"="+v+": it must be grpc or http/protobuf", "off", strings.ToLower(signal))
		return ""
	}
}
