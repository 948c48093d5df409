package http1

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// abortBudget is how long it may take from a client's leaving until its endpoint learns of it.
const abortBudget = 5 * time.Millisecond

func wantPrompt(t *testing.T, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("median %v, worst %v of %d", median, took[len(took)-1], len(took))
	if median > abortBudget {
		t.Errorf("the median is %v, want less than %v", median, abortBudget)
	}
}

func TestLeavingClientFreesItsEndpointAtOnce(t *testing.T) {
	const longUpload = "POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000000\r\n\r\n"
	answer := func(c, s *peer, head string) {
		s.head()
		s.send(head)
		c.head()
	}
	tests := []struct {
		name, request string
		play          func(c, s *peer) // from the request's arrival at the backend to the client's leaving
	}{
		{"before the response's head", getRequest, func(c, s *peer) { s.head() }},
		{"in a stream", getRequest, func(c, s *peer) {
			answer(c, s, chunkedHead)
			s.send(chunk("token"))
			c.expect(chunk("token"))
		}},
		{"in a body of known length", getRequest, func(c, s *peer) { answer(c, s, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n") }},
		{"with pipelined bytes unread", getRequest, func(c, s *peer) {
			answer(c, s, chunkedHead)
			c.send(strings.Repeat(getRequest, 1000)) // 34 kB: more than the gateway reads at once, less than would hold up a FIN
		}},
		{"with a pipelined request unread before the response's head", getRequest + getRequest, func(c, s *peer) { s.head() }},
		{"in a long upload", longUpload, func(c, s *peer) {
			s.head()
			c.send("begin")
			s.expect("begin")
		}},
		{"in a chunked upload", uploadHead, func(c, s *peer) {
			s.head()
			c.send(chunk("begin"))
			s.expect(chunk("begin"))
		}},
		{"in an upload that is answered already", uploadHead, func(c, s *peer) { answer(c, s, chunkedHead) }},
		{"waiting for 100 Continue", expectHead + "5\r\n\r\n", func(c, s *peer) { s.head() }},
	}
	for _, test := range tests {
		for _, end := range []struct {
			name string
			end  func(*peer)
		}{{"close", (*peer).close}, {"reset", (*peer).reset}} {
			t.Run(test.name+", "+end.name, func(t *testing.T) {
				b := startBackend(t)
				g := startGateway(t, simple, b)
				var took []time.Duration
				for i := range 20 {
					c := g.dial()
					c.send(test.request)
					s := b.accept()
					test.play(c, s)
					left := time.Now()
					end.end(c)
					took = append(took, s.gone().Sub(left))
					g.wantEnded(i, dispatch.ClientGone, 499)
					s.close()
				}
				wantPrompt(t, took)
			})
		}
	}
}

func TestLeavingClientLeavesTheQueueAtOnce(t *testing.T) {
	b, g, c := start(t, "pools: {only: {endpoints: [\"http://BACKEND\"], maxInFlight: 1}}\n")
	c.send(getRequest)
	s := b.accept()
	s.head()
	pool := g.dispatcher.Pool("only")
	var took []time.Duration
	for i := range 20 {
		queued := g.dial()
		queued.send("GET /queued HTTP/1.1\r\nHost: gateway\r\n\r\n")
		eventually(t, "the request waits", func() bool { return pool.QueueLen() == 1 })
		left := time.Now()
		queued.close()
		g.wantEnded(i, dispatch.ClientGone, 499)
		took = append(took, time.Since(left))
		if n := pool.QueueLen(); n != 0 {
			t.Errorf("%d requests wait, want none", n)
		}
	}
	wantPrompt(t, took)
	s.send(plain(200, "ok"))
	c.response("GET")
	c.send("GET /next HTTP/1.1\r\nHost: gateway\r\n\r\n")
	if head := s.head(); !strings.HasPrefix(head, "GET /next ") {
		t.Errorf("the backend got %q", head)
	}
	b.idle()
}

// A FIN waits behind bytes that nobody reads, but a reset does not.
func TestResetInAnUploadThatTheEndpointDoesNotRead(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, simple, b)
	for i := range 3 {
		c := g.dial()
		c.send(uploadHead)
		s := b.accept()
		s.head()
		c.conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		io.WriteString(c.conn, strings.Repeat(chunk(strings.Repeat("x", 8000)), 2000)) // fills every buffer on the way
		c.reset()
		g.wantEnded(i, dispatch.ClientGone, 499)
		if _, err := s.rest(); err == nil {
			t.Error("the endpoint's connection ended cleanly")
		}
	}
}
