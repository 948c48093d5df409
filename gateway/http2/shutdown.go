package http2

import "github.com/penstock/penstock/gateway/dispatch"

// A connection's graceful end takes two GOAWAYs (RFC 9113, section 6.8): the first one names no stream, so that none that is on its way is
// lost; the client's answer to a PING that follows it shows that it opens no more; the second one names the last stream that is served.

// shutDown begins the connection's graceful end. Where the client does not answer the PING, being called again after pongTimeout ends it.
func (c *clientConn) shutDown() {
	b := getBatch()
	defer b.release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != staying || c.dead {
		return
	}
	c.leaving = announced
	o := c.buffer()
	o.b = appendGoAway(o.b, lastStream, errNone, "")
	o.b = appendPing(o.b, 0, pingData)
	c.asked.Store(dispatch.Now())
	c.touch(b)
}

// ponged takes the client's answer to a PING.
func (c *clientConn) ponged(b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != announced || c.dead {
		return
	}
	c.leaving = lastCalled
	o := c.buffer()
	o.b = appendGoAway(o.b, c.newest.Load(), errNone, "")
	c.touch(b)
	if len(c.streams) == 0 {
		c.closeAfterOutput(b)
	}
}
