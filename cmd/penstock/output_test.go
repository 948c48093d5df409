package main

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is what a subcommand writes, for a test that waits for it.
type output struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{}, 1)} }

// Write takes more output.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	o.text.Write(p)
	o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

// String returns the output so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits for output that matches a regular expression, and returns the match and its groups.
func (o *output) await(t testing.TB, expression string) []string {
	t.Helper()
	compiled := regexp.MustCompile(expression)
	deadline := time.After(patience)
	for {
		if m := compiled.FindStringSubmatch(o.String()); m != nil {
			return m
		}
		select {
		case <-o.changed:
		case <-deadline:
			t.Fatalf("nothing that matches %s was written; there is %q", expression, o.String())
		}
	}
}
