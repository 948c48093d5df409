package gateway

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func FuzzQuotedStringsAreJSON(f *testing.F) {
	for _, s := range []string{"", "llama-3-8b", `a"b\c`, "line\nbreak\r\t\x00\x1f\x7f", "caf\u00e9 \u2028 \U0001f600", "\xff\xc0\x80", "\xe2\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := appendQuoted(nil, s)
		if fromBytes := appendQuoted(nil, []byte(s)); !bytes.Equal(quoted, fromBytes) {
			t.Fatalf("%q: %s as a string, %s as bytes", s, quoted, fromBytes)
		}
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%q: %s: %v", s, quoted, err)
		}
		marshalled, _ := json.Marshal(s)
		var want string
		json.Unmarshal(marshalled, &want)
		if got != want {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
		if bytes.ContainsAny(quoted, "\n\r\x00\x1b\x7f") || !utf8.Valid(quoted) {
			t.Fatalf("%q: %q holds control characters or broken UTF-8", s, quoted)
		}
	})
}

// gatedWriter blocks every write until it is let through.
type gatedWriter struct {
	gate    chan struct{}
	written chan string
}

func newGatedWriter() *gatedWriter {
	return &gatedWriter{gate: make(chan struct{}), written: make(chan string, 100)}
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	<-w.gate
	w.written <- string(p)
	return len(p), nil
}

func TestLinesOfATenthOfASecondAreOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGatedWriter()
		close(out.gate)
		w := newLineWriter(out)
		start := time.Now()
		w.write([]byte("a\n"))
		time.Sleep(50 * time.Millisecond)
		w.write([]byte("b\n"))
		if got := <-out.written; got != "a\nb\n" {
			t.Errorf("wrote %q first", got)
		}
		if waited := time.Since(start); waited != lineDelay {
			t.Errorf("a line waited %v, want %v", waited, lineDelay)
		}
		w.write([]byte("c\n"))
		if !w.close(time.Second) {
			t.Error("close gave up on a fast reader")
		}
		if got := <-out.written; got != "c\n" {
			t.Errorf("close wrote %q, want the line that waited", got)
		}
		w.write([]byte("late\n"))
		if w.dropped.Load() != 1 {
			t.Error("a line after close was not counted as dropped")
		}
	})
}

func TestManyLinesDoNotWaitForTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGatedWriter()
		close(out.gate)
		w := newLineWriter(out)
		start := time.Now()
		line := bytes.Repeat([]byte("x"), 1<<10)
		for range lineBufferBytes / 2 / len(line) {
			w.write(line)
		}
		<-out.written
		if waited := time.Since(start); waited != 0 {
			t.Errorf("half a buffer of lines waited %v", waited)
		}
		w.close(time.Second)
	})
}

func TestSlowReaderOfLinesCostsLinesNotTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newGatedWriter()
		w := newLineWriter(out)
		w.write([]byte("first\n"))
		time.Sleep(2 * lineDelay) // the writer now blocks in its first write
		line := bytes.Repeat([]byte("x"), 1<<10)
		start := time.Now()
		for range 3 * lineBufferBytes / len(line) {
			w.write(line)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("writers waited %v for a reader that does not read", waited)
		}
		if n, want := w.dropped.Load(), uint64(2*lineBufferBytes/len(line)); n != want {
			t.Errorf("dropped %d lines, want %d: one buffer is kept", n, want)
		}
		if w.close(time.Second) {
			t.Error("close did not give up on a reader that does not read")
		}
		close(out.gate)
		<-w.done
		if first, rest := <-out.written, <-out.written; first != "first\n" || len(rest) != lineBufferBytes {
			t.Errorf("wrote %q and %d bytes, want the first line and one buffer", first, len(rest))
		}
	})
}
