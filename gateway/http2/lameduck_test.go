package http2

import (
	"io"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// announced waits for the first GOAWAY, which names no stream, and the PING behind it.
func (p *party) announced() {
	p.t.Helper()
	p.await("GOAWAY and PING", func() bool { return len(p.goAways) > 0 && len(p.pings) > 0 })
	if g := p.goAways[0]; len(p.goAways) != 1 || g.last != lastStream || g.code != errNone {
		p.t.Errorf("GOAWAY came as %v, want one without a stream", p.goAways)
	}
}

// pong answers the gateway's last PING.
func (p *party) pong() {
	p.t.Helper()
	p.check(p.framer.WritePing(true, p.pings[len(p.pings)-1]))
}

func (p *party) lastCalled(last uint32) {
	p.t.Helper()
	p.await("the second GOAWAY", func() bool { return len(p.goAways) == 2 })
	if g := p.goAways[1]; g.last != last || g.code != errNone {
		p.t.Errorf("the second GOAWAY came as %v, want stream %d as the last one", g, last)
	}
}

func TestLameDuckInTwoSteps(t *testing.T) {
	e, g, c := start(t, simple)
	c.mute = true
	s := warm(c, e)
	before := c.request(callOf("/s/m"), true)
	g.server.LameDuck()
	c.announced()
	after := c.request(callOf("/s/m"), true) // the client may not have read it yet
	c.pong()
	c.lastCalled(after.id)
	over := c.request(callOf("/s/m"), true)
	c.wantReset(over, errRefused)
	c.sync() // the connection goes on
	for _, r := range []*record{before, after} {
		s.answerCall(s.takeWhole(), string(pattern(40_000)))
		c.wantStatus(r, "0")
		if len(r.body) != 40_005 {
			t.Errorf("%d bytes came", len(r.body))
		}
	}
	if err := c.gone(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
	g.await(3)
	// Connections that come later are served.
	c = g.dial()
	r := c.request(callOf("/s/m"), true)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	if len(c.goAways) != 0 {
		t.Errorf("GOAWAY came as %v", c.goAways)
	}
}

func TestLameDuckOfAnIdleConnection(t *testing.T) {
	_, g, c := start(t, simple)
	g.server.LameDuck()
	if err := c.gone(); err != io.EOF || len(c.goAways) != 2 || c.goAways[1].last != 0 {
		t.Errorf("the connection ended with %v after %v, want a clean end after two GOAWAYs", err, c.goAways)
	}
	c.leave()
	eventually(t, "the connection is forgotten", func() bool { return g.server.Open() == 0 })
}

// TestLastBytesAreDelivered has the last stream of a connection end while its client has yet to read most of it.
func TestLastBytesAreDelivered(t *testing.T) {
	e := startEndpoint(t)
	e.serve(func(s *party, q *record) { s.answerCall(q, string(pattern(4<<20))) })
	g := startGateway(t, simple, e)
	c := g.dial(window(1 << 30))
	c.give(0, 1<<30)
	r := c.request(callOf("/s/m"), true)
	c.await("some of it", func() bool { return len(r.body) > 0 })
	g.server.Drain()
	c.wantStatus(r, "0")
	if len(r.body) != 4<<20+5 {
		t.Errorf("%d bytes came", len(r.body))
	}
	if err := c.gone(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
	g.wantEnded(0, dispatch.Completed, 200)
}

func TestAnswersToOtherPingsAreNoFarewell(t *testing.T) {
	e, g, c := start(t, "timeouts: {ping: 30s}\n"+simple)
	c.mute = true
	s := warm(c, e)
	g.look(31 * time.Second)
	c.await("a PING", func() bool { return len(c.pings) == 1 })
	g.server.LameDuck()
	c.await("another PING", func() bool { return len(c.pings) == 2 })
	c.check(c.framer.WritePing(true, c.pings[0]))
	r := c.request(callOf("/s/m"), true)
	c.sync()
	if len(c.goAways) != 1 {
		t.Errorf("GOAWAY came as %v, want one", c.goAways)
	}
	c.pong()
	c.lastCalled(r.id)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
}

func TestClientThatDoesNotAnswerTheFarewell(t *testing.T) {
	e, g, c := start(t, simple)
	c.mute = true
	s := warm(c, e)
	c.request(callOf("/s/m"), false)
	q := s.take()
	g.server.Drain()
	c.announced()
	g.look(19 * time.Second)
	c.sync()
	g.look(21 * time.Second)
	if err := c.gone(); err == io.EOF {
		t.Error("the connection ended cleanly, want a reset")
	}
	s.wantReset(q, errCancel)
	g.wantEnded(1, dispatch.ClientGone, 499)
}

func TestDrainReachesConnectionsThatComeLater(t *testing.T) {
	_, g, c := start(t, simple)
	g.server.Drain()
	c.gone()
	c = g.dial()
	g.look(0)
	if err := c.gone(); err != io.EOF || len(c.goAways) != 2 {
		t.Errorf("the connection ended with %v after %v", err, c.goAways)
	}
}

// TestUpstreamIsClosed has an endpoint be removed while it serves a request.
func TestUpstreamIsClosed(t *testing.T) {
	e1, e2 := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, simple, e1)
	c := g.dial()
	s := warm(c, e1)
	r := c.request(callOf("/s/m"), true)
	q := s.takeWhole()
	if err := g.dispatcher.Apply(parse(t, simple, e2)); err != nil {
		t.Fatal(err)
	}
	next := c.request(callOf("/s/m"), true)
	s2 := e2.accept()
	s2.answerCall(s2.takeWhole())
	c.wantStatus(next, "0")
	s.answerCall(q)
	c.wantStatus(r, "0")
	if err := s.gone(); err != io.EOF {
		t.Errorf("the connection ended with %v, want a clean end", err)
	}
	eventually(t, "the endpoint is forgotten", func() bool { return len(g.server.allUpstreams()) == 1 })
}

func TestIdleEndpointConnectionsAreClosed(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	g.await(1)
	g.look(4 * time.Minute)
	s.sync()
	g.look(6 * time.Minute)
	if err := s.gone(); err != io.EOF || len(s.goAways) != 1 || s.goAways[0].code != errNone {
		t.Errorf("the connection ended with %v after %v, want a clean end after GOAWAY", err, s.goAways)
	}
}
