package mock

import (
	"net"
	"sync"
)

// connections knows the open connections of a replica, so that a death can reset them.
type connections struct {
	mu   sync.Mutex
	open map[*trackedConn]struct{}
	dead bool
}

func (c *connections) add(t *trackedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		reset(t.Conn)
		return
	}
	if c.open == nil {
		c.open = make(map[*trackedConn]struct{})
	}
	c.open[t] = struct{}{}
}

func (c *connections) remove(t *trackedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, t)
}

// kill resets every connection but one, and those that were accepted before the port closed and are added after, until revive.
func (c *connections) kill(keep net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for t := range c.open {
		if net.Conn(t) != keep {
			reset(t.Conn)
		}
	}
}

func (c *connections) revive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = false
}

// reset closes a connection such that its peer gets RST, with what was not sent yet thrown away.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

type trackedListener struct {
	net.Listener
	connections *connections
}

// Accept accepts a connection and tracks it until it is closed.
func (l trackedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := &trackedConn{Conn: c, connections: l.connections, frames: frames{conn: c}}
	l.connections.add(t)
	return t, nil
}

type trackedConn struct {
	net.Conn
	connections *connections
	frames      frames
}

// Read reads what the client sends, edited (see frames).
func (t *trackedConn) Read(p []byte) (int, error) { return t.frames.Read(p) }

// Write sends to the client, edited (see frames).
func (t *trackedConn) Write(p []byte) (int, error) { return t.frames.Write(p) }

// Close closes the connection and forgets it.
func (t *trackedConn) Close() error {
	t.connections.remove(t)
	return t.Conn.Close()
}

// connKey is the context key of a request's connection.
type connKey struct{}
