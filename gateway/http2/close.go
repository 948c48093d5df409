package http2

import (
	"crypto/tls"
	"io"
	"time"
)

// lingerTime is how long a peer whose connection is closed has to read what was sent last: closing at once, with bytes unread, would
// reset the connection and might take that with it (RFC 9112, section 9.6, has the same for HTTP/1.1).
const lingerTime = time.Second

// closeAfterOutput ends the connection once everything is written. The lock is held.
func (c *conn) closeAfterOutput(b *batch) {
	c.closing = true
	c.touch(b)
}

// shutWrite closes the write side, and gives the peer a while to close its own. The lock is held.
func (c *conn) shutWrite() {
	if t, ok := c.nc.(*tls.Conn); ok {
		t.CloseWrite()
	}
	c.sock.TCP().CloseWrite()
	c.sock.TCP().SetReadDeadline(time.Now().Add(lingerTime))
}

// linger is shutWrite for the reader, when it reads no more frames.
func (c *conn) linger() {
	c.mu.Lock()
	dead := c.dead
	if !dead {
		c.shutWrite()
	}
	c.mu.Unlock()
	if !dead {
		io.Copy(io.Discard, io.LimitReader(c.sock.TCP(), 1<<20))
	}
}
