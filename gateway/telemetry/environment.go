package telemetry

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
)

// The ways to speak OTLP.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// environment is what the environment says beside what the exporters read of it themselves: where collectors are, and how they are spoken to.
type environment struct {
	traces, metrics signal
	sampler         sampler
	batches         batches
}

// signal is how traces or metrics are exported.
type signal struct {
	protocol string        // empty: not at all
	timeout  time.Duration // of an attempt to send some
}

// batches is how spans are sent. The library is told all of it, as it takes numbers from the environment as they are: lengths below 0 make it
// panic, and a delay of 0 has it turn without a pause.
type batches struct {
	queue   int           // spans that wait at most
	size    int           // spans that are sent at once
	delay   time.Duration // how long a span waits for company
	timeout time.Duration // how long sending may take
}

// The defaults of the specification.
var defaultBatches = batches{queue: 2048, size: 512, delay: 5 * time.Second, timeout: 30 * time.Second}

// Bounds of what the environment may ask for.
const (
	mostQueued  = 1 << 20     // spans, of some 2 KB each
	longestTime = 24 * 3600e3 // milliseconds
)

// defaultTimeout is that of OTEL_EXPORTER_OTLP_TIMEOUT.
const defaultTimeout = 10 * time.Second

// readEnvironment reads the variables of OpenTelemetry's specification. Wrong values are logged; they count as not set, or turn off what they
// are about. What they say is only logged where it cannot be a secret.
func readEnvironment(logger *slog.Logger) *environment {
	e := &environment{batches: defaultBatches}
	v := variables{logger}
	if v.boolean("OTEL_SDK_DISABLED") {
		return e
	}
	e.traces = v.signal("TRACES")
	e.metrics = v.signal("METRICS")
	if e.metrics.protocol != "" { // the library reads these, and takes wrong ones for its defaults
		v.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 0)
		v.milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", 0)
	}
	if e.traces.protocol == "" {
		return e
	}
	var err error
	if e.sampler, err = parseSampler(v.get("OTEL_TRACES_SAMPLER"), v.get("OTEL_TRACES_SAMPLER_ARG")); err != nil {
		logger.Warn("the sampler is not what the environment says", "error", err)
	}
	e.batches = v.batches()
	v.limits()
	return e
}

// variables reads the environment, and logs what is wrong there.
type variables struct{ logger *slog.Logger }

// get is the value of a variable; one that is empty counts as not set, as the specification has it.
func (variables) get(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// wrong logs that a value is not what it must be, and what it counts as.
func (v variables) wrong(name, must string) {
	v.warn(fmt.Errorf("cannot use %s: it must be %s", name, must))
}

func (v variables) warn(err error) {
	v.logger.Warn("a variable of OpenTelemetry is wrong", "error", err)
}

func (v variables) boolean(name string) bool {
	switch value := v.get(name); {
	case strings.EqualFold(value, "true"):
		return true
	case value != "" && !strings.EqualFold(value, "false"):
		v.wrong(name, "true or false; it counts as false")
	}
	return false
}

// number is a whole number within bounds; otherwise where there is none.
func (v variables) number(name string, otherwise, least, most int) int {
	value := v.get(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		v.wrong(name, fmt.Sprintf("a whole number from %d to %d; it counts as not set", least, most))
		return otherwise
	}
	return n
}

func (v variables) milliseconds(name string, otherwise time.Duration) time.Duration {
	return time.Duration(v.number(name, int(otherwise.Milliseconds()), 1, longestTime)) * time.Millisecond
}

func (v variables) batches() batches {
	b := batches{
		queue:   v.number("OTEL_BSP_MAX_QUEUE_SIZE", defaultBatches.queue, 1, mostQueued),
		size:    v.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", defaultBatches.size, 1, mostQueued),
		delay:   v.milliseconds("OTEL_BSP_SCHEDULE_DELAY", defaultBatches.delay),
		timeout: v.milliseconds("OTEL_BSP_EXPORT_TIMEOUT", defaultBatches.timeout),
	}
	b.size = min(b.size, b.queue)
	return b
}

// limits looks at the limits of spans, which the library reads. It takes wrong ones for its defaults.
func (v variables) limits() {
	for _, name := range []string{"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"} {
		if value := v.get(name); value != "" {
			if _, err := strconv.Atoi(value); err != nil {
				v.wrong(name, "a whole number; it counts as not set")
			}
		}
	}
}

// signal is how TRACES or METRICS are exported. Traces are where an endpoint or an exporter is set; metrics, which /metrics has too, only where the
// endpoint or the exporter is for them.
func (v variables) signal(of string) signal {
	off := func(name, must string) signal {
		v.logger.Error("telemetry is not exported", "off", strings.ToLower(of), "error", fmt.Errorf("cannot use %s: it must be %s", name, must))
		return signal{}
	}
	endpoint := v.get("OTEL_EXPORTER_OTLP_"+of+"_ENDPOINT") != "" || of == "TRACES" && v.get("OTEL_EXPORTER_OTLP_ENDPOINT") != ""
	name := "OTEL_" + of + "_EXPORTER"
	switch value := strings.ToLower(v.get(name)); {
	case value == "none", value == "" && !endpoint:
		return signal{}
	case value != "" && value != "otlp":
		return off(name, "otlp or none")
	}
	s := signal{protocol: protocolHTTP, timeout: defaultTimeout}
	if name, value := v.ofSignal(of, "PROTOCOL"); value != "" {
		value = strings.ToLower(value)
		if value != protocolGRPC && value != protocolHTTP {
			return off(name, "grpc or http/protobuf")
		}
		s.protocol = value
	}
	if name, value := v.ofSignal(of, "ENDPOINT"); value != "" && !isEndpoint(value, s.protocol) {
		return off(name, "a URL such as "+exampleEndpoints[s.protocol])
	}
	if name, value := v.ofSignal(of, "TIMEOUT"); value != "" {
		s.timeout = v.milliseconds(name, defaultTimeout)
	}
	v.exporter(of)
	return s
}

// ofSignal is a variable of the exporters: the one for the signal alone if that is set, else the one for all.
func (v variables) ofSignal(signal, what string) (name, value string) {
	name = "OTEL_EXPORTER_OTLP_" + signal + "_" + what
	if value = v.get(name); value == "" {
		name = "OTEL_EXPORTER_OTLP_" + what
		value = v.get(name)
	}
	return name, value
}
