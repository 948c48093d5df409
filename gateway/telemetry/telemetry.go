// Package telemetry tells an OpenTelemetry collector of requests: their traces, and what the conventions for generative AI count of them.
// It is configured by the environment alone, by the variables that every program with OpenTelemetry has; without them it is off, and
// requests pay nothing for it. docs/tracing.md has what is sent.
//
// A collector that is slow or away loses spans and never holds up requests: what waits to be sent is bounded, and what goes beyond is dropped
// and counted.
package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
)

// Telemetry is what is told to collectors. A nil one tells nothing.
type Telemetry struct {
	// Tracer traces requests; nil if traces are off.
	Tracer *Tracer
	// Metrics counts requests; nil if metrics are off.
	Metrics *Metrics
}

// FromEnvironment starts what the environment asks for. What it asks for and cannot be had is logged and stays off: telemetry is never a reason
// not to serve. version is the program's.
func FromEnvironment(version string, logger *slog.Logger) *Telemetry {
	e := readEnvironment(logger)
	t := &Telemetry{}
	if e.traces.protocol == "" && e.metrics.protocol == "" {
		return t
	}
	otel.SetLogger(logr.Discard()) // it would write to stderr what is wrong in the environment, and readEnvironment has said so without secrets
	otel.SetErrorHandler(newReporter(logger, "the OpenTelemetry library reports an error"))
	r := describe(version, logger)
	if e.traces.protocol != "" {
		tracer, err := newTracer(e, r, logger)
		if err != nil {
			logger.Error("traces are off", "error", err)
		}
		t.Tracer = tracer
	}
	if e.metrics.protocol != "" {
		metrics, err := newMetrics(e, r)
		if err != nil {
			logger.Error("metrics are not exported by OTLP", "error", err)
		}
		t.Metrics = metrics
	}
	return t
}

// describe says what sends the telemetry. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
func describe(version string, logger *slog.Logger) *resource.Resource {
	r, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("penstock"), semconv.ServiceVersion(version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		logger.Warn("cannot read all of what describes this gateway in telemetry", "error", err)
	}
	return r
}

// Dropped is how many spans were lost, as the collector was away or too slow, or refused them.
func (t *Telemetry) Dropped() uint64 {
	if t == nil || t.Tracer == nil {
		return 0
	}
	return t.Tracer.queue.losses.count.Load()
}

// Close sends what is left and stops. It takes no longer than most, and a moment to give up what was being sent.
func (t *Telemetry) Close(most time.Duration) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	figures := make(chan error, 1)
	go func() { figures <- t.Metrics.close(ctx) }()
	return errors.Join(t.Tracer.close(ctx), <-figures)
}
