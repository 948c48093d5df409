package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// logRecorder keeps what is logged and lets a test wait for a line.
type logRecorder struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced at each line
}

func newLogRecorder() *logRecorder { return &logRecorder{changed: make(chan struct{})} }

func (r *logRecorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *logRecorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *logRecorder) WithGroup(string) slog.Handler            { return r }

func (r *logRecorder) Handle(_ context.Context, record slog.Record) error {
	var b strings.Builder
	b.WriteString(record.Message)
	record.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&b, " %s=%v", a.Key, a.Value); return true })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, b.String())
	close(r.changed)
	r.changed = make(chan struct{})
	return nil
}

// count returns how many lines hold text.
func (r *logRecorder) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, l := range r.lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

// await returns the nth line (from 1) that holds text, waiting for it if needed.
func (r *logRecorder) await(t testing.TB, text string, nth int) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		changed, n := r.changed, 0
		for _, l := range r.lines {
			if strings.Contains(l, text) {
				if n++; n == nth {
					r.mu.Unlock()
					return l
				}
			}
		}
		all := strings.Join(r.lines, "\n")
		r.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no line %d with %q was logged; the log is:\n%s", nth, text, all)
		}
	}
}
