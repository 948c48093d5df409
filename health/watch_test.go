package health

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// server is a gRPC server with the health service of gRPC itself, on connections within the process.
type server struct {
	grpc_health_v1.UnimplementedHealthServer
	*grpchealth.Server
	grpc *grpc.Server

	noWatch, noCheck atomic.Bool
	hang             atomic.Bool  // it answers nothing
	sever            chan error   // what is sent here ends a Watch
	checks, watches  atomic.Int64 // calls that came
	agent            atomic.Value // who called last

	mu      sync.Mutex
	closed  bool
	queue   chan net.Conn
	clients []net.Conn
}

func newServer(options ...grpc.ServerOption) *server {
	s := &server{Server: grpchealth.NewServer(), queue: make(chan net.Conn, 1024), sever: make(chan error)}
	s.start(options...)
	return s
}

func (s *server) start(options ...grpc.ServerOption) {
	s.grpc = grpc.NewServer(options...)
	s.grpc.RegisterService(&grpc_health_v1.Health_ServiceDesc, s)
	go s.grpc.Serve(s)
}

func (s *server) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	s.checks.Add(1)
	s.note(ctx)
	if s.hang.Load() {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if s.noCheck.Load() {
		return nil, status.Error(codes.Unimplemented, "unknown method Check")
	}
	return s.Server.Check(ctx, r)
}

func (s *server) Watch(r *grpc_health_v1.HealthCheckRequest, stream grpc_health_v1.Health_WatchServer) error {
	s.watches.Add(1)
	s.note(stream.Context())
	if s.hang.Load() {
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	}
	if s.noWatch.Load() {
		return status.Error(codes.Unimplemented, "unknown method Watch")
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Server.Watch(r, stream) }()
	select {
	case err := <-ended:
		return err
	case err := <-s.sever:
		return err
	}
}

func (s *server) note(ctx context.Context) {
	if m, ok := metadata.FromIncomingContext(ctx); ok {
		s.agent.Store(strings.Join(m.Get("user-agent"), " "))
	}
}

// List settles which of the embedded ones is meant.
func (s *server) List(ctx context.Context, r *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	return s.Server.List(ctx, r)
}

// Accept, Close and Addr make s the listener that it serves.
func (s *server) Accept() (net.Conn, error) {
	c, ok := <-s.queue
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (s *server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.queue)
	}
	return nil
}

func (s *server) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial connects to s while it listens.
func (s *server) dial(ctx context.Context, _, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errRefused
	}
	ours, theirs := net.Pipe()
	s.queue <- theirs
	s.clients = append(s.clients, ours)
	return ours, nil
}

// dialled returns how many connections s has got.
func (s *server) dialled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// restart makes s listen again after it was stopped.
func (s *server) restart() {
	s.mu.Lock()
	s.closed, s.queue = false, make(chan net.Conn, 1024)
	s.mu.Unlock()
	s.start()
}

// grpcBubble runs a test with a prober of one endpoint, a:1, which is s, in a bubble.
func grpcBubble(t *testing.T, c ProbeConfig, test func(t *testing.T, p *Prober, s *server, r *reports)) {
	synctest.Test(t, func(t *testing.T) {
		r, s := &reports{}, newServer()
		p := NewGRPCProber(c, nil, r.report)
		p.health.dial = s.dial
		test(t, p, s, r)
		p.Close()
		s.grpc.Stop()
	})
}

var grpcEverySecond = ProbeConfig{Interval: time.Second, Timeout: 500 * time.Millisecond, HealthyAfter: 2, UnhealthyAfter: 2}

var targetA = []Target{{Name: "a:1", URL: "http://a:1"}}

const isNotServing = "a:1: http://a:1 says that it is NOT_SERVING, want SERVING"

// What a Watch call says is known at once, without a probe and without thresholds.
func TestWatchIsTheEndpointsWord(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		p.SetTargets(targetA)
		after(0)
		r.want(t, "a:1 healthy")
		for range 3 {
			s.SetServingStatus("", notServing)
			after(0)
			r.want(t, isNotServing)
			s.SetServingStatus("", serving)
			after(0)
			r.want(t, "a:1 healthy")
		}
		after(10 * time.Second)
		r.want(t)
		if n := s.watches.Load(); n != 1 || s.dialled() != 1 {
			t.Errorf("%d Watch calls on %d connections, want one", n, s.dialled())
		}
		if n := s.checks.Load(); n < 8 || n > 11 {
			t.Errorf("a silent endpoint was asked for %d signs of life in 10 s", n)
		}
		if agent := s.agent.Load().(string); !strings.HasPrefix(agent, "penstock-probe ") {
			t.Errorf("the probe is by %q", agent)
		}
		if len(p.slots) != 0 {
			t.Error("an idle Watch holds a slot")
		}
	})
}

func TestWatchOfAService(t *testing.T) {
	c := grpcEverySecond
	c.Service = "inference.Service"
	grpcBubble(t, c, func(t *testing.T, p *Prober, s *server, r *reports) {
		p.SetTargets(targetA)
		after(0)
		r.want(t, `a:1: http://a:1 says that service "inference.Service" is SERVICE_UNKNOWN, want SERVING`)
		after(3 * time.Second) // Check says NOT_FOUND, which is a sign of life
		s.SetServingStatus("inference.Service", serving)
		after(0)
		r.want(t, "a:1 healthy")
		s.SetServingStatus("", notServing) // another service's business
		after(0)
		r.want(t)
		if s.dialled() != 1 {
			t.Errorf("%d connections, want one", s.dialled())
		}
	})
}

// An endpoint without Watch is asked with Check in every interval, and results count by the thresholds.
func TestCheckWhereWatchIsNotOffered(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		s.noWatch.Store(true)
		p.SetTargets(targetA)
		after(0)
		r.want(t, "a:1 healthy")
		checks := func(n int64) { // lets so many more come
			for want := s.checks.Load() + n; s.checks.Load() < want; {
				after(10 * time.Millisecond)
			}
		}
		checks(3)
		if n := s.watches.Load(); n != 1 {
			t.Errorf("Watch was called %d times, want once", n)
		}
		if s.dialled() != int(s.checks.Load()) {
			t.Errorf("%d connections for %d Checks, want a fresh one each", s.dialled(), s.checks.Load())
		}
		s.SetServingStatus("", notServing)
		checks(1)
		r.want(t)
		checks(1)
		r.want(t, isNotServing)
		s.SetServingStatus("", serving)
		checks(1)
		r.want(t)
		checks(1)
		r.want(t, "a:1 healthy")
		// An endpoint that failed may have come back as another version: Watch is tried again.
		s.grpc.Stop()
		after(3 * time.Second)
		r.want(t, `a:1: cannot watch http://a:1: Unavailable: connection error: desc = "transport: Error while dialing: connection refused"`)
		s.noWatch.Store(false)
		s.restart()
		after(5 * time.Second)
		r.want(t, "a:1 healthy")
		if n := s.watches.Load(); n != 2 {
			t.Errorf("Watch was called %d times, want once more", n)
		}
	})
}

func TestNoHealthService(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		s.noWatch.Store(true)
		s.noCheck.Store(true)
		p.SetTargets(targetA)
		after(5 * time.Second)
		r.want(t, "a:1: cannot check http://a:1: Unimplemented: unknown method Check")
	})
}

// That the server knows no Check is a sign of life.
func TestWatchWithoutCheck(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		s.noCheck.Store(true)
		p.SetTargets(targetA)
		after(5 * time.Second)
		r.want(t, "a:1 healthy")
	})
}

// A hung endpoint is found as soon as with probes over HTTP, though its Watch is open.
func TestHungEndpoint(t *testing.T) {
	c := grpcEverySecond
	c.UnhealthyAfter = 1
	grpcBubble(t, c, func(t *testing.T, p *Prober, s *server, r *reports) {
		p.SetTargets(targetA)
		after(10 * time.Second)
		r.want(t, "a:1 healthy")
		s.hang.Store(true)
		after(c.Interval*11/10 + c.Timeout)
		r.want(t, "a:1: http://a:1 is silent: cannot check it within 500ms: context deadline exceeded")
		after(10 * time.Second) // still
		wantStatus(t, p, "a:1", false, "cannot watch http://a:1 within 500ms: context deadline exceeded")
		s.hang.Store(false)
		after(3 * time.Second)
		r.want(t, "a:1 healthy")
	})
}

func TestHungFromTheStart(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		s.hang.Store(true)
		p.SetTargets(targetA)
		after(500*time.Millisecond - 1)
		r.want(t)
		after(1)
		r.want(t, "a:1: cannot watch http://a:1 within 500ms: context deadline exceeded")
		if len(p.slots) != 0 {
			t.Error("a probe that has ended holds a slot")
		}
	})
}

// An endpoint that accepts and says nothing, not even HTTP/2.
func TestSilentConnection(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		p.health.dial = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		p.SetTargets(targetA)
		after(500 * time.Millisecond)
		r.want(t, "a:1: cannot watch http://a:1 within 500ms: context deadline exceeded")
		p.Close()
	})
}

// A server that goes is unhealthy after as many failed probes as any; when it is back, so is its Watch.
func TestServerRestarts(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		p.SetTargets(targetA)
		after(10 * time.Second)
		r.want(t, "a:1 healthy")
		s.grpc.Stop()
		after(0)
		r.want(t)
		wantStatus(t, p, "a:1", true, // the next probe came at once
			`cannot watch http://a:1: Unavailable: connection error: desc = "transport: Error while dialing: connection refused"`)
		after(1100 * time.Millisecond)
		r.want(t, `a:1: cannot watch http://a:1: Unavailable: connection error: desc = "transport: Error while dialing: connection refused"`)
		s.restart()
		after(1100 * time.Millisecond)
		r.want(t)
		after(1100 * time.Millisecond) // a sign of life is the second success
		r.want(t, "a:1 healthy")
		s.SetServingStatus("", notServing)
		after(0)
		r.want(t, isNotServing)
	})
}

// A server that stops gracefully waits for our Watch, which must leave it, and is not missed.
func TestGoAwayMovesTheWatch(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		p.SetTargets(targetA)
		after(10 * time.Second)
		r.want(t, "a:1 healthy")
		old := s.grpc
		stopped := make(chan struct{})
		go func() { old.GracefulStop(); close(stopped) }()
		synctest.Wait()
		s.restart() // a new process takes the port
		after(1100 * time.Millisecond)
		select {
		case <-stopped:
		default:
			t.Error("the Watch holds up the server's stop")
		}
		after(5 * time.Second)
		r.want(t)
		wantStatus(t, p, "a:1", true, "")
		if n := s.watches.Load(); n != 2 {
			t.Errorf("Watch was called %d times, want once more", n)
		}
	})
}

// Servers and proxies end old connections and calls; that is no failure as long as a new one is taken.
func TestOldWatchesAreRenewed(t *testing.T) {
	for name, options := range map[string][]grpc.ServerOption{
		"connections end": {grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 5 * time.Second, MaxConnectionAgeGrace: time.Second})},
		"calls end":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := grpcEverySecond
			c.UnhealthyAfter = 1
			synctest.Test(t, func(t *testing.T) {
				r, s := &reports{}, newServer(options...)
				p := NewGRPCProber(c, nil, r.report)
				p.health.dial = s.dial
				p.SetTargets(targetA)
				after(5 * time.Second)
				if options == nil {
					s.sever <- nil // ends the call with OK
				}
				after(15 * time.Second)
				r.want(t, "a:1 healthy")
				if n := s.watches.Load(); n < 2 {
					t.Errorf("%d Watch calls, want several", n)
				}
				p.Close()
				s.grpc.Stop()
			})
		})
	}
}

// A Watch that does not last an interval is a failed probe, and not begun anew before the next.
func TestWatchesThatBreakAtOnce(t *testing.T) {
	c := grpcEverySecond
	c.UnhealthyAfter = 1
	for _, test := range []struct {
		end  error
		want string
	}{
		{nil, "a:1: cannot go on watching http://a:1: the endpoint ended the call"},
		{status.Error(codes.Internal, strings.Repeat("x", 1000)), "a:1: cannot go on watching http://a:1: Internal: " + strings.Repeat("x", 256)},
	} {
		grpcBubble(t, c, func(t *testing.T, p *Prober, s *server, r *reports) {
			p.SetTargets(targetA)
			after(0)
			s.sever <- test.end
			after(0)
			r.want(t, "a:1 healthy", test.want)
			after(900*time.Millisecond - 1)
			if n := s.watches.Load(); n != 1 {
				t.Errorf("%d Watch calls before the interval was over", n)
			}
		})
	}
}

// More endpoints than may be probed at once are all watched.
func TestWatchesHoldNoSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newServer(), &reports{}
		p := NewGRPCProber(ProbeConfig{Interval: 10 * time.Second, Timeout: time.Second}, nil, r.report)
		p.health.dial = s.dial
		var targets []Target
		for i := range 2 * maxConcurrent {
			name := string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ":1"
			targets = append(targets, Target{Name: name, URL: "h2c://" + name})
		}
		p.SetTargets(targets)
		after(2 * time.Second)
		for _, target := range targets {
			if s, _ := p.Status(target.Name); !s.Healthy {
				t.Fatalf("%s was not probed: %v", target.Name, s.Err)
			}
		}
		p.Close()
		s.grpc.Stop()
	})
}

func TestRemovalEndsTheWatch(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		p.SetTargets(targetA)
		after(3 * time.Second)
		p.SetTargets(nil)
		after(0)
		s.SetServingStatus("", notServing)
		after(10 * time.Second)
		r.want(t, "a:1 healthy")
		if len(p.slots) != 0 || s.dialled() != 1 {
			t.Errorf("%d slots are held, %d connections were made", len(p.slots), s.dialled())
		}
		stopped := make(chan struct{})
		go func() { s.grpc.GracefulStop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
		default:
			t.Error("a connection is still open")
		}
	})
}

// A cut of the network beneath an open Watch, of which the endpoint tells nothing.
func TestConnectionIsCut(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, r *reports) {
		p.SetTargets(targetA)
		after(10 * time.Second)
		s.mu.Lock()
		s.clients[0].Close()
		s.mu.Unlock()
		after(0)
		if s.dialled() != 2 {
			t.Errorf("%d connections were made, want a new one at once", s.dialled())
		}
		after(3 * time.Second)
		r.want(t, "a:1 healthy")
	})
}

func TestGRPCBadURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reports{}
		p := NewGRPCProber(grpcEverySecond, nil, r.report)
		defer p.Close()
		p.SetTargets([]Target{{Name: "x", URL: "ftp://a:1"}})
		after(0)
		r.want(t, `x: cannot probe x: its URL "ftp://a:1" must begin with http://, https:// or h2c://`)
	})
}

// Over the network: TLS with the settings of the time, IPv4 without, and a server that speaks no HTTP/2.
func TestGRPCOverTheNetwork(t *testing.T) {
	certificate, roots := selfSigned(t)
	s := &server{Server: grpchealth.NewServer(), sever: make(chan error)}
	s.grpc = grpc.NewServer(grpc.Creds(tlsCredentials(certificate)))
	s.grpc.RegisterService(&grpc_health_v1.Health_ServiceDesc, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { s.grpc.Serve(l); close(served) }()
	defer func() { s.grpc.Stop(); <-served }()

	var settings atomic.Pointer[tls.Config]
	settings.Store(&tls.Config{})
	type told struct {
		healthy bool
		err     error
	}
	reports := make(chan told, 10)
	c := ProbeConfig{Interval: 20 * time.Millisecond, Timeout: 10 * time.Second}
	p := NewGRPCProber(c, func(target string) *tls.Config {
		if target != "a" {
			t.Errorf("asked for the settings of %q", target)
		}
		return settings.Load()
	}, func(_ string, healthy bool, err error) { reports <- told{healthy, err} })
	defer p.Close()
	p.SetTargets([]Target{{Name: "a", URL: "https://" + l.Addr().String()}})
	if got := <-reports; got.healthy || !strings.Contains(got.err.Error(), "certificate") {
		t.Errorf("with an unknown authority: %+v", got)
	}
	settings.Store(&tls.Config{RootCAs: roots, ServerName: "a.test"})
	if got := <-reports; !got.healthy {
		t.Errorf("with its authority: %+v", got)
	}
	s.SetServingStatus("", notServing)
	if got := <-reports; got.healthy {
		t.Errorf("while not serving: %+v", got)
	}
	s.SetServingStatus("", serving)
	if got := <-reports; !got.healthy {
		t.Errorf("while serving: %+v", got)
	}
	settings.Store(&tls.Config{RootCAs: roots, ServerName: "b.test"}) // an open Watch does not outlive it
	if got := <-reports; got.healthy || !strings.Contains(got.err.Error(), "b.test") {
		t.Errorf("with another name: %+v", got)
	}
	plain := probeGRPC(t, "http://"+l.Addr().String())
	wantError(t, plain, "cannot watch http://127.0.0.1:", "Unavailable")
}

func probeGRPC(t *testing.T, url string) error {
	t.Helper()
	p := NewGRPCProber(ProbeConfig{Interval: time.Second, Timeout: 10 * time.Second}, nil, nil)
	defer p.Close()
	w, err := p.ask(t.Context(), &probe{target: Target{Name: "x", URL: url}})
	if w != nil {
		w.close()
	}
	return err
}

func TestGRPCNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	wantError(t, probeGRPC(t, "h2c://"+l.Addr().String()), "cannot watch h2c://127.0.0.1:", "connection refused")
}

// A probe leaves no connection behind, whatever it meets.
func TestEveryConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newServer(), &reports{}
		var open counted
		p := NewGRPCProber(grpcEverySecond, nil, r.report)
		p.health.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := s.dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return open.add(c), nil
		}
		p.SetTargets(targetA)
		steps := []func(){
			func() { s.noWatch.Store(true); s.sever <- errors.New("ended") },
			func() { s.noCheck.Store(true) },
			func() { s.noWatch.Store(false); s.noCheck.Store(false) },
			func() { s.hang.Store(true) },
			func() { s.hang.Store(false) },
		}
		for i, step := range steps {
			after(5 * time.Second)
			if n := open.count(); n > 1 {
				t.Errorf("%d connections are open at step %d", n, i)
			}
			step()
		}
		after(5 * time.Second)
		p.Close()
		synctest.Wait()
		if n := open.count(); n != 0 {
			t.Errorf("%d connections are open after Close", n)
		}
		s.grpc.Stop()
	})
}

// counted counts connections that are open.
type counted struct {
	mu  sync.Mutex
	all []*countedConn
}

type countedConn struct {
	net.Conn
	of *counted
}

func (c *counted) add(conn net.Conn) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &countedConn{conn, c}
	c.all = append(c.all, k)
	return k
}

func (c *counted) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

func (k *countedConn) Close() error {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	k.of.all = slices.DeleteFunc(k.of.all, func(other *countedConn) bool { return other == k })
	return k.Conn.Close()
}

// A connection that has ended is not silently replaced beneath a Watch: calls fail, and it says that it is spent.
func TestConnectionDialsOnce(t *testing.T) {
	grpcBubble(t, grpcEverySecond, func(t *testing.T, p *Prober, s *server, _ *reports) {
		c, err := p.health.open(targetA[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.client.Check(t.Context(), p.request()); err != nil || c.spent() {
			t.Fatalf("the first call: %v, spent %v", err, c.spent())
		}
		s.mu.Lock()
		s.clients[0].Close()
		s.mu.Unlock()
		synctest.Wait()
		if !c.spent() {
			t.Error("a connection that was cut is not spent")
		}
		_, err = c.client.Check(t.Context(), p.request())
		wantError(t, err, errDialledOnce.Error())
		if s.dialled() != 1 || !c.spent() {
			t.Errorf("%d connections were made, spent %v", s.dialled(), c.spent())
		}
	})
}
