package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queue holds finished spans until the collector takes them. The library's processor drops what it has no room for without telling anybody; so
// room is kept here, where it can be counted what is lost.
type queue struct {
	sdktrace.SpanProcessor // sends them in batches, on a goroutine of its own

	most   int64
	held   atomic.Int64
	losses *losses
	cut    context.CancelFunc // ends what is being sent, and what would be
	ended  chan struct{}      // closed when the processor's goroutine is done
}

func newQueue(e sdktrace.SpanExporter, b batches, logger *slog.Logger) *queue {
	q := &queue{most: int64(b.queue), ended: make(chan struct{}), losses: &losses{reporter: newReporter(logger, "spans are lost on their way to the collector")}}
	ctx, cut := context.WithCancel(context.Background())
	q.cut = cut
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(&sender{SpanExporter: e, queue: q, ctx: ctx}, sdktrace.WithMaxQueueSize(b.queue),
		sdktrace.WithMaxExportBatchSize(b.size), sdktrace.WithBatchTimeout(b.delay), sdktrace.WithExportTimeout(b.timeout))
	return q
}

var errFull = errors.New("the collector does not take them as fast as they come")

// OnEnd takes a span, or drops it.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if q.held.Add(1) > q.most {
		q.held.Add(-1)
		q.losses.add(1, errFull)
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// sender is an exporter that says what was lost and makes room for more.
type sender struct {
	sdktrace.SpanExporter
	queue *queue
	ctx   context.Context
}

// ExportSpans sends a batch. Its error is dealt with here.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(errStopped) })()
	err := s.SpanExporter.ExportSpans(ctx, spans)
	s.queue.held.Add(-int64(len(spans)))
	switch lost := lostOf(len(spans), err); {
	case lost > 0:
		s.queue.losses.add(lost, err)
	case err != nil: // the collector took all, and warns of something
		otel.Handle(err)
	}
	return nil
}

// partial is the error of the library's exporters where a collector took a part of a batch. Its type is internal.
var partial = regexp.MustCompile(`^(?:traces export: )?OTLP partial success: (?s:.*) \((\d+) spans rejected\)$`)

// lostOf is how many of a batch of spans were lost.
func lostOf(sent int, err error) int {
	if err == nil {
		return 0
	}
	found := partial.FindStringSubmatch(err.Error())
	if found == nil {
		return sent
	}
	if n, err := strconv.Atoi(found[1]); err == nil {
		return min(n, sent)
	}
	return sent
}

// Shutdown is the last that the processor does.
func (s *sender) Shutdown(ctx context.Context) error {
	defer close(s.queue.ended)
	return s.SpanExporter.Shutdown(ctx)
}

// giveUp is how long an exporter has to end once what it does is cut.
const giveUp = time.Second

// stop ends what is still being sent after Shutdown has given up on it.
func (q *queue) stop() {
	q.cut()
	select {
	case <-q.ended:
	case <-time.After(giveUp):
	}
}

var errStopped = errors.New("the gateway stopped before the collector had taken them")

// losses counts spans that were lost.
type losses struct {
	count    atomic.Uint64
	reporter *reporter
}

func (l *losses) add(n int, err error) {
	lost := l.count.Add(uint64(n))
	l.reporter.report(err, "lost", lost)
}

// reporter logs errors, but not more often than once a minute.
type reporter struct {
	logger  *slog.Logger
	message string
	mu      sync.Mutex
	last    time.Time
}

func newReporter(logger *slog.Logger, message string) *reporter {
	return &reporter{logger: logger, message: message}
}

// reportInterval is how often the same kind of trouble is logged at most.
const reportInterval = time.Minute

// longestReport is how much of an error is logged, in bytes: collectors' answers are part of it.
const longestReport = 512

// Handle makes a reporter the library's error handler.
func (r *reporter) Handle(err error) { r.report(err) }

func (r *reporter) report(err error, more ...any) {
	r.mu.Lock()
	now := time.Now()
	due := r.last.IsZero() || now.Sub(r.last) >= reportInterval
	if due {
		r.last = now
	}
	r.mu.Unlock()
	if due {
		text := err.Error()
		r.logger.Warn(r.message, append(more, "error", text[:min(len(text), longestReport)])...)
	}
}
