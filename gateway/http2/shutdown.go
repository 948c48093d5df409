package http2

import "github.com/penstock/penstock/gateway/dispatch"

// A connection's graceful end takes two GOAWAYs (RFC 9113, section 6.8): the first one names no stream, so that none that is on its way is
// lost; the client's answer to a PING that follows it shows that it opens no more; the second one names the last stream that is served.

// shutDown begins the connection's graceful end. A client that does not answer the PING is cut like any that gives no sign of life.
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
	o.b = appendPing(o.b, 0, farewell)
	c.asked.Store(dispatch.Now())
	c.touch(b)
}

// farewell is what the PING after the first GOAWAY carries.
var farewell = []byte("farewell")

// ponged takes the client's answer to a PING.
func (c *clientConn) ponged(b *batch, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != announced || c.dead || string(data) != string(farewell) {
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
