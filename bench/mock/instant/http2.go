package instant

import (
	"net"
	"sync"
)

// serveHTTP2 serves the connections of HTTP/2 that come from now on with a server of their own. The caller holds the lock.
func (s *Server) serveHTTP2(l *handed) {
	g := s.newGRPC()
	s.grpc, s.http2 = append(s.grpc, g), l
	s.work.Go(func() { g.Serve(l) }) // until Close or Drain
}

// handOver gives a connection to the server that takes them now, which may be another one a moment later. After Close it is closed.
func (s *Server) handOver(c net.Conn) {
	for l := s.listenerHTTP2(); !l.hand(c); {
		next := s.listenerHTTP2()
		if next == l {
			c.Close()
			return
		}
		l = next
	}
}

func (s *Server) listenerHTTP2() *handed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.http2
}

// Drain sends GOAWAY on the connections of HTTP/2 that there are, and ends them when their RPCs have ended. New ones are served: grpc-go's
// server takes none any more once it says GOAWAY, so that a second one gets them. What else draining means, Life says. Only the first call
// does anything.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.grpc) != 1 {
		return
	}
	old := s.grpc[0]
	s.serveHTTP2(newHanded(s.http2.Listener))
	s.work.Go(old.GracefulStop) // Stop, too, makes it return
}

// preface is what a client of HTTP/2 that knows its server sends first (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// speaksHTTP2 reads until the first bytes say which protocol the client speaks. Where reading fails, the next read says so again.
func (c *conn) speaksHTTP2() bool {
	for {
		n := min(len(c.in), len(preface))
		if string(c.in[:n]) != preface[:n] {
			return false
		}
		if n == len(preface) {
			return true
		}
		if c.read() != nil {
			return false
		}
	}
}

// handed is a listener of connections that were accepted elsewhere.
type handed struct {
	net.Listener // whose connections they are; for Addr
	conns        chan net.Conn
	closed       chan struct{}
	once         sync.Once
}

func newHanded(l net.Listener) *handed {
	return &handed{Listener: l, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// hand hands a connection to who accepts, and reports whether there is still somebody.
func (h *handed) hand(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed:
		return false
	}
}

// Accept returns the next connection that is handed over.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept fail. The listener that the connections come from stays open.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// handedConn is a connection of which some was read already.
type handedConn struct {
	net.Conn
	rest []byte // was read
	once sync.Once
	done func() // is called when the connection is closed
}

// Read reads what was read already, and then from the connection.
func (c *handedConn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// Close closes the connection.
func (c *handedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.done)
	return err
}
