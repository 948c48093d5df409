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

// lastWords is closeAfterOutput for the reader, when it reads no more frames: it waits until the output is written and the peer has closed its
// side. Neither may take longer than lingerTime.
func (c *conn) lastWords(b *batch) {
	c.mu.Lock()
	c.closeAfterOutput(b)
	if c.dead {
		c.mu.Unlock()
		return
	}
	shut := make(chan struct{})
	c.shut = shut
	c.mu.Unlock()
	b.flush()
	patience := time.NewTimer(lingerTime)
	defer patience.Stop()
	select {
	case <-shut:
		io.Copy(io.Discard, io.LimitReader(c.sock.TCP(), 1<<20))
	case <-patience.C:
	}
}
