package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// slow is an exporter that takes nothing until it is released, or its context ends.
type slow struct {
	began   chan int // batches that it was given
	release chan error
}

func newSlow() *slow { return &slow{make(chan int, 100), make(chan error)} }

func (s *slow) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.began <- len(spans)
	select {
	case err := <-s.release:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *slow) Shutdown(context.Context) error { return nil }

func tracerTo(e sdktrace.SpanExporter, most int, log *bytes.Buffer) *Tracer {
	t := &Tracer{queue: newQueue(e, batchesOf(most), slog.New(slog.NewTextHandler(log, nil)))}
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithSpanProcessor(t.queue))
	t.spans = t.provider.Tracer(scope)
	return t
}

// batchesOf is the defaults but for the most spans that wait.
func batchesOf(most int) batches {
	b := defaultBatches
	b.queue, b.size = most, min(b.size, most)
	return b
}

func (t *Tracer) span() {
	_, s := t.spans.Start(context.Background(), "test")
	s.End()
}

// TestQueueIsBounded has a collector take nothing for a while, and then all that was kept. Nothing of it depends on how fast this machine is.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := newSlow()
		tr := tracerTo(e, 10, &log)
		for range 7 {
			tr.span()
		}
		time.Sleep(10 * time.Second) // the batch is on its way
		if n := <-e.began; n != 7 {
			t.Fatalf("a batch of %d spans is sent, want 7", n)
		}
		for range 7 {
			tr.span()
		}
		if lost, held := tr.queue.losses.count.Load(), tr.queue.held.Load(); lost != 4 || held != 10 {
			t.Errorf("%d spans were lost and %d are held, want 4 and 10", lost, held)
		}
		e.release <- nil
		for range 3 { // the rest comes in one batch or in more
			time.Sleep(10 * time.Second)
			if len(e.began) > 0 {
				<-e.began
				e.release <- errors.New("no room")
			}
			synctest.Wait()
		}
		if lost, held := tr.queue.losses.count.Load(), tr.queue.held.Load(); lost != 7 || held != 0 {
			t.Errorf("%d spans were lost and %d are held, want 7 and 0", lost, held)
		}
		if err := tr.close(context.Background()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "spans are lost"); n != 1 {
			t.Errorf("the log says so %d times within a minute: %s", n, &log)
		}
	})
}

func TestCloseGivesUpOnASilentCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tr := tracerTo(newSlow(), 2000, &log)
		for range 1500 { // three batches
			tr.span()
		}
		began := time.Now()
		err := (&Telemetry{Tracer: tr}).Close(5 * time.Second)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v, want 5s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "cannot send the last spans") || tr.queue.losses.count.Load() != 1500 {
			t.Errorf("%d spans were lost, and the error is %v", tr.queue.losses.count.Load(), err)
		}
	})
}

func TestReportsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newReporter(slog.New(slog.NewTextHandler(&log, nil)), "trouble")
		for range 121 {
			r.Handle(errors.New(strings.Repeat("x", 10_000)))
			time.Sleep(time.Second)
		}
		if n := strings.Count(log.String(), "trouble"); n != 3 || log.Len() > 2500 {
			t.Errorf("%d reports of %d bytes in 121 s, want 3", n, log.Len())
		}
	})
}
