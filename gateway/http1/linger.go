package http1

import (
	"crypto/tls"
	"time"
)

// Closing a connection on which unread bytes are waiting, or still arriving, makes the kernel send a reset, which can destroy
// the answer before the client has read it (RFC 9112, section 9.6). So the write side is closed first, and what arrives is
// read and dropped for a short while.
const lingerTime = time.Second

func (c *clientConn) linger() {
	c.arm(phaseNone, 0, 0)
	if !c.unwake() {
		return
	}
	var err error
	if t, ok := c.conn.(*tls.Conn); ok {
		err = t.CloseWrite()
	} else {
		err = c.sock.TCP().CloseWrite()
	}
	if err != nil || c.sock.TCP().SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	b := getBuffer(smallBuffer)
	defer b.release()
	for err == nil {
		_, err = c.sock.Read(b.b)
	}
}
