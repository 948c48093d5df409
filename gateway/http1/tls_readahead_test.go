package http1

import (
	"crypto/tls"
	"net"
	"testing"
)

// corked is a connection that keeps what is written while it is held, to send it in one segment.
type corked struct {
	net.Conn
	held bool
	kept []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.held {
		c.kept = append(c.kept, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *corked) uncork() error {
	c.held = false
	_, err := c.Conn.Write(c.kept)
	return err
}

// TLS reads ahead: a response that nobody asked for may already be in its buffer, where a look at the socket does not show it.
func TestResponseReadAheadOverTLSIsNobodys(t *testing.T) {
	certificate, yaml := selfSigned(t)
	b, _, c := start(t, yaml)
	c.send(getRequest)
	cork := &corked{Conn: b.accept().conn}
	s := newPeer(t, tls.Server(cork, certificate))
	s.request()
	cork.held = true
	s.send(plain(200, "first"))
	s.send(plain(200, "evil")) // a record of its own
	if err := cork.uncork(); err != nil {
		t.Fatal(err)
	}
	if _, body := c.response("GET"); body != "first" {
		t.Errorf("the first response is %q", body)
	}
	c.send(getRequest)
	next := overTLS(b.accept(), certificate)
	next.request()
	next.send(plain(200, "good"))
	if _, body := c.response("GET"); body != "good" {
		t.Errorf("the next response is %q", body)
	}
	s.gone()
}
