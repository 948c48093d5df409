package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/socket"
)

// Upstream is the connections to one endpoint. Idle ones are kept last in, first out, in a few shards, so that client connections on
// different cores seldom meet; the oldest ones then go unused and are closed.
type Upstream struct {
	srv    *Server
	config dispatch.EndpointConfig
	tls    *tls.Config
	dialer net.Dialer
	idle   atomic.Int64 // connections in all shards
	closed atomic.Bool
	shards []idleShard
}

type idleShard struct {
	mu    sync.Mutex
	conns []*upstreamConn
	_     [64]byte // keeps neighbours off one cache line
}

// NewUpstream makes the connection pool of an endpoint.
func (s *Server) NewUpstream(c dispatch.EndpointConfig) *Upstream {
	up := &Upstream{srv: s, config: c, shards: make([]idleShard, min(runtime.GOMAXPROCS(0), 16))}
	up.dialer = net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 15 * time.Second}
	if c.TLS != nil {
		up.tls = c.TLS.Clone()
		up.tls.NextProtos = []string{"http/1.1"}
	}
	s.mu.Lock()
	s.upstreams[up] = struct{}{}
	s.mu.Unlock()
	return up
}

// Close closes idle connections at once and busy ones when their exchange ends.
func (up *Upstream) Close() {
	up.closed.Store(true)
	up.srv.mu.Lock()
	delete(up.srv.upstreams, up)
	up.srv.mu.Unlock()
	for i := range up.shards {
		s := &up.shards[i]
		s.mu.Lock()
		conns := s.conns
		s.conns = nil
		s.mu.Unlock()
		for _, u := range conns {
			u.retire()
		}
	}
}

// get returns an idle connection, nil if there is none. It looks at each before it hands it out: what an endpoint has sent without being
// asked (408 before it closes, or a body where there can be none) must never be taken for the answer to the next request.
func (up *Upstream) get(shard uint32) *upstreamConn {
	if up.idle.Load() == 0 {
		return nil
	}
	for i := range up.shards {
		s := &up.shards[(int(shard)+i)%len(up.shards)]
		for {
			u := s.pop()
			if u == nil {
				break
			}
			up.idle.Add(-1)
			if !u.state.CompareAndSwap(stateIdle, stateBusy) {
				continue // the watcher is closing it
			}
			if u.gone.Load() || u.pending() {
				u.retire()
				continue
			}
			return u
		}
	}
	return nil
}

func (s *idleShard) pop() *upstreamConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.conns)
	if n == 0 {
		return nil
	}
	u := s.conns[n-1]
	s.conns[n-1] = nil
	s.conns = s.conns[:n-1]
	return u
}

// put takes back a connection whose exchange ended well.
func (up *Upstream) put(u *upstreamConn, shard uint32, now int64) {
	if up.closed.Load() || u.gone.Load() || up.idle.Load() >= int64(up.config.IdleConnections) {
		u.retire()
		return
	}
	u.idleSince = now
	s := &up.shards[int(shard)%len(up.shards)]
	up.idle.Add(1)
	s.mu.Lock()
	u.state.Store(stateIdle)
	s.conns = append(s.conns, u)
	s.mu.Unlock()
	if up.closed.Load() || u.gone.Load() {
		up.drop(u) // Close or the watcher may have looked just before
	}
}

// drop removes an idle connection from the pool and closes it, unless it is in use by now.
func (up *Upstream) drop(u *upstreamConn) {
	if !u.state.CompareAndSwap(stateIdle, stateBusy) {
		return
	}
	for i := range up.shards {
		if up.shards[i].remove(u) {
			up.idle.Add(-1)
			break
		}
	}
	u.retire()
}

func (s *idleShard) remove(u *upstreamConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range s.conns {
		if v == u {
			s.conns = append(s.conns[:i], s.conns[i+1:]...)
			return true
		}
	}
	return false
}

// sweep closes connections that were idle for too long. The oldest ones are at the bottom of each shard.
func (up *Upstream) sweep(now int64) {
	limit := int64(up.config.IdleTimeout)
	if limit <= 0 || up.idle.Load() == 0 {
		return
	}
	for i := range up.shards {
		for {
			u := up.shards[i].oldest(now - limit)
			if u == nil {
				break
			}
			up.drop(u)
		}
	}
}

// oldest returns the connection that has been idle the longest, if that is since before then.
func (s *idleShard) oldest(then int64) *upstreamConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) > 0 && s.conns[0].idleSince < then {
		return s.conns[0]
	}
	return nil
}

// dial opens a connection. ctx ends it early.
func (up *Upstream) dial(ctx context.Context) (*upstreamConn, error) {
	if up.config.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, up.config.ConnectTimeout)
		defer cancel()
	}
	conn, err := up.dialer.DialContext(ctx, "tcp", up.config.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", up.config.Address, err)
	}
	tcp := conn.(*net.TCPConn)
	sock, err := socket.New(tcp)
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("cannot use the connection to %s: %w", up.config.Address, err)
	}
	u := &upstreamConn{up: up, conn: tcp, sock: sock}
	u.stepFn, u.peekFn = u.step, u.peek
	u.state.Store(stateBusy)
	if up.tls != nil {
		t := tls.Client(tlsTransport{tcp}, up.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			tcp.Close()
			return nil, fmt.Errorf("cannot speak TLS with %s: %w", up.config.Address, err)
		}
		u.conn, u.secure = t, true
	}
	if cerr := sock.Control(func(fd uintptr) { u.watch, err = up.srv.watcher.Watch(fd, u) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("cannot watch the connection to %s: %w", up.config.Address, err)
	}
	return u, nil
}

// tlsTransport is a TCP connection beneath TLS, whose end is an error: crypto/tls takes a FIN between two records for the end of the
// data, though anybody on the way can send one. A body that ends with its connection is complete only after TLS's own close_notify
// (RFC 9112, section 9.8), which crypto/tls tells as io.EOF.
type tlsTransport struct{ *net.TCPConn }

var errNoCloseNotify = errors.New("the TLS connection ended without close_notify")

func (t tlsTransport) Read(p []byte) (int, error) {
	n, err := t.TCPConn.Read(p)
	if err == io.EOF {
		err = errNoCloseNotify
	}
	return n, err
}
