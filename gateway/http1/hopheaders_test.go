package http1

import (
	"strings"
	"testing"
)

func TestHopByHopHeadersOfRequestsStayBehind(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: keep-alive, X-Mine\r\nconnection: X-Other\r\nX-Mine: 1\r\nx-other: 2\r\n" +
		"X-Stays: 3\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip;q=0.5, trailers\r\n" +
		"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
	s := b.accept()
	head := s.head()
	for _, name := range []string{"X-Mine", "X-Other", "Keep-Alive", "Proxy-Connection", "Upgrade", "HTTP2-Settings"} {
		wantHeader(t, head, name)
	}
	wantHeader(t, head, "X-Stays", "X-Stays: 3")
	wantHeader(t, head, "TE", "TE: trailers")
	wantHeader(t, head, "Connection", "Connection: TE")
	s.send(plain(200, "ok"))
	c.response("GET")
}

func TestTEWithoutTrailersIsNotForwarded(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: TE\r\nTE: gzip\r\n\r\n")
	head := b.accept().head()
	wantHeader(t, head, "TE")
	wantHeader(t, head, "Connection")
}

func TestConnectionCannotDropEndToEndHeaders(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: Authorization, X-Forwarded-For, Cookie\r\nAuthorization: Bearer t\r\nCookie: a=b\r\n\r\n")
	head := b.accept().head()
	wantHeader(t, head, "Authorization", "Authorization: Bearer t")
	wantHeader(t, head, "Cookie", "Cookie: a=b")
	wantHeader(t, head, "X-Forwarded-For", "x-forwarded-for: 127.0.0.1")
}

func TestHopByHopHeadersOfResponsesStayBehind(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n" +
		"Upgrade: h2c\r\nX-Stays: 2\r\nContent-Length: 2\r\n\r\nok")
	head := c.head()
	for _, name := range []string{"X-Mine", "Keep-Alive", "Proxy-Connection", "Upgrade", "Connection"} {
		wantHeader(t, head, name)
	}
	wantHeader(t, head, "X-Stays", "X-Stays: 2")
	c.expect("ok")
}

func TestConnectionCloseIsEachSidesOwn(t *testing.T) {
	t.Run("of the backend", func(t *testing.T) {
		b, _, c := start(t, simple)
		c.send(getRequest)
		s := b.accept()
		s.head()
		s.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
		wantHeader(t, c.head(), "Connection")
		c.expect("ok")
		s.closed()
		c.send(getRequest)
		s = b.accept()
		s.head()
		s.send(plain(200, "ok"))
		c.response("GET")
	})
	t.Run("of the client", func(t *testing.T) {
		b, g, c := start(t, simple)
		c.send("GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
		s := b.accept()
		wantHeader(t, s.head(), "Connection")
		s.send(plain(200, "ok"))
		head := c.head()
		wantHeader(t, head, "Connection", "Connection: close")
		c.expect("ok")
		c.closed()
		c = g.dial()
		c.send(getRequest)
		if head := s.head(); !strings.HasPrefix(head, "GET /x ") {
			t.Errorf("the backend's connection went on with %q", head)
		}
	})
}
