package http2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/connwatch"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/socket"
)

// Options is what a configuration sets about the engine. It is immutable; SetOptions swaps it whole.
type Options struct {
	// Limits bounds what one client may send and hold.
	Limits config.Limits
	// Timeouts bounds each step of a request.
	Timeouts config.Timeouts
	// TrustedProxies are the peers whose X-Forwarded-* fields are kept.
	TrustedProxies []netip.Prefix
	// DebugHeaders adds x-penstock-endpoint to responses.
	DebugHeaders bool
}

// Service is a gRPC service that the gateway itself serves.
type Service interface {
	// Serve handles one call of method. recv returns the next request message and io.EOF after the last one; send sends a response message
	// and waits while the client takes no more. Both return an error once the call is over, as ctx is then. It returns the call's status.
	Serve(ctx context.Context, method string, recv func() ([]byte, error), send func([]byte) error) (code uint32, message string)
}

// settings is Options made ready for use.
type settings struct {
	Options
	times timeouts
}

// Server speaks HTTP/2 with clients and endpoints.
type Server struct {
	dispatcher *dispatch.Dispatcher
	watcher    *connwatch.Watcher
	mirrors    *bridge.Mirrors
	services   map[string]Service
	settings   atomic.Pointer[settings]
	active     atomic.Int64 // streams of clients that are underway
	deadlines  atomic.Int64 // streams with a deadline of their client's
	draining   atomic.Bool

	mu        sync.Mutex
	conns     map[*clientConn]struct{}
	upstreams map[*Upstream]struct{}
	closed    bool
	running   sync.WaitGroup  // connections, streams that wait, and the sweeper
	ctx       context.Context // ends when the server closes
	stop      context.CancelFunc
	retime    chan struct{} // the sweeper is to look more or less often
}

// NewServer starts an engine that sends requests where d says. services are the gRPC services that it serves itself, by their full names;
// mirrors sends copies of requests.
func NewServer(d *dispatch.Dispatcher, o *Options, mirrors *bridge.Mirrors, services map[string]Service) (*Server, error) {
	w, err := connwatch.New()
	if err != nil {
		return nil, err
	}
	s := &Server{
		dispatcher: d,
		watcher:    w,
		mirrors:    mirrors,
		services:   services,
		conns:      make(map[*clientConn]struct{}),
		upstreams:  make(map[*Upstream]struct{}),
		retime:     make(chan struct{}, 1),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.SetOptions(o)
	s.running.Go(s.sweep)
	return s, nil
}

// SetOptions makes o hold for all requests that begin from now on.
func (s *Server) SetOptions(o *Options) {
	s.settings.Store(&settings{Options: *o, times: newTimeouts(&o.Timeouts)})
	s.rouse()
}

// rouse makes the sweeper find out anew how often it is to look.
func (s *Server) rouse() {
	select {
	case s.retime <- struct{}{}:
	default:
	}
}

// ServeConn serves c until it ends, and closes it. c is a *net.TCPConn, or a *tls.Conn whose handshake is done. Nothing has been read of
// it.
func (s *Server) ServeConn(c net.Conn) {
	cc, err := s.open(c)
	if err != nil {
		c.Close()
		return
	}
	defer s.running.Done()
	cc.serveClient()
}

func (s *Server) open(c net.Conn) (*clientConn, error) {
	sock, err := socketOf(c)
	if err != nil {
		return nil, err
	}
	cc := newClientConn(s, c, sock)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the server is closed")
	}
	s.conns[cc] = struct{}{}
	s.running.Add(1)
	return cc, nil
}

// hold counts a goroutine as running. It reports false if the server is closing: then everything is cut anyway.
func (s *Server) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

// socketOf wraps the TCP connection beneath c.
func socketOf(c net.Conn) (*socket.Conn, error) {
	tcp, ok := c.(*net.TCPConn)
	if t, isTLS := c.(*tls.Conn); isTLS {
		tcp, ok = t.NetConn().(*net.TCPConn)
	}
	if !ok {
		return nil, fmt.Errorf("cannot serve a %T: want *net.TCPConn or *tls.Conn", c)
	}
	return socket.New(tcp)
}

func (s *Server) forget(c *clientConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

func (s *Server) connections() []*clientConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*clientConn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

func (s *Server) allUpstreams() []*Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Upstream, 0, len(s.upstreams))
	for u := range s.upstreams {
		all = append(all, u)
	}
	return all
}

// LameDuck asks the clients that are connected to go elsewhere with new requests; those that they send nevertheless are served, and so are
// connections that are accepted from now on.
func (s *Server) LameDuck() {
	for _, c := range s.connections() {
		c.shutDown()
	}
}

// Drain asks every client to go elsewhere and closes connections once their streams have ended.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.LameDuck()
}

// Close cuts every connection and returns when all goroutines have ended.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	for _, c := range s.connections() {
		c.kill()
	}
	for _, u := range s.allUpstreams() {
		u.cut()
	}
	s.running.Wait()
	s.watcher.Close()
}

// Open is the number of client connections.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Active is the number of requests underway.
func (s *Server) Active() int { return int(s.active.Load()) }
