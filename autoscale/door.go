package autoscale

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

const (
	// maxKnown bounds the connections of clients that were recognised: those of an API server or a few, and of the other replicas.
	maxKnown = 2*maxPeers + 64
	// maxStrangers bounds the connections of clients that were not recognised yet. It takes milliseconds to be, and even if all replicas come at once
	// the newest are let through.
	maxStrangers = 256
	// strangerTime is how long a client has for it, and for what strangers may ask.
	strangerTime = requestTimeout
)

// door is a port at which strangers cannot keep others out. Who a client is turns out by its first request, as the certificate that it shows may be
// anybody's until the handshake is over. Up to then its connection is one of a few, of which a new one takes the place of the oldest: so whoever
// wants to keep the API server out has to open as many connections in the time of its handshake, again and again.
type door struct {
	net.Listener
	maxStrangers, maxKnown int

	mu        sync.Mutex
	strangers list.List // of *caller, the oldest first
	known     int
}

func newDoor(l net.Listener) *door {
	return &door{Listener: l, maxStrangers: maxStrangers, maxKnown: maxKnown}
}

// Accept takes a connection. There is always room for one more.
func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return d.enter(c), nil
}

func (d *door) enter(c net.Conn) *caller {
	next := &caller{Conn: c, door: d}
	d.mu.Lock()
	var oldest *caller
	if d.strangers.Len() >= d.maxStrangers {
		oldest = d.strangers.Front().Value.(*caller)
		oldest.leave()
	}
	next.place = d.strangers.PushBack(next)
	next.timer = time.AfterFunc(strangerTime, next.expire)
	d.mu.Unlock()
	if oldest != nil {
		oldest.Conn.Close()
	}
	return next
}

// caller is a client's connection.
type caller struct {
	net.Conn
	door *door
	// place is the caller's among strangers; nil if it is none, or has left. The door's lock guards it, as it does the others.
	place *list.Element
	timer *time.Timer
	known bool
}

// recognised notes that the client is one that may ask. Its connection is kept from now on, if not too many are.
func (c *caller) recognised() {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	if c.place == nil || c.door.known >= c.door.maxKnown {
		return
	}
	c.leave()
	c.known = true
	c.door.known++
}

// leave gives the caller's place to others. The lock is held.
func (c *caller) leave() {
	if c.place != nil {
		c.door.strangers.Remove(c.place)
		c.place = nil
		c.timer.Stop()
	}
	if c.known {
		c.known = false
		c.door.known--
	}
}

// expire closes the connection of a client that was not recognised in time.
func (c *caller) expire() {
	c.door.mu.Lock()
	isStranger := c.place != nil
	if isStranger {
		c.leave()
	}
	c.door.mu.Unlock()
	if isStranger {
		c.Conn.Close()
	}
}

// Close closes the connection.
func (c *caller) Close() error {
	c.door.mu.Lock()
	c.leave()
	c.door.mu.Unlock()
	return c.Conn.Close()
}

// callerKey is the key of a request's caller in its context.
type callerKey struct{}

// withCaller is the context of the requests of a connection that came through a door.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if secured, ok := c.(*tls.Conn); ok {
		if caller, ok := secured.NetConn().(*caller); ok {
			return context.WithValue(ctx, callerKey{}, caller)
		}
	}
	return ctx
}

// recognise notes that the client of a request may ask.
func recognise(ctx context.Context) {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		c.recognised()
	}
}
