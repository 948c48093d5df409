package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// protocol is what the first bytes of a connection say it speaks.
type protocol uint8

const (
	protocolHTTP1 protocol = iota // also everything unknown: the HTTP/1.1 parser has the answer for that
	protocolHTTP2                 // the client preface of RFC 9113, section 3.4
	protocolTLS                   // a handshake record of RFC 8446, section 5.1
)

const recordTypeHandshake = 0x16

// http2Preface is the part of the client preface that no HTTP/1.1 request can start with; an HTTP/1.1 parser refuses it as an
// unknown version.
var http2Preface = []byte("PRI * HTTP/2.0")

// sniff looks at the first bytes of a connection, within timeout (0 is none), and says what it speaks. It leaves the bytes where they
// are, so that engines and crypto/tls get the TCP connection itself. It waits for no more than it must to tell: a gRPC client
// sends nothing after the preface until the server has spoken.
func sniff(c *net.TCPConn, timeout time.Duration) (protocol, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return protocolHTTP1, err
	}
	if timeout > 0 {
		c.SetReadDeadline(time.Now().Add(timeout))
		defer c.SetReadDeadline(time.Time{})
	}
	var found protocol
	var failure error
	err = raw.Read(func(fd uintptr) (done bool) {
		found, done, failure = peek(int(fd))
		return done
	})
	if err == nil {
		err = failure
	}
	if err != nil {
		return protocolHTTP1, fmt.Errorf("cannot read a first byte: %w", err)
	}
	return found, nil
}

// peek classifies what a socket holds. It is not done while there is too little of it.
func peek(fd int) (p protocol, done bool, err error) {
	buf := make([]byte, len(http2Preface))
	for {
		n, _, err := syscall.Recvfrom(fd, buf, syscall.MSG_PEEK)
		switch err {
		case nil:
			if n == 0 {
				return protocolHTTP1, true, io.EOF
			}
			p, sure := classify(buf[:n])
			return p, sure, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return protocolHTTP1, false, nil
		default:
			return protocolHTTP1, true, err
		}
	}
}

// classify says what a connection that starts with b speaks, and whether more bytes could change that.
func classify(b []byte) (p protocol, sure bool) {
	switch {
	case len(b) == 0:
		return protocolHTTP1, false
	case b[0] == recordTypeHandshake:
		return protocolTLS, true
	case bytes.HasPrefix(b, http2Preface):
		return protocolHTTP2, true
	case bytes.HasPrefix(http2Preface, b):
		return protocolHTTP1, false
	}
	return protocolHTTP1, true
}
