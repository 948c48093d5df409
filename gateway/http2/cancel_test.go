package http2

import (
	"net"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestCancelReachesTheEndpointAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		before func(s *party, q *record)
		status int
	}{
		"before the head":      {func(*party, *record) {}, 499},
		"behind the head":      {func(s *party, q *record) { s.beginCall(q) }, 499},
		"amid a message":       {func(s *party, q *record) { s.beginCall(q); s.upload(q, []byte(message("half"))[:7], false) }, 499},
		"while it is uploaded": {func(s *party, q *record) { s.give(q.id, 100) }, 499},
	} {
		for how, leave := range map[string]func(c *party, r *record){
			"by a reset":   func(c *party, r *record) { c.cancel(r, errCancel) },
			"by a close":   func(c *party, _ *record) { c.leave() },
			"by a cut":     func(c *party, _ *record) { c.cutOff() },
			"by half of a": func(c *party, _ *record) { c.conn.(*net.TCPConn).CloseWrite() },
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				e, g, c := start(t, simple)
				r := c.request(callOf("/s/m"), false)
				c.data(r, "some", false)
				s := e.accept()
				q := s.take()
				test.before(s, q)
				s.sync()
				leave(c, r)
				s.wantReset(q, errCancel)
				g.wantEnded(0, dispatch.ClientGone, test.status)
				s.sync() // the connection goes on
				g.wantWholeWindows()
			})
		}
	}
}

func TestLeavingCancelsEveryStream(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	var all []*record
	for range 50 {
		c.request(callOf("/s/m"), true)
		all = append(all, s.takeWhole())
	}
	c.cutOff()
	for _, q := range all {
		s.wantReset(q, errCancel)
	}
	g.await(51)
	eventually(t, "no request is underway", func() bool { return g.server.Active() == 0 && g.dispatcher.Pool("only").InFlight() == 0 })
	g.wantWholeWindows()
}

// one is a configuration whose endpoint takes one request at a time.
const one = "pools: {only: {endpoints: [\"h2c://ENDPOINT\"], maxInFlight: 1, queue: {size: 10, timeout: 20s}}}\n"

func TestCancelWhileQueued(t *testing.T) {
	e, g, c := start(t, one)
	s := warm(c, e)
	r := c.request(callOf("/s/busy"), true)
	q := s.takeWhole()
	pool := g.dispatcher.Pool("only")
	waits := func(n int) {
		t.Helper()
		eventually(t, "they wait", func() bool { return pool.QueueLen() == n })
	}
	c2 := g.dial()
	cancelled := c.request(callOf("/s/cancelled"), false)
	waits(1)
	c.data(cancelled, string(pattern(10_000)), false)
	c2.request(callOf("/s/left"), true)
	waits(2)
	last := c.request(callOf("/s/last"), true)
	waits(3)
	c.cancel(cancelled, errCancel)
	waits(2)
	c2.cutOff()
	waits(1)
	s.answerCall(q)
	c.wantStatus(r, "0")
	q = s.takeWhole()
	if path := q.head.get(":path"); path != "/s/last" {
		t.Errorf("%s came next", path)
	}
	s.answerCall(q)
	c.wantStatus(last, "0")
	gone := 0
	for _, e := range g.await(5) {
		if e.outcome == dispatch.ClientGone && e.attempts == 0 {
			gone++
		}
	}
	if gone != 2 {
		t.Errorf("%d exchanges ended as those of clients that left, want 2", gone)
	}
	g.wantWholeWindows()
}

func TestCancelWhileConnecting(t *testing.T) {
	e, g, c := start(t, simple)
	r := c.request(callOf("/s/cancelled"), false)
	c.data(r, string(pattern(10_000)), false)
	conn := e.acceptRaw() // it does not say that it speaks HTTP/2 yet
	c.cancel(r, errCancel)
	g.wantEnded(0, dispatch.ClientGone, 499)
	s := newParty(t, conn, false)
	s.greet(e)
	r = c.request(callOf("/s/next"), true)
	q := s.takeWhole()
	if path := q.head.get(":path"); path != "/s/next" {
		t.Errorf("%s came", path)
	}
	s.answerCall(q)
	c.wantStatus(r, "0")
	g.wantWholeWindows()
}

func TestCancelOfManyWhileConnecting(t *testing.T) {
	e, g, c := start(t, simple)
	for range 20 {
		c.request(callOf("/s/m"), true)
	}
	conn := e.acceptRaw()
	c.leave()
	g.await(20)
	s := newParty(t, conn, false)
	s.greet(e)
	s.sync()
	if len(s.arrived) != 0 {
		t.Errorf("%d streams were opened for a client that had left", len(s.arrived))
	}
}

func TestResetOfWhatIsOverIsNoError(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	for range 3000 {
		c.cancel(c.streams[1], errCancel)
	}
	s.cancel(s.streams[1], errNone)
	s.sync()
	c.sync()
	r := c.request(callOf("/s/m"), true)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.await(2)
}

// TestEndpointResetsAreTheClients has calls whose endpoint resets them: gRPC gives each code a meaning.
func TestEndpointResetsAreTheClients(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	for i, code := range []errCode{errProtocol, errInternal, errFlowControl, errCancel, errEnhanceCalm, errInadequate, errHTTP11Require, 0x99} {
		r := c.request(callOf("/s/m"), false)
		q := s.take()
		s.cancel(q, code)
		c.wantReset(r, code)
		g.wantOutcome(i+1, dispatch.UpstreamReset)
	}
}
