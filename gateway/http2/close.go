package http2

import (
	"crypto/tls"
	"io"
	"time"
)

// lingerTime is how long a peer whose connection is closed may be silent while it has not closed its own side. Closing at once, with bytes
// unread or still arriving, would reset the connection and might take what was sent last with it (RFC 9112, section 9.6, has the same for
// HTTP/1.1).
const lingerTime = 5 * time.Second

// closeAfterOutput ends the connection once everything is written. The lock is held.
func (c *conn) closeAfterOutput(b *batch) {
	c.closing = true
	c.touch(b)
}

// shutWrite closes the write side, and gives the peer time to read and to close its own. The lock is held.
func (c *conn) shutWrite() {
	if c.shutting.Swap(true) {
		return
	}
	c.sock.TCP().SetReadDeadline(time.Now().Add(lingerTime))
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		c.sock.TCP().CloseWrite()
		return
	}
	c.srv.running.Add(1)
	go func() { // it may wait for a peer that takes nothing
		defer c.srv.running.Done()
		t.CloseWrite()
		c.sock.TCP().CloseWrite()
	}()
}

// lastWords is closeAfterOutput for the reader, when it reads no more frames: it waits until the output is written and the peer has closed
// its side. Neither may take longer than lingerTime.
func (c *conn) lastWords(b *batch) {
	c.mu.Lock()
	c.closeAfterOutput(b)
	if c.dead {
		c.mu.Unlock()
		return
	}
	shut := make(chan struct{})
	if c.shutting.Load() {
		close(shut)
	} else {
		c.shut = shut
	}
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
