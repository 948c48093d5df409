package http1

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestInterimResponsesAreForwarded(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(post("/x", "{}"))
	s := b.accept()
	s.request()
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
	s.send(hints)
	c.expect(hints) // at once: the final response is not there yet
	s.send("HTTP/1.1 102 Processing\r\n\r\n" + hints + plain(200, "ok"))
	c.expect("HTTP/1.1 102 Processing\r\n\r\n" + hints)
	if res, body := c.response("POST"); res.StatusCode != 200 || body != "ok" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	c.send(getRequest)
	s.head()
	s.send(plain(200, "again"))
	c.response("GET")
}

func TestContinueThatNobodyAskedForIsDropped(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(post("/x", "{}"))
	s := b.accept()
	s.request()
	s.send(goAhead)
	s.send(goAhead + plain(200, "ok"))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", head)
	}
}

func TestInterimResponsesAreNotForHTTP10(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("GET /x HTTP/1.0\r\nHost: gateway\r\n\r\n")
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + plain(200, "ok"))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", head)
	}
}

func TestInterimResponsesHaveNoHopByHopHeaders(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 103 Early Hints\r\nConnection: X-Mine\r\nX-Mine: 1\r\nLink: </a.css>\r\n\r\n")
	c.expect("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
}

func TestEndAfterAnInterimResponseIsNotRetried(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send(plain(200, "ok"))
	c.response("GET")
	c.send(getRequest) // on the connection that was used before
	s.head()
	s.send("HTTP/1.1 103 Early Hints\r\n\r\n")
	c.expect("HTTP/1.1 103 Early Hints\r\n\r\n")
	s.close()
	if res, _ := c.response("GET"); res.StatusCode != 502 {
		t.Errorf("got %d, want 502", res.StatusCode)
	}
	g.wantEnded(1, dispatch.Refused, 502)
	b.idle()
}
