package http1

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestLimitsOfRequests(t *testing.T) {
	const yaml = simple + "limits: {headerBytes: 2KiB, headerCount: 10, requestTargetBytes: 100B, bodyBytes: 1000B}\n"
	fields := func(n int) string { return strings.Repeat("X-A: b\r\n", n) }
	tests := []struct {
		name, request string
		status        int
		close         bool
	}{
		{"long target", "GET /" + strings.Repeat("x", 100) + " HTTP/1.1\r\nHost: gateway\r\n\r\n", 414, true},
		{"longest target", "GET /" + strings.Repeat("x", 99) + " HTTP/1.1\r\nHost: gateway\r\n\r\n", 200, false},
		{"large head", "GET / HTTP/1.1\r\nHost: gateway\r\nX-A: " + strings.Repeat("x", 2048) + "\r\n\r\n", 431, true},
		{"endless head", "GET / HTTP/1.1\r\nHost: gateway\r\nX-A: " + strings.Repeat("x", 4096), 431, true},
		{"many fields", "GET / HTTP/1.1\r\nHost: gateway\r\n" + fields(10) + "\r\n", 431, true},
		{"most fields", "GET / HTTP/1.1\r\nHost: gateway\r\n" + fields(9) + "\r\n", 200, false},
		{"long body", post("/", strings.Repeat("x", 1001)), 413, false},
		{"longest body", post("/", strings.Repeat("x", 1000)), 200, false},
		{"long chunked body", uploadHead + chunk(strings.Repeat("x", 600)) + chunk(strings.Repeat("x", 600)) + "0\r\n\r\n", 413, false},
		{"longest chunked body", uploadHead + chunk(strings.Repeat("x", 500)) + chunk(strings.Repeat("x", 500)) + "0\r\n\r\n", 200, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, g, c := start(t, yaml)
			c.send(test.request)
			if test.status == 200 {
				s := b.accept()
				s.request()
				s.send(plain(200, "ok"))
			}
			if res, body := c.response("POST"); res.StatusCode != test.status || res.Close != test.close {
				t.Errorf("got %d %s (close: %v), want %d (close: %v)", res.StatusCode, body, res.Close, test.status, test.close)
			}
			g.await(1)
			b.idle()
		})
	}
}

func TestRefusedBodyIsNotTheNextRequest(t *testing.T) {
	b, g, c := start(t, simple+"limits: {bodyBytes: 10B}\n")
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n"
	c.send(uploadHead + chunk(smuggled) + "0\r\n\r\n" + getRequest)
	if res, _ := c.response("POST"); res.StatusCode != 413 {
		t.Errorf("got %d, want 413", res.StatusCode)
	}
	s := b.accept()
	if head := s.head(); !strings.HasPrefix(head, "GET /x ") {
		t.Errorf("the next request is %q", head)
	}
	s.send(plain(200, "ok"))
	c.response("GET")
	g.await(2)
}

func TestHeadOfAlmostTheLimit(t *testing.T) {
	b, _, c := start(t, simple)
	long := strings.Repeat("x", 60<<10)
	go c.send("GET / HTTP/1.1\r\nHost: gateway\r\nX-Long: " + long + "\r\n\r\n")
	s := b.accept()
	wantHeader(t, s.head(), "X-Long", "X-Long: "+long)
	go s.send("HTTP/1.1 200 OK\r\nX-Long: " + long + "\r\nContent-Length: 0\r\n\r\n")
	wantHeader(t, c.head(), "X-Long", "X-Long: "+long)
}

func TestStreamedBodyBeyondTheLimitNeverLooksComplete(t *testing.T) {
	b, g, c := start(t, simple+"limits: {bodyBytes: 1000B}\n")
	c.send(uploadHead + chunk(strings.Repeat("x", 600)))
	s := b.accept()
	s.head()
	s.expect(chunk(strings.Repeat("x", 600)))
	c.send(chunk(strings.Repeat("x", 600)) + "0\r\n\r\n")
	if res, body := c.response("POST"); res.StatusCode != 413 || !strings.Contains(body, "body_too_large") || !res.Close {
		t.Errorf("got %d %s (close: %v), want 413 body_too_large and close", res.StatusCode, body, res.Close)
	}
	if got, err := s.rest(); err == nil {
		t.Errorf("the backend's connection ended cleanly after %.80q", got)
	}
	g.wantEnded(0, dispatch.Refused, 413)
}

func TestSlowHeadIsRefused(t *testing.T) {
	b, g, c := start(t, simple+"timeouts: {requestHead: 50ms}\n")
	c.send("GET / HTTP/1.1\r\nHost: gate")
	if res, body := c.response("GET"); res.StatusCode != 408 || !res.Close {
		t.Errorf("got %d %s (close: %v), want 408 and close", res.StatusCode, body, res.Close)
	}
	c.closed()
	b.idle()
	g.wantEnded(0, dispatch.Refused, 408)
}

// A head's time runs from its first byte, however many follow it.
func TestTricklingHeadIsRefused(t *testing.T) {
	_, g, c := start(t, simple+"timeouts: {requestHead: 60ms}\n")
	c.send("GET / HTTP/1.1\r\nHost: gateway\r\nX-A: ")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if _, err := c.r.Peek(1); err != nil {
			t.Error(err)
		}
	}()
	for trickling := true; trickling; {
		select {
		case <-answered:
			trickling = false
		case <-tick.C:
			io.WriteString(c.conn, "x")
		}
	}
	if res, _ := c.response("GET"); res.StatusCode != 408 {
		t.Errorf("got %d, want 408", res.StatusCode)
	}
	g.wantEnded(0, dispatch.Refused, 408)
}

func TestSlowBodyIsRefused(t *testing.T) {
	t.Run("gathered", func(t *testing.T) {
		b, g, c := start(t, simple+"timeouts: {requestBody: 50ms}\n")
		c.send("POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\n12345")
		if res, body := c.response("POST"); res.StatusCode != 408 || !res.Close {
			t.Errorf("got %d %s (close: %v), want 408 and close", res.StatusCode, body, res.Close)
		}
		b.idle()
		g.wantEnded(0, dispatch.Refused, 408)
	})
	t.Run("read for its model", func(t *testing.T) {
		b, g, c := start(t, byModel+"timeouts: {requestBody: 50ms}\n")
		c.send(uploadHead + chunk(`{"mo`))
		if res, body := c.response("POST"); res.StatusCode != 408 || !res.Close {
			t.Errorf("got %d %s (close: %v), want 408 and close", res.StatusCode, body, res.Close)
		}
		b.idle()
		g.wantEnded(0, dispatch.Refused, 408)
	})
	t.Run("streamed", func(t *testing.T) {
		b, g, c := start(t, simple+"timeouts: {requestBody: 50ms}\n")
		c.send(uploadHead + chunk("begin"))
		s := b.accept()
		s.head()
		if res, body := c.response("POST"); res.StatusCode != 408 || !res.Close {
			t.Errorf("got %d %s (close: %v), want 408 and close", res.StatusCode, body, res.Close)
		}
		if got, err := s.rest(); err == nil {
			t.Errorf("the backend's connection ended cleanly after %q", got)
		}
		g.wantEnded(0, dispatch.Refused, 408)
	})
}

func TestBackendThatDoesNotAnswer(t *testing.T) {
	for _, request := range []string{getRequest, post("/", "{}"), uploadHead + chunk("a") + "0\r\n\r\n"} {
		b, g, c := start(t, simple+"timeouts: {responseHeader: 50ms}\n")
		c.send(request)
		s := b.accept()
		s.request()
		if res, body := c.response("POST"); res.StatusCode != 504 || !strings.Contains(body, `"code":"upstream_timeout"`) {
			t.Errorf("got %d %s, want 504 upstream_timeout", res.StatusCode, body)
		}
		s.gone()
		b.idle()
		g.wantEnded(0, dispatch.Refused, 504)
	}
}

func TestStreamThatPausesIsCut(t *testing.T) {
	for _, head := range []string{chunkedHead, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"} {
		b, g, c := start(t, simple+"timeouts: {streamIdle: 50ms}\n")
		c.send(getRequest)
		s := b.accept()
		s.head()
		s.send(head + chunk("token"))
		close := len(headerLines(c.head(), "Connection")) == 1
		c.expect(chunk("token"))
		got, err := c.rest()
		if got != "" || close && err == nil {
			t.Errorf("%.40q: the client got %q and %v, want no clean end", head, got, err)
		}
		s.gone()
		g.wantEnded(0, dispatch.UpstreamTimeout, 200)
	}
}

func TestIdleClientIsDisconnected(t *testing.T) {
	b, _, c := start(t, simple+"timeouts: {keepAlive: 50ms}\n")
	warm(b, c)
	if err := c.closed(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
}
