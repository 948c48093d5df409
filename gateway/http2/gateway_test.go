package http2

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
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
	"github.com/penstock/penstock/gateway/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that should happen at once.
const patience = 10 * time.Second

// gateway is both engines and a dispatcher on a loopback port, without the process around them.
type gateway struct {
	t          testing.TB
	addr       string
	server     *Server
	http1      *http1.Server
	mirrors    *bridge.Mirrors
	dispatcher *dispatch.Dispatcher
	listener   net.Listener
	finished   *finished
	reports    bridgetest.Reports
	setup      setup
}

// setup is what a test may want beside a configuration.
type setup struct {
	services map[string]Service
	ejector  func(config.Eject) dispatch.Ejector
	models   func(*dispatch.Exchange) *dispatch.Reply
	tls      *tls.Config // clients speak TLS
}

// finished collects what the dispatcher says about ended exchanges.
type finished struct {
	quiet   atomic.Bool // collect nothing
	mu      sync.Mutex
	all     []ended
	retried []dispatch.Outcome
	dropped []string // mirrors, and why
	added   chan struct{}
}

// ended is a copy of what matters of an ended exchange.
type ended struct {
	outcome      dispatch.Outcome
	status, grpc int
	code         string
	route, pool  string
	model, id    string
	protocol     string
	attempts     int
	request      int64
	response     int64
	prompt       int64
	cached       int64
	output       int64
	events       int64
	busy         bool
	streamed     bool
	tokens       bool // the times of the first and the last token are known, in order
}

func (f *finished) Finished(x *dispatch.Exchange) {
	if f.quiet.Load() {
		return
	}
	e := ended{
		outcome: x.Outcome, status: x.Status, grpc: x.GRPCStatus, model: string(x.Request.Model), id: string(x.RequestID),
		protocol: x.Protocol, attempts: x.Attempts, request: x.RequestBytes, response: x.ResponseBytes, events: x.Events,
		prompt: x.Usage.PromptTokens, cached: x.Usage.CachedTokens, output: x.Usage.CompletionTokens, busy: x.Busy, streamed: x.Streamed,
		tokens: x.Started <= x.FirstToken && x.FirstToken <= x.LastToken && x.LastToken <= x.Finished,
	}
	if x.Route != nil {
		e.route = x.Route.Name
	}
	if x.Pool != nil {
		e.pool = x.Pool.Name
	}
	if x.Refusal != nil {
		e.code = x.Refusal.Code
	}
	f.mu.Lock()
	f.all = append(f.all, e)
	f.mu.Unlock()
	f.tell()
}

func (f *finished) Retried(_ *dispatch.Pool, o dispatch.Outcome) {
	f.mu.Lock()
	f.retried = append(f.retried, o)
	f.mu.Unlock()
	f.tell()
}

func (f *finished) MirrorDropped(p *dispatch.Pool, why string) {
	f.mu.Lock()
	f.dropped = append(f.dropped, p.Name+": "+why)
	f.mu.Unlock()
	f.tell()
}

func (f *finished) tell() {
	select {
	case f.added <- struct{}{}:
	default:
	}
}

// watch waits until what was collected holds.
func (g *gateway) watch(what string, holds func(f *finished) bool) {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.finished.mu.Lock()
		done := holds(g.finished)
		g.finished.mu.Unlock()
		if done {
			return
		}
		select {
		case <-g.finished.added:
		case <-deadline:
			g.t.Fatalf("it does not come about that %s", what)
		}
	}
}

// await waits until n exchanges have ended and returns them.
func (g *gateway) await(n int) (all []ended) {
	g.t.Helper()
	g.watch("enough exchanges end", func(f *finished) bool {
		all = f.all
		return len(all) >= n
	})
	return all
}

// wantEnded waits for the exchange at index i and checks how it ended.
func (g *gateway) wantEnded(i int, outcome dispatch.Outcome, status int) ended {
	g.t.Helper()
	e := g.await(i + 1)[i]
	if e.outcome != outcome || e.status != status {
		g.t.Errorf("exchange %d ended as %v with status %d, want %v with %d", i, e.outcome, e.status, outcome, status)
	}
	return e
}

// wantOutcome waits for the exchange at index i and checks how it ended.
func (g *gateway) wantOutcome(i int, outcome dispatch.Outcome) ended {
	g.t.Helper()
	e := g.await(i + 1)[i]
	if e.outcome != outcome {
		g.t.Errorf("exchange %d ended as %v, want %v", i, e.outcome, outcome)
	}
	return e
}

// startGateway serves a configuration given as YAML, in which ENDPOINT stands for the address of endpoints in turn.
func startGateway(t testing.TB, yaml string, endpoints ...*endpoint) *gateway {
	t.Helper()
	return setup{}.start(t, yaml, endpoints...)
}

func (s setup) start(t testing.TB, yaml string, endpoints ...*endpoint) *gateway {
	t.Helper()
	c := parse(t, yaml, endpoints...)
	g := &gateway{t: t, finished: &finished{added: make(chan struct{}, 1)}, setup: s}
	o := dispatch.Options{
		NewUpstream: func(e dispatch.EndpointConfig) dispatch.Upstream {
			ways := &bridge.Upstreams{HTTP2: g.server.NewUpstream(e)}
			if e.Scheme != "h2c" {
				ways.HTTP1 = g.http1.NewUpstream(e)
			}
			return ways
		},
		NewEjector: s.ejector,
		Models:     s.models,
		Observer:   g.finished,
		Report:     g.reports.Take,
		Logger:     slog.New(slog.DiscardHandler),
	}
	for name := range s.services {
		o.Services = append(o.Services, name)
	}
	g.dispatcher = dispatch.New(o)
	g.mirrors = bridge.NewMirrors(g.dispatcher)
	var err error
	if g.http1, err = http1.NewServer(g.dispatcher, &http1.Options{Limits: c.Limits, Timeouts: c.Timeouts}, g.mirrors); err != nil {
		t.Fatal(err)
	}
	if g.server, err = NewServer(g.dispatcher, optionsOf(t, c), g.mirrors, s.services); err != nil {
		t.Fatal(err)
	}
	if err := g.dispatcher.Apply(c); err != nil {
		t.Fatal(err)
	}
	if g.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	g.addr = g.listener.Addr().String()
	g.serve()
	return g
}

func parse(t testing.TB, yaml string, endpoints ...*endpoint) *config.Config {
	t.Helper()
	for _, e := range endpoints {
		yaml = strings.Replace(yaml, "ENDPOINT", e.addr, 1)
	}
	c, err := config.Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func optionsOf(t testing.TB, c *config.Config) *Options {
	t.Helper()
	var trusted []netip.Prefix
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		trusted = append(trusted, p)
	}
	return &Options{Limits: c.Limits, Timeouts: c.Timeouts, DebugHeaders: c.DebugHeaders, TrustedProxies: trusted}
}

// serve accepts clients until the test ends.
func (g *gateway) serve() {
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := g.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				if g.setup.tls != nil {
					t := tls.Server(conn, g.setup.tls)
					if t.Handshake() != nil {
						conn.Close()
						return
					}
					conn = t
				}
				g.server.ServeConn(conn)
			})
		}
	})
	g.t.Cleanup(func() {
		g.listener.Close()
		g.server.Close()
		g.http1.Close()
		g.mirrors.Close()
		g.dispatcher.Close()
		serving.Wait()
	})
}

// simple is a configuration with one pool of one endpoint.
const simple = "pools: {only: {endpoints: [\"h2c://ENDPOINT\"]}}\n"

// start serves the configuration with one endpoint, and connects a client.
func start(t testing.TB, yaml string) (*endpoint, *gateway, *party) {
	t.Helper()
	e := startEndpoint(t)
	g := startGateway(t, yaml, e)
	return e, g, g.dial()
}

// clientConns are the connections of clients, as the engine knows them.
func (g *gateway) clientConns() []*clientConn { return g.server.connections() }

// upstreamConns are the connections to all endpoints, as the engine knows them.
func (g *gateway) upstreamConns() (all []*upstreamConn) {
	for _, up := range g.server.allUpstreams() {
		up.mu.Lock()
		all = append(all, up.conns...)
		up.mu.Unlock()
	}
	return all
}

// look has the sweeper look at everything as if it were so much later.
func (g *gateway) look(later time.Duration) { g.server.look(dispatch.Now() + int64(later)) }
