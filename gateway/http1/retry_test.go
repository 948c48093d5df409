package http1

import (
	"net"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// deadAddress is one where connecting is refused.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const twoEndpoints = `
pools:
  only:
    endpoints: ["http://BACKEND", "http://BACKEND"]
    balance: round-robin
    slowStart: 0s
    eject: {consecutiveFailures: 0}
`

func TestRefusedConnectionGoesToAnotherEndpoint(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, twoEndpoints, &backend{addr: deadAddress(t)}, b)
	retried := 0
	for i := range 4 {
		c := g.dial()
		c.send("POST /x HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
		s := b.accept()
		if _, body := s.request(); body != "hello" {
			t.Errorf("the body came as %q", body)
		}
		s.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
		if res, _ := c.response("POST"); res.StatusCode != 200 {
			t.Errorf("got %d", res.StatusCode)
		}
		if g.await(i + 1)[i].attempts > 1 {
			retried++
		}
	}
	if retried == 0 {
		t.Error("the dead endpoint was never tried, so nothing was shown")
	}
}

func TestRefusedConnectionOfAStreamedUploadGoesToAnotherEndpoint(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, twoEndpoints, &backend{addr: deadAddress(t)}, b)
	for i := range 4 {
		c := g.dial()
		c.send(uploadHead + chunk("one"))
		s := b.accept()
		s.head()
		c.send(chunk("two") + "0\r\n\r\n")
		s.expect(chunk("one") + chunk("two") + "0\r\n\r\n")
		s.send(plain(200, "ok"))
		c.response("POST")
		g.wantEnded(i, dispatch.Completed, 200)
	}
}

func TestNoEndpointTakesConnections(t *testing.T) {
	g := startGateway(t, twoEndpoints, &backend{addr: deadAddress(t)}, &backend{addr: deadAddress(t)})
	c := g.dial()
	for range 2 { // the client's connection stays
		c.send(post("/x", "{}"))
		if res, body := c.response("POST"); res.StatusCode != 502 || !strings.Contains(body, `"code":"connect_failed"`) {
			t.Errorf("got %d %s, want 502 connect_failed", res.StatusCode, body)
		}
	}
}

func TestFreshConnectionThatBreaksIsNotRetried(t *testing.T) {
	for _, end := range []func(*peer){(*peer).close, (*peer).reset} {
		one, two := startBackend(t), startBackend(t)
		g := startGateway(t, twoEndpoints, one, two)
		c := g.dial()
		c.send(post("/x", "{}"))
		var s *peer
		other := two
		select {
		case s = <-one.conns:
		case s = <-two.conns:
			other = one
		}
		s.request()
		end(s)
		if res, body := c.response("POST"); res.StatusCode != 502 || !strings.Contains(body, `"code":"upstream_reset"`) {
			t.Errorf("got %d %s, want 502 upstream_reset", res.StatusCode, body)
		}
		one.idle()
		other.idle()
		if e := g.wantEnded(0, dispatch.Refused, 502); e.attempts != 1 {
			t.Errorf("%d attempts, want 1", e.attempts)
		}
	}
}

// warm makes the gateway hold one idle connection to the backend.
func warm(b *backend, c *peer) (s *peer) {
	c.send(getRequest)
	s = b.accept()
	s.head()
	s.send(plain(200, "warm"))
	c.response("GET")
	return s
}

func TestStaleConnectionIsRetriedOnceForAPost(t *testing.T) {
	for _, end := range []func(*peer){(*peer).close, (*peer).reset} {
		b, g, c := start(t, simple)
		s := warm(b, c)
		c.send(post("/x", "hello"))
		s.request() // it reached the backend, which had given up on the connection
		end(s)
		s = b.accept()
		if _, body := s.request(); body != "hello" {
			t.Errorf("the body came as %q", body)
		}
		s.send(plain(200, "ok"))
		if res, _ := c.response("POST"); res.StatusCode != 200 {
			t.Errorf("got %d, want 200", res.StatusCode)
		}
		if e := g.wantEnded(1, dispatch.Completed, 200); e.attempts != 2 {
			t.Errorf("%d attempts, want 2", e.attempts)
		}
		b.idle()
	}
}

func TestStaleConnectionThenABrokenOneIsAnError(t *testing.T) {
	b, g, c := start(t, simple)
	s := warm(b, c)
	c.send(post("/x", "hello"))
	s.request()
	s.close()
	s = b.accept()
	s.request()
	s.close()
	if res, _ := c.response("POST"); res.StatusCode != 502 {
		t.Errorf("got %d, want 502", res.StatusCode)
	}
	if e := g.wantEnded(1, dispatch.Refused, 502); e.attempts != 2 {
		t.Errorf("%d attempts, want 2", e.attempts)
	}
	b.idle()
}

func TestClosedIdleConnectionIsNotUsed(t *testing.T) {
	b, g, c := start(t, simple)
	warm(b, c).close()
	c.send(post("/x", "hello"))
	s := b.accept()
	s.request()
	s.send(plain(200, "ok"))
	if res, _ := c.response("POST"); res.StatusCode != 200 {
		t.Errorf("got %d, want 200", res.StatusCode)
	}
	g.wantEnded(1, dispatch.Completed, 200)
}

func TestNothingIsRetriedAfterTheFirstByte(t *testing.T) {
	b, g, c := start(t, simple)
	s := warm(b, c)
	c.send(post("/x", "hello"))
	s.request()
	s.send("H")
	s.close()
	if res, _ := c.response("POST"); res.StatusCode != 502 {
		t.Errorf("got %d, want 502", res.StatusCode)
	}
	b.idle()
	if e := g.wantEnded(1, dispatch.Refused, 502); e.attempts != 1 {
		t.Errorf("%d attempts, want 1", e.attempts)
	}
}

func TestErrorsOfTheBackendAreNotRetried(t *testing.T) {
	b, g, c := start(t, simple)
	s := warm(b, c)
	for i, status := range []int{500, 502, 503, 429} {
		c.send(post("/x", "{}"))
		s.request()
		s.send(plain(status, "no"))
		if res, body := c.response("POST"); res.StatusCode != status || body != "no" {
			t.Errorf("got %d %q, want %d", res.StatusCode, body, status)
		}
		g.wantEnded(i+1, dispatch.Completed, status)
	}
	b.idle()
}
