package twin_test

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startTime bounds how long a process takes until it serves, and endTime how long it takes to end when it is told to.
	startTime = 20 * time.Second
	endTime   = 5 * time.Second
)

// buildPenstock builds the program and returns where it is.
func buildPenstock(ctx context.Context, t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "../../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("cannot build penstock: %v\n%s", err, out)
	}
	return program
}

// process is a program that runs until stop.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	cancel context.CancelFunc
	read   sync.WaitGroup
	lines  chan string // of both outputs; some may be missing once it holds many
	once   sync.Once
}

// start runs a program. It ends with the test or with ctx at the latest.
func start(ctx context.Context, t *testing.T, program string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	p := &process{t: t, cmd: exec.CommandContext(ctx, program, args...), cancel: cancel, lines: make(chan string, 4096)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("cannot start penstock %s: %v", args[0], err)
	}
	t.Cleanup(p.stop)
	for _, r := range []io.Reader{out, errs} {
		p.read.Go(func() {
			for s := bufio.NewScanner(r); s.Scan(); {
				select {
				case p.lines <- s.Text():
				default:
				}
			}
			io.Copy(io.Discard, r) // after a line that is too long
		})
	}
	return p
}

// await waits until the process has said so many lines that match, and returns their first groups.
func (p *process) await(pattern string, lines int) (found []string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(startTime)
	var said []string
	for len(found) < lines {
		select {
		case line := <-p.lines:
			said = append(said, line)
			if m := re.FindStringSubmatch(line); m != nil {
				found = append(found, m[1])
			}
		case <-late:
			p.t.Fatalf("%v has not said %s %d times within %v, but:\n%s", p.cmd.Args, pattern, lines, startTime, strings.Join(said, "\n"))
		}
	}
	return found
}

// stop ends the process, by force if it does not end by itself.
func (p *process) stop() {
	p.once.Do(func() {
		defer p.cancel()
		p.cmd.Process.Signal(syscall.SIGTERM)
		force := time.AfterFunc(endTime, p.cancel)
		defer force.Stop()
		p.read.Wait()
		p.cmd.Wait()
	})
}
