package http2

import (
	"io"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/penstock/penstock/gateway/dispatch"
)

// two is a configuration with one pool of two endpoints.
const two = "pools: {only: {endpoints: [\"h2c://ENDPOINT\", \"h2c://ENDPOINT\"], balance: round-robin, slowStart: 0}}\n"

func (p *party) sayGoAway(last uint32, code errCode) {
	p.t.Helper()
	p.check(p.framer.WriteGoAway(last, xhttp2.ErrCode(code), nil))
}

func TestGoAwayOfAnEndpoint(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	var all []*record
	for range 3 {
		r := c.request(callOf("/s/m"), false)
		c.data(r, message("question"), false)
		all = append(all, r)
	}
	q := []*record{s.take(), s.take(), s.take()}
	s.sayGoAway(q[0].id, errNone)
	again := e.accept() // above the last one
	for _, r := range all {
		c.data(r, "", true)
	}
	for range 2 {
		q := again.takeWhole()
		if string(q.body) != message("question") {
			t.Errorf("the second attempt has the body %q", q.body)
		}
		again.answerCall(q, "again")
	}
	for _, r := range all[1:] {
		c.wantStatus(r, "0")
		if string(r.body) != message("again") {
			t.Errorf("the answer is %q", r.body)
		}
	}
	s.answerCall(s.whole(q[0]), "below")
	c.wantStatus(all[0], "0")
	if string(all[0].body) != message("below") {
		t.Errorf("the answer is %q", all[0].body)
	}
	if err := s.gone(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
	// The next calls take the other connection.
	r := c.request(callOf("/s/m"), true)
	again.answerCall(again.takeWhole())
	c.wantStatus(r, "0")
	e.idle()
	g.await(5)
	if got := g.finished.retried; len(got) != 2 || got[0] != dispatch.StreamRefused {
		t.Errorf("retries were made for %v", got)
	}
	g.wantWholeWindows()
}

func TestGoAwayGoesToAnotherEndpoint(t *testing.T) {
	e1, e2 := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, two, e1, e2)
	c := g.dial()
	r := c.request(callOf("/s/m"), true)
	s, other := first(e1, e2)
	q := s.takeWhole()
	s.sayGoAway(0, errEnhanceCalm)
	s2 := other.accept()
	s2.answerCall(s2.takeWhole(), "other")
	c.wantStatus(r, "0")
	if e := g.wantEnded(0, dispatch.Completed, 200); e.attempts != 2 {
		t.Errorf("%d attempts, want 2", e.attempts)
	}
	s.gone()
	if q.reset {
		t.Error("the stream that was never begun was reset")
	}
}

func TestGoAwayInTwoSteps(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r1, r2 := c.request(callOf("/s/m"), true), c.request(callOf("/s/m"), true)
	q1 := s.takeWhole()
	s.takeWhole()
	s.sayGoAway(lastStream, errNone)
	s.sync()
	r3 := c.request(callOf("/s/m"), true)
	s2 := e.accept()
	s2.answerCall(s2.takeWhole())
	c.wantStatus(r3, "0")
	s.sayGoAway(q1.id, errNone)
	s2.answerCall(s2.takeWhole()) // the second stream's
	c.wantStatus(r2, "0")
	s.answerCall(q1)
	c.wantStatus(r1, "0")
	if err := s.gone(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
	g.await(4)
}

func TestGoAwayOfAnIdleConnectionClosesIt(t *testing.T) {
	e, g, c := start(t, simple)
	r := c.request(callOf("/s/m"), true)
	s := e.accept()
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.await(1)
	s.sayGoAway(1, errNone)
	if err := s.gone(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
	r = c.request(callOf("/s/m"), true)
	s = e.accept()
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
}

func TestLongBodiesAreNotSentTwice(t *testing.T) {
	for name, refuse := range map[string]func(s *party, q *record){
		"GOAWAY":         func(s *party, q *record) { s.sayGoAway(0, errNone) },
		"REFUSED_STREAM": func(s *party, q *record) { s.cancel(q, errRefused) },
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			r := c.request(callOf("/s/m"), false)
			c.upload(r, []byte(message(string(pattern(maxReplay)))), true)
			s := e.accept()
			refuse(s, s.takeWhole())
			c.wantStatus(r, "14")
			if e := g.await(1)[0]; e.code != "stream_refused" || e.attempts != 1 || e.outcome != dispatch.StreamRefused && e.outcome != dispatch.Refused {
				t.Errorf("the exchange ended as %v with %s after %d attempts", e.outcome, e.code, e.attempts)
			}
			e.idle()
			// As HTTP it is a 503.
			r = c.request(postOf("/x"), false)
			c.upload(r, pattern(maxReplay+1), true)
			if name == "GOAWAY" {
				s = e.accept()
			}
			refuse(s, s.takeWhole())
			c.whole(r)
			if r.head.get(":status") != "503" || r.head.get("retry-after") == "" {
				t.Errorf("got %v", r.head)
			}
			g.wantEnded(1, g.await(2)[0].outcome, 503)
			g.wantWholeWindows()
		})
	}
}

// TestFaultBehindGoAway has an endpoint break the protocol on a connection that the gateway has closed its side of already.
func TestFaultBehindGoAway(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	g.await(1)
	s.sayGoAway(1, errNone)
	if err := s.gone(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
	begin := time.Now()
	s.send(string(appendFrameHeader(nil, 0, frameGoAway, 0, 1)))
	s.leave()
	eventually(t, "the connection is forgotten", func() bool { return len(g.upstreamConns()) == 0 })
	if took := time.Since(begin); took > lingerTime/2 {
		t.Errorf("that took %v", took)
	}
}
