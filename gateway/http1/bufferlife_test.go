package http1

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// What is said of a request when it is over must not be read from a buffer that has been given back.

// scribble overwrites the buffers that nobody holds, as other requests do, until the test is over.
func scribble(t *testing.T) {
	stop := make(chan struct{})
	var scribbling sync.WaitGroup
	junk := bytes.Repeat([]byte("#"), smallBuffer)
	for range runtime.GOMAXPROCS(0) { // as pools keep some of their buffers for each P
		scribbling.Go(func() {
			var held [4]*buffer
			for {
				select {
				case <-stop:
					return
				default:
				}
				for i := range held {
					held[i] = getBuffer(smallBuffer)
					copy(held[i].b, junk)
				}
				for _, b := range held {
					b.release()
				}
				runtime.Gosched()
			}
		})
	}
	t.Cleanup(func() { close(stop); scribbling.Wait() })
}

func TestModelFromThePathOutlivesItsBuffer(t *testing.T) {
	b, g, c := start(t, byModel)
	scribble(t)
	// The body is short enough to be gathered, and too long for the buffer that the head came in.
	body := strings.Repeat("x", 2*smallBuffer)
	c.send(post("/v1/models/small:predict", body))
	s := b.accept()
	if req, got := s.request(); req.URL.Path != "/v1/models/small:predict" || got != body {
		t.Errorf("%s came with %d bytes, want /v1/models/small:predict with %d", req.URL.Path, len(got), len(body))
	}
	s.send(plain(200, "{}"))
	c.response("POST")
	if e := g.wantEnded(0, dispatch.Completed, 200); e.model != "small" {
		t.Errorf("the model was noted as %q, want small", e.model)
	}
}

func TestRequestIDOfAnUploadOutlivesItsBuffer(t *testing.T) {
	const id = "an-id-of-the-client"
	request := strings.Replace(uploadHead, "\r\n\r\n", "\r\nX-Request-Id: "+id+"\r\n\r\n", 1) + chunk("begin")
	tests := []struct {
		name    string
		end     func(c, s *peer)
		outcome dispatch.Outcome
		status  int
	}{
		{"refused", func(_, s *peer) { s.head(); s.expect(chunk("begin")); s.reset() }, dispatch.Refused, 502},
		{"answered", func(c, s *peer) { c.send("0\r\n\r\n"); s.request(); s.send(plain(200, "{}")) }, dispatch.Completed, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			g := startGateway(t, simple, b)
			scribble(t)
			for i := range 20 {
				c := g.dial()
				c.send(request)
				s := b.accept()
				test.end(c, s)
				wantHeader(t, c.head(), "X-Request-Id", "x-request-id: "+id)
				if e := g.wantEnded(i, test.outcome, test.status); e.id != id {
					t.Errorf("the id was noted as %q, want %q", e.id, id)
				}
				c.close()
				s.close()
			}
		})
	}
}
