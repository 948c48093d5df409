package http1

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
	// TrustedProxies are the peers whose X-Forwarded-* headers are kept.
	TrustedProxies []netip.Prefix
	// DebugHeaders adds x-penstock-endpoint to responses.
	DebugHeaders bool
	// AllowHalfClose answers clients that half-closed; otherwise they count as gone.
	AllowHalfClose bool
}

// settings is Options made ready for use.
type settings struct {
	Options
	times timeouts
	heads HeadLimits // of requests
}

func newSettings(o *Options) *settings {
	return &settings{
		Options: *o,
		times:   newTimeouts(&o.Timeouts),
		heads:   HeadLimits{Bytes: o.Limits.HeaderBytes, Fields: o.Limits.HeaderCount, TargetBytes: o.Limits.RequestTargetBytes},
	}
}

// Server speaks HTTP/1.1 with clients and endpoints.
type Server struct {
	dispatcher *dispatch.Dispatcher
	watcher    *connwatch.Watcher
	settings   atomic.Pointer[settings]
	draining   atomic.Bool // answers say Connection: close
	closing    atomic.Bool // connections are closed when their exchange ends
	active     atomic.Int64
	mirrors    *bridge.Mirrors

	mu        sync.Mutex
	conns     map[*clientConn]struct{}
	upstreams map[*Upstream]struct{}
	closed    bool
	running   sync.WaitGroup  // connections and the sweeper
	ctx       context.Context // ends when the server closes
	stop      context.CancelFunc
	retime    chan struct{} // the timeouts have changed
}

// NewServer starts an engine that sends requests where d says, and copies of them by mirrors.
func NewServer(d *dispatch.Dispatcher, o *Options, mirrors *bridge.Mirrors) (*Server, error) {
	w, err := connwatch.New()
	if err != nil {
		return nil, err
	}
	s := &Server{
		dispatcher: d,
		watcher:    w,
		mirrors:    mirrors,
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
	s.settings.Store(newSettings(o))
	select {
	case s.retime <- struct{}{}:
	default:
	}
}

// ServeConn serves c until it ends, and closes it. initial is what was read from it already. c is a *net.TCPConn, or a *tls.Conn whose
// handshake is done (secure).
func (s *Server) ServeConn(c net.Conn, initial []byte, secure bool) {
	cc, err := s.open(c, secure)
	if err != nil {
		c.Close()
		return
	}
	defer s.running.Done()
	cc.serve(initial)
}

func (s *Server) open(c net.Conn, secure bool) (*clientConn, error) {
	tcp, ok := c.(*net.TCPConn)
	if t, isTLS := c.(*tls.Conn); isTLS {
		tcp, ok = t.NetConn().(*net.TCPConn)
	}
	if !ok {
		return nil, fmt.Errorf("cannot serve a %T: want *net.TCPConn or *tls.Conn", c)
	}
	sock, err := socket.New(tcp)
	if err != nil {
		return nil, err
	}
	cc := newClientConn(s, c, sock, secure)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	s.conns[cc] = struct{}{}
	s.running.Add(1)
	return cc, nil
}

var errClosed = errors.New("the server is closed")

// hold keeps Close waiting until running.Done is called. It is false once the server is closed.
func (s *Server) hold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

func (s *Server) forget(c *clientConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// Drain closes connections that wait for a request, and all others when their present request has been answered.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.closing.Store(true)
	for _, c := range s.connections() {
		c.closeIfIdle()
	}
}

// LameDuck makes every answer from now on carry Connection: close; idle connections stay open.
func (s *Server) LameDuck() { s.draining.Store(true) }

func (s *Server) connections() []*clientConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*clientConn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// Close cuts every connection and returns when all goroutines have ended, but for those of other engines that are within Carry.
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
		c.leave(cutServer)
	}
	s.running.Wait()
	for _, u := range s.allUpstreams() {
		u.Close()
	}
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

func (s *Server) allUpstreams() []*Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Upstream, 0, len(s.upstreams))
	for u := range s.upstreams {
		all = append(all, u)
	}
	return all
}
