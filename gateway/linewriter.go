package gateway

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lineBufferBytes bounds the log lines that wait for a slow reader; beyond it lines are dropped and counted.
	lineBufferBytes = 1 << 20
	// lineDelay is the longest that a line waits for company. One write then carries all lines of that time, where a write for
	// each would cost a request more than relaying it does.
	lineDelay = 100 * time.Millisecond
)

// lineWriter hands lines to a writer that may be slow, without ever making the one who logs wait for it.
type lineWriter struct {
	out     io.Writer
	dropped atomic.Uint64

	mu      sync.Mutex
	waiting []byte
	closed  bool

	wake    chan struct{} // a first line waits
	full    chan struct{} // the buffer is half full: write now
	closing chan struct{}
	done    chan struct{}
}

func newLineWriter(out io.Writer) *lineWriter {
	w := &lineWriter{
		out:     out,
		waiting: make([]byte, 0, lineBufferBytes),
		wake:    make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	go w.run()
	return w
}

// write takes a whole line, which it copies. It drops the line if too much waits already.
func (w *lineWriter) write(line []byte) {
	w.mu.Lock()
	before := len(w.waiting)
	if w.closed || before+len(line) > cap(w.waiting) {
		w.mu.Unlock()
		w.dropped.Add(1)
		return
	}
	w.waiting = append(w.waiting, line...)
	after := len(w.waiting)
	w.mu.Unlock()
	if before == 0 {
		signal(w.wake)
	}
	if half := lineBufferBytes / 2; before < half && after >= half {
		signal(w.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *lineWriter) run() {
	defer close(w.done)
	spare := make([]byte, 0, lineBufferBytes)
	timer := time.NewTimer(lineDelay)
	timer.Stop()
	for open := true; open; {
		select {
		case <-w.wake:
			timer.Reset(lineDelay)
			select {
			case <-timer.C:
			case <-w.full:
			case <-w.closing:
			}
		case <-w.closing:
			open = false
		}
		w.mu.Lock()
		spare, w.waiting = w.waiting, spare
		w.mu.Unlock()
		if len(spare) > 0 {
			w.out.Write(spare)
		}
		spare = spare[:0]
	}
}

// close writes what waits and stops. It gives up after timeout, as the reader may never come back; it then returns false and
// leaves a write underway.
func (w *lineWriter) close(timeout time.Duration) bool {
	w.mu.Lock()
	already := w.closed
	w.closed = true
	w.mu.Unlock()
	if !already {
		close(w.closing)
	}
	select {
	case <-w.done:
		return true
	case <-time.After(timeout):
		return false
	}
}
