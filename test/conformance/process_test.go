package conformance

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that runs, and what it has said.
type process struct {
	cmd   *exec.Cmd
	said  *transcript
	ended chan struct{} // closed when it has ended
}

// start runs a program until the test's end at the latest. environment is added to that of the test.
func start(t testing.TB, p *program, environment []string, args ...string) *process {
	t.Helper()
	q := &process{cmd: exec.Command(p.path(t), args...), said: newTranscript(), ended: make(chan struct{})}
	q.cmd.Env = append(os.Environ(), environment...)
	q.cmd.Stdout, q.cmd.Stderr = q.said, q.said
	if err := q.cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", p.name, err)
	}
	go func() {
		q.cmd.Wait() // the exit code says it all
		close(q.ended)
	}()
	t.Cleanup(func() {
		q.cmd.Process.Kill()
		<-q.ended
	})
	return q
}

// signal sends a signal.
func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		<-p.ended
		t.Fatalf("cannot send %v: %v; the process ended by itself (%v) and had said:\n%s", s, err, p.cmd.ProcessState, p.said)
	}
}

// exitCode waits for the end.
func (p *process) exitCode(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s did not end; it said:\n%s", p.cmd.Path, p.said)
	}
	panic("not reached")
}

// run runs a program to its end and returns its exit code and what it said.
func run(t testing.TB, p *program, args ...string) (code int, said string) {
	t.Helper()
	path := p.path(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("cannot run %s %s to its end: %v\n%s", p.name, strings.Join(args, " "), err, out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// transcript keeps what a process says.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed, and replaced, at every write
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

// Write takes what the process says.
func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(p)
}

func (s *transcript) read() (text string, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String(), s.changed
}

// String is all that was said.
func (s *transcript) String() string {
	text, _ := s.read()
	return text
}

// await waits until pattern was said and returns the match and its groups.
func (s *transcript) await(t testing.TB, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		text, changed := s.read()
		if match := re.FindStringSubmatch(text); match != nil {
			return match
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("nothing like %s was said, but:\n%s", pattern, text)
		}
	}
}
