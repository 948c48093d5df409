package browser

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds how long a test waits for what should come soon.
const patience = 30 * time.Second

// process is a penstock that runs, and what it has said.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{}

	mu      sync.Mutex
	said    bytes.Buffer
	changed chan struct{}
}

// start runs bin/penstock, or what PENSTOCK names, until the test's end.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	path := os.Getenv("PENSTOCK")
	if path == "" {
		path = "../../bin/penstock"
	}
	p := &process{t: t, cmd: exec.Command(path, args...), ended: make(chan struct{}), changed: make(chan struct{}, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v; make build makes it", path, err)
	}
	go func() { p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(p.stop)
	return p
}

// stop ends the process at once.
func (p *process) stop() {
	for range 2 {
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// Write takes what the process says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.said.Write(b)
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return len(b), nil
}

// await returns the groups of the first n matches of an expression in what the process says.
func (p *process) await(expression string, n int) [][]string {
	p.t.Helper()
	compiled, deadline := regexp.MustCompile(expression), time.After(patience)
	for {
		p.mu.Lock()
		text := p.said.String()
		p.mu.Unlock()
		if found := compiled.FindAllStringSubmatch(text, n); len(found) == n {
			return found
		}
		select {
		case <-p.changed:
		case <-p.ended:
			p.t.Fatalf("penstock has ended; it said:\n%s", text)
		case <-deadline:
			p.t.Fatalf("penstock does not say %s %d times; it said:\n%s", expression, n, text)
		}
	}
}

// gateway is a gateway with a configuration, and where its ports are.
type gateway struct {
	*process
	traffic, admin string
}

func startGateway(t testing.TB, listen, yaml string) *gateway {
	t.Helper()
	file := t.TempDir() + "/penstock.yaml"
	write(t, file, fmt.Sprintf("listen: \"127.0.0.1:0\"\nadmin: %q\nshutdown: {lameDuck: 0s, drain: 0s}\naccessLog: {enabled: false}\n%s", listen, yaml))
	p := start(t, "serve", "--config", file)
	at := p.await(`"msg":"serving","listen":"([^"]+)","admin":"([^"]+)"`, 1)[0]
	return &gateway{p, at[1], at[2]}
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}
