package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/config"
)

func TestMain(m *testing.M) {
	// After a refusal net/http's server holds a connection that it has closed for half a second, so that the client reads the answer: longer than
	// goleak looks. Nobody can wait for that, and it ends by itself.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience bounds how long a test waits for something that should happen at once.
const patience = 20 * time.Second

// running is a gateway that serves on ports of the loopback.
type running struct {
	*Gateway
	t       testing.TB
	logs    *logRecorder
	signals chan os.Signal
	access  *lineBuffer
	path    string // of the configuration file
	ended   chan error
	once    sync.Once
	err     error
	timers  chan manualTimer
}

// manualTimer is a wait of the graceful stop that ends when the test says so.
type manualTimer struct {
	most time.Duration
	fire chan time.Time
}

// start runs a gateway with a configuration file, to which ports of the loopback are added. It is stopped at the end of the test.
func start(t testing.TB, yaml string) *running {
	t.Helper()
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	writeFile(t, path, []byte(onLoopback(yaml)))
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, c, path)
}

func onLoopback(yaml string) string {
	return "listen: \"127.0.0.1:0\"\nadmin: \"127.0.0.1:0\"\n" + yaml
}

func startWith(t testing.TB, c *config.Config, path string) *running {
	t.Helper()
	r := newRunning(t, c, path)
	r.run()
	return r
}

// run opens the ports and serves.
func (r *running) run() {
	r.t.Helper()
	if err := r.Listen(); err != nil {
		r.t.Fatal(err)
	}
	go func() { r.ended <- r.Run(context.Background()) }()
	r.logs.await(r.t, "serving", 1)
}

func newRunning(t testing.TB, c *config.Config, path string) *running {
	t.Helper()
	r := &running{t: t, logs: newLogRecorder(), signals: make(chan os.Signal), access: newLineBuffer(), path: path,
		ended: make(chan error, 1), timers: make(chan manualTimer, 8)}
	g, err := New(c, Options{
		Logger: slog.New(r.logs), Stdout: r.access, ConfigPath: path, Signals: r.signals,
		ConfigInterval: 2 * time.Millisecond, CertificateInterval: 2 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	g.after = func(most time.Duration) <-chan time.Time {
		timer := manualTimer{most, make(chan time.Time, 1)}
		r.timers <- timer
		return timer.fire
	}
	r.Gateway = g
	t.Cleanup(func() { r.stop() })
	return r
}

// timer returns the wait that the graceful stop is in.
func (r *running) timer() manualTimer {
	r.t.Helper()
	select {
	case timer := <-r.timers:
		return timer
	case <-time.After(patience):
		r.t.Fatal("the gateway does not wait for anything")
	}
	panic("not reached")
}

func (m manualTimer) end() { m.fire <- time.Time{} }

// stop ends the gateway, by two signals if it has not ended yet, and returns what Run did.
func (r *running) stop() error {
	r.t.Helper()
	r.once.Do(func() {
		deadline := time.After(patience)
		for {
			select {
			case r.err = <-r.ended:
				return
			case r.signals <- os.Interrupt:
			case <-deadline:
				r.t.Error("the gateway did not end")
				return
			}
		}
	})
	return r.err
}

// wait returns what Run returned, without telling it to end.
func (r *running) wait() error {
	r.t.Helper()
	r.once.Do(func() {
		select {
		case r.err = <-r.ended:
		case <-time.After(patience):
			r.t.Fatal("the gateway did not end")
		}
	})
	return r.err
}

// configure replaces the configuration file.
func (r *running) configure(yaml string) {
	r.t.Helper()
	writeFile(r.t, r.path, []byte(onLoopback(yaml)))
}

func (r *running) url(path string) string { return "http://" + r.Addr().String() + path }

// admin returns the status and the body of a page of the admin port.
func (r *running) admin(path string) (int, string) {
	r.t.Helper()
	return fetch(r.t, http.DefaultClient, "http://"+r.AdminAddr().String()+path)
}

// fetch gets a page over a connection of its own.
func fetch(t testing.TB, client *http.Client, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// metric returns the value of a series, written as in the exposition format; empty if it is not there.
func (r *running) metric(series string) string {
	r.t.Helper()
	_, page := r.admin("/metrics")
	for line := range strings.Lines(page) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// backend runs a model server for the test and returns its host:port.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// answering is a model server that answers everything with text.
func answering(t testing.TB, text string) string {
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, text)
	})
}

// pool is a configuration with one pool.
func pool(addresses ...string) string {
	var b strings.Builder
	b.WriteString("pools:\n  main:\n    endpoints: [")
	for i, a := range addresses {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "\"http://%s\"", a)
	}
	b.WriteString("]\n")
	return b.String()
}

// lineBuffer takes access-log lines and lets a test wait for them.
type lineBuffer struct {
	mu      sync.Mutex
	lines   []string
	partial bytes.Buffer
	added   chan struct{}
}

func newLineBuffer() *lineBuffer { return &lineBuffer{added: make(chan struct{}, 1)} }

func (b *lineBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	b.partial.Write(p)
	for {
		line, err := b.partial.ReadString('\n')
		if err != nil {
			b.partial.WriteString(line)
			break
		}
		b.lines = append(b.lines, line)
	}
	b.mu.Unlock()
	signal(b.added)
	return len(p), nil
}

// await returns the first n lines.
func (b *lineBuffer) await(t testing.TB, n int) []string {
	t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		lines := b.lines
		b.mu.Unlock()
		if len(lines) >= n {
			return lines[:n]
		}
		select {
		case <-b.added:
		case <-deadline:
			t.Fatalf("%d access-log lines were written, want %d", len(lines), n)
		}
	}
}

// isRefused says whether a connection to the address is refused.
func isRefused(t testing.TB, address string) bool {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
		return false
	}
	var op *net.OpError
	return errors.As(err, &op)
}
