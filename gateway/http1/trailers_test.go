package http1

import (
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestTrailersAreForwardedBothWays(t *testing.T) {
	b, g, c := start(t, simple)
	c.send("POST /x HTTP/1.1\r\nHost: gateway\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" +
		chunk("hello") + "0\r\nX-Sum: 1\r\n\r\n")
	s := b.accept()
	req, body := s.request()
	if body != "hello" || req.Trailer.Get("X-Sum") != "1" {
		t.Errorf("the request came with %q and the trailers %v", body, req.Trailer)
	}
	s.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-More\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hi"))
	head := c.head()
	wantHeader(t, head, "Trailer", "Trailer: X-Sum, X-More")
	c.expect(chunk("hi"))
	s.send("0\r\nX-Sum: 2\r\nX-More: 3\r\n\r\n")
	c.expect("0\r\nX-Sum: 2\r\nX-More: 3\r\n\r\n")
	g.wantEnded(0, dispatch.Completed, 200)
	c.send(getRequest)
	s.head()
	s.send(plain(200, "ok"))
	c.response("GET")
}

func TestTrailersAreNotForHTTP10(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("GET /x HTTP/1.0\r\nHost: gateway\r\n\r\n")
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("hello") + "0\r\nX-Sum: 2\r\n\r\n")
	head := c.head()
	wantHeader(t, head, "Trailer")
	wantHeader(t, head, "Transfer-Encoding")
	wantHeader(t, head, "Connection", "Connection: close")
	if got, err := c.rest(); got != "hello" || err != nil {
		t.Errorf("the body came as %q and %v", got, err)
	}
}
