package http2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/socket"
)

const (
	// streamsPerConn is how many streams are opened on one connection to an endpoint before another connection is.
	streamsPerConn = 128
	// upstreamWindow is the window of a connection to an endpoint in bytes: enough for all its streams, so that a client that takes nothing
	// never holds up others.
	upstreamWindow = streamsPerConn * streamWindow
	// upstreamIdle is how long a connection without streams is kept. Endpoints say when they close one, so there is no need to hurry.
	upstreamIdle = int64(5 * time.Minute)
	// unlimitedStreams stands for an endpoint that sets no limit.
	unlimitedStreams = 1<<32 - 1
)

// Upstream is the connections to one endpoint. There are as few as its limit of streams allows.
type Upstream struct {
	srv    *Server
	config dispatch.EndpointConfig
	tls    *tls.Config
	dialer net.Dialer

	mu     sync.Mutex
	conns  []*upstreamConn
	dial   *dial // underway, nil if none is
	closed bool
}

// dial is an attempt to connect that any number of streams wait for.
type dial struct {
	done chan struct{} // closed when it is over
	err  error
}

// NewUpstream makes the connection pool of an endpoint. Nothing is dialled before it is needed.
func (s *Server) NewUpstream(c dispatch.EndpointConfig) *Upstream {
	up := &Upstream{srv: s, config: c}
	up.dialer = net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 15 * time.Second}
	if c.TLS != nil {
		up.tls = c.TLS.Clone()
		up.tls.NextProtos = []string{"h2"}
	}
	s.mu.Lock()
	s.upstreams[up] = struct{}{}
	s.mu.Unlock()
	return up
}

// Close closes idle connections at once and busy ones when their streams have ended.
func (up *Upstream) Close() {
	up.srv.mu.Lock()
	delete(up.srv.upstreams, up)
	up.srv.mu.Unlock()
	up.mu.Lock()
	up.closed = true
	conns := slices.Clone(up.conns)
	up.mu.Unlock()
	// Not at once: whoever closes may hold the lock of a stream, and writing may want those of others.
	if up.srv.hold() {
		go func() {
			defer up.srv.running.Done()
			b := getBatch()
			defer b.release()
			for _, u := range conns {
				u.depart(b)
			}
		}()
	}
}

// cut ends all connections at once.
func (up *Upstream) cut() {
	up.mu.Lock()
	up.closed = true
	conns := slices.Clone(up.conns)
	up.mu.Unlock()
	for _, u := range conns {
		u.kill()
	}
}

// reserve returns a connection with a place for one more stream, which is then taken; nil if there is none. Who does not open a stream in
// the end gives the place back by release.
func (up *Upstream) reserve() *upstreamConn {
	up.mu.Lock()
	defer up.mu.Unlock()
	for _, u := range up.conns {
		if u.take() {
			return u
		}
	}
	return nil
}

// take takes a place on the connection if there is one. The lock of the Upstream is held.
func (u *upstreamConn) take() bool {
	if u.full || u.unusable.Load() || u.taken >= int64(min(streamsPerConn, u.most)) {
		return false
	}
	u.taken++
	u.opened++
	u.full = u.opened >= u.srvMaxOpened()
	u.idleSince.Store(0)
	return true
}

// release gives a place back.
func (up *Upstream) release(u *upstreamConn) {
	up.mu.Lock()
	defer up.mu.Unlock()
	if u.taken--; u.taken == 0 {
		u.idleSince.Store(dispatch.Now())
	}
}

var errClosed = errors.New("the endpoint was removed")

// wait is reserve for those who can wait for another connection. ctx ends it early.
func (up *Upstream) wait(ctx context.Context) (*upstreamConn, error) {
	for range maxDials {
		if u := up.reserve(); u != nil {
			return u, nil
		}
		d := up.beginDial()
		if d == nil {
			return nil, errClosed
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if d.err != nil {
			return nil, d.err
		}
	}
	if u := up.reserve(); u != nil {
		return u, nil
	}
	return nil, fmt.Errorf("cannot open a stream to %s: %w", up.config.Address, errFull)
}

// errFull is no fault of the endpoint: it has as much to do as it takes.
var errFull = errors.New("every new connection was full, or was closed, before it could be used")

// dialOutcome says what an error of wait is.
func dialOutcome(err error) dispatch.Outcome {
	if errors.Is(err, errFull) {
		return dispatch.StreamRefused
	}
	return dispatch.ConnectFailed
}

// maxDials is how many new connections one stream waits for. Many streams share each, so it may come to nothing for the last of them.
const maxDials = 64

// beginDial returns the attempt to connect that is underway, or begins one.
func (up *Upstream) beginDial() *dial {
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.closed {
		return nil
	}
	if up.dial != nil {
		return up.dial
	}
	d := &dial{done: make(chan struct{})}
	up.dial = d
	up.srv.running.Add(1)
	go func() {
		defer up.srv.running.Done()
		u, err := up.connect()
		if err == nil && !u.takesStreams() {
			err = fmt.Errorf("cannot use the connection to %s: the endpoint allows no streams on it (SETTINGS_MAX_CONCURRENT_STREAMS is 0)",
				up.config.Address)
			u.kill()
		}
		up.mu.Lock()
		up.dial, d.err = nil, err
		closed := up.closed
		if err == nil {
			if !u.forgotten {
				up.conns = append(up.conns, u)
			}
			u.full = u.full || closed
		}
		up.mu.Unlock()
		close(d.done)
		if closed && err == nil {
			b := getBatch()
			u.depart(b)
			b.release()
		}
	}()
	return d
}

// takesStreams reports whether the endpoint takes any streams at all.
func (u *upstreamConn) takesStreams() bool {
	u.up.mu.Lock()
	defer u.up.mu.Unlock()
	return u.most > 0
}

// connect opens a connection and waits until the endpoint has shown that it speaks HTTP/2.
func (up *Upstream) connect() (*upstreamConn, error) {
	ctx := up.srv.ctx
	if up.config.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, up.config.ConnectTimeout)
		defer cancel()
	}
	tcp, err := up.dialer.DialContext(ctx, "tcp", up.config.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", up.config.Address, err)
	}
	nc := tcp
	if up.tls != nil {
		t := tls.Client(tcp, up.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			tcp.Close()
			return nil, fmt.Errorf("cannot speak TLS with %s: %w", up.config.Address, err)
		}
		if t.ConnectionState().NegotiatedProtocol != "h2" {
			tcp.Close()
			return nil, fmt.Errorf("cannot speak HTTP/2 with %s: it does not offer it in its TLS handshake", up.config.Address)
		}
		nc = t
	}
	sock, err := socket.New(tcp.(*net.TCPConn))
	if err != nil {
		tcp.Close()
		return nil, fmt.Errorf("cannot use the connection to %s: %w", up.config.Address, err)
	}
	return up.greet(ctx, newUpstreamConn(up, nc, sock))
}

// greet starts a connection's reader and waits for the endpoint's first SETTINGS.
func (up *Upstream) greet(ctx context.Context, u *upstreamConn) (*upstreamConn, error) {
	if err := u.watchPeer(); err != nil {
		u.nc.Close()
		return nil, fmt.Errorf("cannot watch the connection to %s: %w", up.config.Address, err)
	}
	up.srv.running.Go(u.serveEndpoint)
	select {
	case <-u.settled:
		return u, nil
	case <-u.over:
		return nil, fmt.Errorf("cannot speak HTTP/2 with %s: %w", up.config.Address, u.why)
	case <-ctx.Done():
		u.kill()
		return nil, fmt.Errorf("cannot speak HTTP/2 with %s: it did not answer the preface: %w", up.config.Address, ctx.Err())
	}
}

// forget drops a connection that has ended.
func (up *Upstream) forget(u *upstreamConn) {
	up.mu.Lock()
	defer up.mu.Unlock()
	u.forgotten = true
	if i := slices.Index(up.conns, u); i >= 0 {
		up.conns = slices.Delete(up.conns, i, i+1)
	}
}

// retire gives a connection no more streams.
func (up *Upstream) retire(u *upstreamConn) {
	up.mu.Lock()
	u.full = true
	up.mu.Unlock()
}
