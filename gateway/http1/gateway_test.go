package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that should happen at once.
const patience = 10 * time.Second

// gateway is an engine and a lifecycle on a loopback port, without the process around them.
type gateway struct {
	t          testing.TB
	addr       string
	mirrors    *bridge.Mirrors
	server     *Server
	dispatcher *dispatch.Dispatcher
	listener   net.Listener
	finished   *finished
	reports    bridgetest.Reports
}

// finished collects what the lifecycle says about ended exchanges.
type finished struct {
	quiet atomic.Bool // collect nothing
	mu    sync.Mutex
	all   []ended
	added chan struct{}
}

// ended is a copy of what matters of an ended exchange.
type ended struct {
	outcome  dispatch.Outcome
	status   int
	code     string
	route    string
	model    string
	id       string
	attempts int
	request  int64
	response int64
	prompt   int64
	cached   int64
	output   int64
	streamed bool
	events   int64
}

func (f *finished) Finished(x *dispatch.Exchange) {
	if f.quiet.Load() {
		return
	}
	e := ended{
		outcome: x.Outcome, status: x.Status, model: string(x.Request.Model), id: string(x.RequestID), attempts: x.Attempts,
		request: x.RequestBytes, response: x.ResponseBytes, prompt: x.Usage.PromptTokens, output: x.Usage.CompletionTokens, events: x.Events,
		cached: x.Usage.CachedTokens, streamed: x.Streamed,
	}
	if x.Route != nil {
		e.route = x.Route.Name
	}
	if x.Refusal != nil {
		e.code = x.Refusal.Code
	}
	f.mu.Lock()
	f.all = append(f.all, e)
	f.mu.Unlock()
	select {
	case f.added <- struct{}{}:
	default:
	}
}

func (f *finished) Retried(*dispatch.Pool, dispatch.Outcome) {}
func (f *finished) MirrorDropped(*dispatch.Pool, string)     {}

// await waits until n exchanges have ended and returns them.
func (g *gateway) await(n int) []ended {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.finished.mu.Lock()
		all := g.finished.all
		g.finished.mu.Unlock()
		if len(all) >= n {
			return all
		}
		select {
		case <-g.finished.added:
		case <-deadline:
			g.t.Fatalf("%d exchanges have ended, want %d", len(all), n)
		}
	}
}

// startGateway serves a configuration given as YAML, in which BACKEND stands for the address of backends in turn.
func startGateway(t testing.TB, yaml string, backends ...*backend) *gateway {
	t.Helper()
	for _, b := range backends {
		yaml = strings.Replace(yaml, "BACKEND", b.addr, 1)
	}
	c, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, finished: &finished{added: make(chan struct{}, 1)}}
	g.dispatcher = dispatch.New(dispatch.Options{
		NewUpstream: func(e dispatch.EndpointConfig) dispatch.Upstream {
			switch {
			case carrier != nil:
				return &bridge.Upstreams{HTTP2: carrier}
			case overBridge:
				return &bridge.Upstreams{HTTP2: g.server.NewUpstream(e)}
			}
			return &bridge.Upstreams{HTTP1: g.server.NewUpstream(e)}
		},
		Observer: g.finished,
		Report:   g.reports.Take,
		Logger:   slog.New(slog.DiscardHandler),
	})
	g.mirrors = bridge.NewMirrors(g.dispatcher)
	g.mirrors.SetSilence(max(c.Timeouts.ResponseHeader.Std(), c.Timeouts.StreamIdle.Std()))
	if g.server, err = NewServer(g.dispatcher, optionsOf(c), g.mirrors); err != nil {
		t.Fatal(err)
	}
	if err := g.dispatcher.Apply(c); err != nil {
		t.Fatal(err)
	}
	if g.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	g.addr = g.listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := g.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { g.server.ServeConn(conn, nil, false) })
		}
	})
	t.Cleanup(func() {
		g.listener.Close()
		g.mirrors.Close()
		g.server.Close()
		g.dispatcher.Close()
		serving.Wait()
	})
	return g
}

func optionsOf(c *config.Config) *Options {
	return &Options{
		Limits: c.Limits, Timeouts: c.Timeouts, DebugHeaders: c.DebugHeaders,
		AllowHalfClose: c.ClientHalfClose == "allow",
	}
}

// What stands in for an engine of another protocol while a test runs.
var (
	overBridge bool            // endpoints are reached through package bridge, though they speak HTTP/1.1 again
	carrier    bridge.Endpoint // carries every request
)

// simple is a configuration with one pool of one backend.
const simple = `
pools:
  only:
    endpoints: ["http://BACKEND"]
`

// peer is a raw connection, of a client or of a backend, that fails the test instead of returning errors.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	conn.SetDeadline(time.Now().Add(patience))
	return &peer{t, conn, bufio.NewReader(conn)}
}

// dial connects a client to the gateway.
func (g *gateway) dial() *peer {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	return newPeer(g.t, conn)
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Errorf("cannot send %.60q: %v", s, err)
	}
}

// expect reads exactly want.
func (p *peer) expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.r, got)
	if err != nil || string(got) != want {
		p.t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

// head reads a head, through its empty line.
func (p *peer) head() string {
	p.t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n\r\n") {
		line, err := p.r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			p.t.Fatalf("no complete head: %q, %v", b.String(), err)
		}
	}
	return b.String()
}

// response reads a whole response to a request with the given method.
func (p *peer) response(method string) (*http.Response, string) {
	p.t.Helper()
	res, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatalf("response %d breaks off after %q: %v", res.StatusCode, body, err)
	}
	return res, string(body)
}

// request reads a whole request.
func (p *peer) request() (*http.Request, string) {
	p.t.Helper()
	req, err := http.ReadRequest(p.r)
	if err != nil {
		p.t.Fatalf("no request: %v", err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		p.t.Fatalf("request breaks off after %q: %v", body, err)
	}
	return req, string(body)
}

// closed waits for the end of the connection and returns how it came: io.EOF for a clean one, else the error. Bytes before it are
// an error of the test.
func (p *peer) closed() error {
	p.t.Helper()
	rest, err := io.ReadAll(p.r)
	if len(rest) > 0 {
		p.t.Errorf("got %q before the end, want nothing", rest)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatal("the connection stays open")
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

// backend is a model server that a test plays by hand: every connection is handed to the test.
type backend struct {
	t        testing.TB
	addr     string
	listener net.Listener
	conns    chan *peer
}

func startBackend(t testing.TB) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{t: t, addr: l.Addr().String(), listener: l, conns: make(chan *peer, 64)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.conns <- newPeer(t, conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(b.conns)
		for p := range b.conns {
			p.conn.Close()
		}
	})
	return b
}

// accept waits for the gateway to connect.
func (b *backend) accept() *peer {
	b.t.Helper()
	select {
	case p := <-b.conns:
		b.t.Cleanup(func() { p.conn.Close() })
		return p
	case <-time.After(patience):
		b.t.Fatal("the gateway does not connect to the backend")
		return nil
	}
}

// serve answers every request on every connection with f, until the test ends.
func (b *backend) serve(f func(p *peer, req *http.Request, body string)) {
	var serving sync.WaitGroup
	go func() {
		for p := range b.conns {
			serving.Go(func() {
				defer p.conn.Close()
				for {
					req, err := http.ReadRequest(p.r)
					if err != nil {
						return
					}
					body, err := io.ReadAll(req.Body)
					if err != nil {
						return
					}
					p.conn.SetDeadline(time.Now().Add(patience))
					f(p, req, string(body))
				}
			})
		}
	}()
	b.t.Cleanup(serving.Wait)
}

// plain is a response with a body of known length.
func plain(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
}

// post is a request with a body of known length.
func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// headerLines returns the lines of a head that start with name, in any case.
func headerLines(head, name string) (lines []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		if len(line) > len(name) && strings.EqualFold(line[:len(name)+1], name+":") {
			lines = append(lines, line)
		}
	}
	return lines
}
