package http1

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestEarlyResponseEndsTheUpload(t *testing.T) {
	for _, test := range []struct{ name, head, piece string }{
		{"chunked", uploadHead, chunk(strings.Repeat("x", 8000))},
		{"by length", "POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000000\r\n\r\n", strings.Repeat("x", 8000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, g, c := start(t, simple)
			c.send(test.head + test.piece)
			s := b.accept()
			s.head()
			uploading := make(chan struct{})
			go func() { // the client does not look at the answer before it is stopped
				defer close(uploading)
				for {
					if _, err := io.WriteString(c.conn, test.piece); err != nil {
						return
					}
				}
			}()
			s.send(plain(413, "too much"))
			before := time.Now()
			res, body := c.response("POST")
			if res.StatusCode != 413 || body != "too much" || !res.Close {
				t.Errorf("got %d %q (close: %v), want 413 and close", res.StatusCode, body, res.Close)
			}
			if took := time.Since(before); took > 2*time.Second {
				t.Errorf("the answer took %v", took)
			}
			s.gone()
			c.close()
			<-uploading
			g.wantEnded(0, dispatch.Completed, 413)
			// The connection was not kept for others.
			c = g.dial()
			c.send(getRequest)
			s = b.accept()
			s.head()
			s.send(plain(200, "ok"))
			c.response("GET")
		})
	}
}

func TestBackendMayAnswerWhileItReads(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(uploadHead)
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	c.head()
	for range 20 {
		c.send(chunk("question"))
		s.expect(chunk("question"))
		s.send(chunk("answer"))
		c.expect(chunk("answer"))
	}
	c.send("0\r\n\r\n")
	s.expect("0\r\n\r\n")
	s.send("0\r\n\r\n")
	c.expect("0\r\n\r\n")
	g.wantEnded(0, dispatch.Completed, 200)
}

func TestEarlyResponseThenReset(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(uploadHead + chunk("first"))
	s := b.accept()
	s.head()
	s.expect(chunk("first"))
	s.send(plain(400, "bad"))
	s.reset()
	// The answer may be lost with the reset, but a client is told something, and never waits.
	if res, _ := c.response("POST"); res.StatusCode != 400 && res.StatusCode != 502 {
		t.Errorf("got %d", res.StatusCode)
	}
	g.await(1)
}

func TestEarlyResponseStaysWithItsRequest(t *testing.T) {
	// What follows on a connection whose body was not read is never taken for a request.
	b, g, c := start(t, simple)
	c.send(uploadHead + "40\r\n")
	s := b.accept()
	s.head()
	s.send(plain(413, "too much"))
	c.response("POST")
	io.WriteString(c.conn, "GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n")
	c.closeWrite()
	if got, _ := c.rest(); got != "" {
		t.Errorf("got %q", got)
	}
	b.idle()
	if n := len(g.await(1)); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
}
