package http1

import (
	"strings"
	"testing"
)

func TestResponsesWithoutABody(t *testing.T) {
	tests := []struct{ method, response string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"},
		{"HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n"},
		{"GET", "HTTP/1.1 204 No Content\r\n"},
		{"POST", "HTTP/1.1 204 No Content\r\nX-A: b\r\n"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"},
	}
	b := startBackend(t)
	g := startGateway(t, simple, b)
	c := g.dial()
	var s *peer
	for _, test := range tests {
		c.send(test.method + " /x HTTP/1.1\r\nHost: gateway\r\n\r\n")
		if s == nil {
			s = b.accept() // the only one: all responses leave the connection usable
		}
		s.head()
		s.send(test.response + "\r\n")
		head := c.head()
		for _, line := range strings.Split(strings.TrimSuffix(test.response, "\r\n"), "\r\n") {
			if !strings.Contains(head, line+"\r\n") {
				t.Errorf("%s %.20q: the head %q lacks %q", test.method, test.response, head, line)
			}
		}
		wantHeader(t, head, "Connection")
	}
	b.idle()
}

func TestLengthOfA204IsDropped(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n")
	wantHeader(t, c.head(), "Content-Length")
	c.send(getRequest)
	s.head()
	s.send(plain(200, "ok"))
	if _, body := c.response("GET"); body != "ok" {
		t.Errorf("got %q", body)
	}
}

func TestOwnAnswersToHEADHaveNoBody(t *testing.T) {
	_, _, c := start(t, simple+"routes: [{match: {path: /v1}, split: [{pool: only}]}]\n")
	for range 2 {
		c.send("HEAD /nowhere HTTP/1.1\r\nHost: gateway\r\n\r\n")
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 404 ") {
			t.Errorf("got %q", head)
		}
	}
}
