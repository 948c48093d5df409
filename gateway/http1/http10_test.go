package http1

import (
	"strings"
	"testing"
)

func TestHTTP10(t *testing.T) {
	b, g, c := start(t, simple)
	c.send("GET /x HTTP/1.0\r\n\r\n")
	s := b.accept()
	head := s.head()
	if !strings.HasPrefix(head, "GET /x HTTP/1.1\r\n") {
		t.Errorf("the request was forwarded as %q", head)
	}
	wantHeader(t, head, "Host", "Host: "+b.addr)
	s.send(plain(200, "ok"))
	head = c.head()
	if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", head)
	}
	wantHeader(t, head, "Connection", "Connection: close")
	c.expect("ok")
	c.closed()

	c = g.dial()
	c.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	s.head()
	s.send(plain(200, "ok"))
	wantHeader(t, c.head(), "Connection", "Connection: keep-alive")
	c.expect("ok")
	c.send("GET /y HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	s.head()
	// Without chunks the end of a stream can only be that of the connection.
	s.send(chunkedHead + chunk("one"))
	head = c.head()
	wantHeader(t, head, "Connection", "Connection: close")
	wantHeader(t, head, "Transfer-Encoding")
	c.expect("one")
	s.send("2\r\ntw")
	c.expect("tw")
	s.send("\r\n3;a=b\r\nend\r\n0\r\n\r\n")
	if got, err := c.rest(); got != "end" || err != nil {
		t.Errorf("the body ended with %q and %v", got, err)
	}
}
