package http1

import (
	"net/netip"
	"strings"
	"testing"
)

const spoofed = "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n" +
	"X-Forwarded-Port: 1\r\nX-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n"

func TestForwardedHeadersOfStrangersAreReplaced(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("GET /x HTTP/1.1\r\nHost: api.example:8000\r\n" + spoofed + "\r\n")
	head := b.accept().head()
	wantHeader(t, head, "X-Forwarded-For", "x-forwarded-for: 127.0.0.1")
	wantHeader(t, head, "X-Forwarded-Proto", "x-forwarded-proto: http")
	wantHeader(t, head, "X-Forwarded-Host", "x-forwarded-host: api.example:8000")
	for _, name := range []string{"X-Forwarded-Port", "X-Real-IP", "Forwarded"} {
		wantHeader(t, head, name)
	}
	wantHeader(t, head, "Host", "Host: api.example:8000")
}

func TestForwardedHeadersOfTrustedPeersAreKept(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, simple, b)
	o := g.server.settings.Load().Options
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	g.server.SetOptions(&o)
	c := g.dial()
	c.send("GET /x HTTP/1.1\r\nHost: api.example\r\n" + spoofed + "x-forwarded-for: 9.9.9.9\r\n\r\n")
	head := b.accept().head()
	wantHeader(t, head, "X-Forwarded-For", "x-forwarded-for: 1.2.3.4, 5.6.7.8, 9.9.9.9, 127.0.0.1")
	wantHeader(t, head, "X-Forwarded-Proto", "x-forwarded-proto: https")
	wantHeader(t, head, "X-Forwarded-Host", "x-forwarded-host: evil.example")
	wantHeader(t, head, "X-Real-IP", "X-Real-IP: 1.2.3.4")
}

func TestTargetsAndHost(t *testing.T) {
	tests := []struct{ request, line, host string }{
		{"GET /a%2f..%41//b?x=%&y=[1] HTTP/1.1\r\nHost: api.example\r\n\r\n", "GET /a%2f..%41//b?x=%&y=[1] HTTP/1.1", "Host: api.example"},
		{"GET http://other.example:81/p?q HTTP/1.1\r\nHost: api.example\r\n\r\n", "GET /p?q HTTP/1.1", "Host: other.example:81"},
		{"GET https://other.example HTTP/1.1\r\nHost: api.example\r\n\r\n", "GET / HTTP/1.1", "Host: other.example"},
		{"OPTIONS * HTTP/1.1\r\nHost: api.example\r\n\r\n", "OPTIONS * HTTP/1.1", "Host: api.example"},
		{"OPTIONS http://other.example HTTP/1.1\r\nHost: api.example\r\n\r\n", "OPTIONS * HTTP/1.1", "Host: other.example"},
	}
	b := startBackend(t)
	g := startGateway(t, simple, b)
	var s *peer
	c := g.dial()
	for _, test := range tests {
		c.send(test.request)
		if s == nil {
			s = b.accept()
		}
		head := s.head()
		if line, _, _ := strings.Cut(head, "\r\n"); line != test.line {
			t.Errorf("%q was forwarded as %q, want %q", test.request, line, test.line)
		}
		wantHeader(t, head, "Host", test.host)
		s.send(plain(200, "ok"))
		c.response("GET")
	}
}

func TestRequestID(t *testing.T) {
	for _, test := range []struct {
		sent string
		kept bool
	}{
		{"abc-123", true}, {strings.Repeat("x", 128), true}, {strings.Repeat("x", 129), false}, {"a b", false}, {"a\"b", false}, {"ü", false}, {"", false},
	} {
		b, g, c := start(t, simple)
		c.send("GET /x HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: " + test.sent + "\r\n\r\n")
		s := b.accept()
		head := s.head()
		s.send("HTTP/1.1 200 OK\r\nX-Request-Id: backends-own\r\nContent-Length: 0\r\n\r\n")
		there, back := headerLines(head, "x-request-id"), headerLines(c.head(), "x-request-id")
		if len(there) != 1 || len(back) != 1 || there[0] != back[0] {
			t.Fatalf("%q: the backend got %q and the client %q, want one and the same", test.sent, there, back)
		}
		id := strings.TrimPrefix(there[0], "x-request-id: ")
		if kept := id == test.sent; kept != test.kept || len(id) == 0 {
			t.Errorf("%q became %q (kept: %v), want kept: %v", test.sent, id, kept, test.kept)
		}
		if logged := g.await(1)[0].id; logged != id {
			t.Errorf("the log says %q, want %q", logged, id)
		}
	}
}
