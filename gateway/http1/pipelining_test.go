package http1

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	b := startBackend(t)
	b.serve(func(p *peer, req *http.Request, body string) {
		if strings.HasSuffix(req.URL.Path, "3") {
			p.send(chunkedHead + chunk(req.URL.Path+body) + "0\r\n\r\n")
			return
		}
		p.send(plain(200, req.URL.Path+body))
	})
	g := startGateway(t, simple, b)
	c := g.dial()
	const n = 500
	go func() {
		var all strings.Builder
		for i := range n {
			switch i % 4 {
			case 0:
				fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: gateway\r\n\r\n", i)
			case 1:
				all.WriteString(post(fmt.Sprintf("/%d", i), strings.Repeat("x", i)))
			case 2:
				fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", i, chunk(strings.Repeat("x", i)))
			case 3:
				all.WriteString(post(fmt.Sprintf("/%d", i), strings.Repeat("x", 100*i))) // the longest make the gateway's buffer grow
			}
		}
		io.WriteString(c.conn, all.String())
	}()
	for i := range n {
		want := fmt.Sprintf("/%d", i) + strings.Repeat("x", []int{0, i, i, 100 * i}[i%4])
		if _, body := c.response("POST"); body != want {
			t.Fatalf("response %d is %.40q of %d bytes, want %.40q of %d", i, body, len(body), want, len(want))
		}
	}
}

func TestPipelinedRequestWaitsForTheStreamBeforeIt(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(getRequest + "GET /second HTTP/1.1\r\nHost: gateway\r\n\r\n")
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	c.head()
	for range 5 {
		s.send(chunk("token"))
		c.expect(chunk("token"))
	}
	b.idle()
	s.send("0\r\n\r\n")
	c.expect("0\r\n\r\n")
	if head := s.head(); !strings.HasPrefix(head, "GET /second ") {
		t.Errorf("the second request came as %q", head)
	}
	s.send(plain(200, "two"))
	if _, body := c.response("GET"); body != "two" {
		t.Errorf("got %q", body)
	}
}

func TestRequestsBehindAnUploadFollowIt(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(uploadHead + chunk("one"))
	s := b.accept()
	s.head()
	s.expect(chunk("one"))
	c.send(chunk("two") + "0\r\n\r\n" + getRequest + "GET /third HTTP/1.1\r\nHost: gateway\r\n\r\n")
	s.expect(chunk("two") + "0\r\n\r\n")
	for _, path := range []string{"/x", "/third"} {
		s.send(plain(200, "ok"))
		c.response("GET")
		if head := s.head(); !strings.HasPrefix(head, "GET "+path+" ") {
			t.Fatalf("the next request came as %q", head)
		}
	}
	s.send(plain(200, "ok"))
	c.response("GET")
}

func TestNothingIsReadBehindConnectionClose(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("GET /last HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n" + getRequest)
	s := b.accept()
	s.head()
	s.send(plain(200, "ok"))
	if res, _ := c.response("GET"); !res.Close {
		t.Error("the response does not say close")
	}
	c.closeWrite()
	c.closed()
	b.idle()
}

func TestEmptyLineBeforeARequest(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("\r\n" + post("/x", "{}") + "\r\n" + getRequest)
	s := b.accept()
	s.request()
	s.send(plain(200, "ok"))
	c.response("POST")
	s.head()
	s.send(plain(200, "ok"))
	c.response("GET")
}
