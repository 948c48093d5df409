package http2

import (
	"bytes"
	"net"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// share has one client begin a call whose response it takes nothing of, and returns the endpoint's side of it.
func share(t *testing.T, c *party, e *endpoint) (r *record, s *party, q *record) {
	t.Helper()
	r = c.request(callOf("/s/slow"), true)
	s = e.accept()
	q = s.takeWhole()
	s.beginCall(q)
	return r, s, q
}

// wantCalls has a client make calls over the endpoint's connection.
func wantCalls(c, s *party, n int) {
	c.t.Helper()
	for range n {
		r := c.request(callOf("/s/quick"), true)
		q := s.takeWhole()
		s.answerCall(q, string(pattern(50_000)))
		c.wantStatus(r, "0")
		if len(r.body) != 50_005 {
			c.t.Fatalf("%d bytes came", len(r.body))
		}
	}
}

func TestClientWithoutWindowHoldsUpNobodyElse(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, simple, e)
	slow, quick := g.dial(window(0)), g.dial()
	r, s, q := share(t, slow, e)
	body := pattern(streamWindow)
	s.upload(q, body, false)
	s.sync()
	if held := g.heldDown(); held != streamWindow || s.left(q) != 0 {
		t.Errorf("%d bytes are held, and the endpoint may send %d more; want %d and none", held, s.left(q), streamWindow)
	}
	wantCalls(quick, s, 50)
	// Nor does it hold up its own other streams: they have windows of their own.
	slow.set(window(100_000))
	slow.give(r.id, streamWindow)
	s.endCall(q, "0")
	slow.wantStatus(r, "0")
	if !bytes.Equal(r.body, body) {
		t.Error("the body came otherwise")
	}
	e.idle()
	g.await(51)
	g.wantWholeWindows()
}

func TestClientThatReadsNothingHoldsUpNobodyElse(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, simple, e)
	slow, quick := g.dial(window(1<<30)), g.dial()
	slow.give(0, 1<<30)
	slow.conn.(*net.TCPConn).SetReadBuffer(128 << 10)
	slow.sync()
	r, s, q := share(t, slow, e)
	// The endpoint sends until neither sockets nor the gateway take more.
	total := 0
	for s.left(q) > 0 {
		n := int(min(s.left(q), maxFrame))
		s.upload(q, pattern(n), false)
		total += n
		if s.left(q) == 0 {
			s.sync()
		}
	}
	held := g.heldDown()
	if held < streamWindow/2 || held > streamWindow {
		t.Errorf("%d bytes are held, want %d at most and not much less", held, streamWindow)
	}
	for _, c := range g.clientConns() {
		c.mu.Lock()
		if n := c.backlog(); n > maxBacklog+maxFrame {
			t.Errorf("%d bytes wait to be written, want %d at most", n, maxBacklog)
		}
		c.mu.Unlock()
	}
	wantCalls(quick, s, 50)
	s.endCall(q, "0")
	slow.wantStatus(r, "0")
	if len(r.body) != total {
		t.Errorf("%d bytes came, want %d", len(r.body), total)
	}
	g.await(51)
	g.wantWholeWindows()
}

func TestClientThatReadsNothingAndLeaves(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, simple, e)
	slow, quick := g.dial(window(0)), g.dial()
	for range 3 {
		slow.request(callOf("/s/slow"), true)
	}
	s := e.accept()
	for range 3 {
		q := s.takeWhole()
		s.beginCall(q)
		s.upload(q, pattern(streamWindow), false)
	}
	s.sync()
	slow.cutOff()
	for i := range 3 {
		g.wantEnded(i, dispatch.ClientGone, 499)
	}
	wantCalls(quick, s, 1)
	g.wantWholeWindows()
}

// TestEndpointThatTakesLittleIsShared has two clients upload over one connection, whose window is what both wait for.
func TestEndpointThatTakesLittleIsShared(t *testing.T) {
	e := startEndpoint(t, window(1<<30))
	e.stingy = true
	g := startGateway(t, simple, e)
	one, two := g.dial(), g.dial()
	r1 := one.request(callOf("/s/m"), false)
	one.upload(r1, pattern(streamWindow), false)
	s := e.accept()
	q1 := s.take()
	one.sync()
	r2 := two.request(callOf("/s/m"), false)
	two.upload(r2, pattern(streamWindow), false)
	q2 := s.take()
	two.sync()
	s.await("the window's worth", func() bool { return len(q1.body)+len(q2.body) == defaultWindow })
	for i := range 10 {
		s.give(0, 10_000)
		s.await("more", func() bool { return len(q1.body)+len(q2.body) == defaultWindow+10_000*(i+1) })
	}
	if len(q2.body) < 30_000 || len(q1.body) < defaultWindow+30_000 {
		t.Errorf("of 100000 bytes one got %d through and the other %d, want about the same", len(q1.body)-defaultWindow, len(q2.body))
	}
	s.give(0, 1<<20)
	s.await("the rest", func() bool { return len(q1.body) == streamWindow && len(q2.body) == streamWindow })
}

func TestZeroWindowsAtFirst(t *testing.T) {
	e := startEndpoint(t, window(0))
	g := startGateway(t, simple, e)
	c := g.dial(window(0))
	r := c.request(callOf("/s/m"), false)
	c.data(r, message("question"), true)
	s := e.accept()
	q := s.take()
	s.sync()
	if len(q.body) != 0 || q.ended {
		t.Errorf("%q came, want the head alone", q.body)
	}
	s.give(q.id, 3)
	s.await("3 bytes", func() bool { return len(q.body) == 3 })
	s.sync()
	if q.ended {
		t.Error("the request ended before its body")
	}
	s.give(q.id, 100)
	s.whole(q)
	s.answerCall(q, "answer")
	s.sync()
	c.await("the head", func() bool { return r.head != nil })
	c.sync()
	if len(r.body) != 0 || r.trailers != nil || r.over() {
		t.Errorf("%q, %v came, want the head alone", r.body, r.trailers)
	}
	c.give(r.id, 1000)
	c.wantStatus(r, "0")
	if string(r.body) != message("answer") {
		t.Errorf("the answer came as %q", r.body)
	}
	// What has no body needs no window.
	r = c.request(callOf("/s/m"), false)
	c.data(r, "", true)
	q = s.takeWhole()
	s.headers(q, list(":status", "200", "content-type", "application/grpc", "grpc-status", "5"), true)
	c.wantStatus(r, "5")
	g.wantEnded(1, dispatch.Completed, 404)
}
