package http1

import (
	"crypto/tls"
	"errors"
	"os"

	"github.com/penstock/penstock/gateway/dispatch"
)

// tunnel relays bytes both ways after 101 Switching Protocols, until both sides have ended. A side that half-closes ends its direction
// only; any other error, or silence for longer than is allowed, ends both.
func (c *clientConn) tunnel(u *upstreamConn) {
	early := c.in.bytes()[c.req.headLen+c.req.bodyLen:]
	up := &c.upload
	if up.running {
		<-up.done // the endpoint answered before it had the whole head
	}
	up.begin(true)
	c.arm(phaseStream, dispatch.Now(), c.times.stream)
	go func() {
		c.tunnelUp(u, early)
		up.complete.Store(true)
		up.end()
	}()
	o := c.tunnelDown(u)
	if o != dispatch.Completed {
		if !c.interrupted(&c.resp) {
			c.resp.fail(o) // first of all: being woken makes the other direction fail, too
		}
		c.interrupt(cutNone)
		c.sock.Wake()
	}
	<-up.done
	up.running = false
	c.resp.complete = o == dispatch.Completed && up.sent >= 0
	c.resp.closeUp, c.resp.closeDown = true, true
	c.x.RequestBytes += max(up.sent, 0)
	if !c.resp.complete && !c.interrupted(&c.resp) {
		c.resp.fail(dispatch.UpstreamBroken)
	}
}

// tunnelUp relays what the client sends. It sets upload.sent to -1 if that ended with an error.
func (c *clientConn) tunnelUp(u *upstreamConn, early []byte) {
	up := &c.upload
	err := u.write(outgoing{head: early})
	up.sent = int64(len(early))
	b := getBuffer(smallBuffer)
	defer b.release()
	why := cutNone // a failed write is the endpoint's fault
	for err == nil {
		var n int
		if n, err = c.read(b.b); n == 0 && err != nil {
			why = cutClient
			break
		}
		c.touch()
		up.sent += int64(n)
		err = u.write(outgoing{head: b.b[:n]})
	}
	if !isEOF(err) || closeWrite(u.conn) != nil {
		up.sent = -1
		c.interrupt(why)
	}
}

// tunnelDown relays what the endpoint sends, and says how that ended.
func (c *clientConn) tunnelDown(u *upstreamConn) dispatch.Outcome {
	var err error
	if u.buf == nil {
		u.buf = getBuffer(smallBuffer)
	}
	for {
		if n := u.buf.len(); n > 0 {
			if c.write(u.buf.bytes(), nil) != nil {
				return dispatch.ClientGone
			}
			c.x.ResponseBytes += int64(n)
			u.buf.consume(n)
			c.touch()
		}
		var n int
		n, err = u.read(u.buf.free())
		switch {
		case n == 0 && isEOF(err):
			if closeWrite(c.conn) != nil {
				return dispatch.ClientGone
			}
			return dispatch.Completed
		case n == 0 && err != nil:
			return dispatch.UpstreamBroken
		}
		u.buf.end += n
	}
}

// touch notes that a tunnel is in use.
func (c *clientConn) touch() { c.arm(phaseStream, dispatch.Now(), c.times.stream) }

// read reads from the endpoint outside of a poll.
func (u *upstreamConn) read(p []byte) (int, error) {
	for {
		var n int
		var err error
		if u.secure {
			n, err = u.conn.Read(p)
		} else {
			n, err = u.sock.Read(p)
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && u.gone.Load() {
			u.sock.Rest() // the watcher said that the end is near: read up to it
			continue
		}
		return n, err
	}
}

// closeWrite ends one direction of a connection.
func closeWrite(conn any) error {
	if t, ok := conn.(*tls.Conn); ok {
		return t.CloseWrite()
	}
	return conn.(interface{ CloseWrite() error }).CloseWrite()
}
