package http2

import (
	"bytes"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/penstock/penstock/gateway/dispatch"
)

// pattern is n bytes that are nowhere the same as a little later.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

func window(n uint32) xhttp2.Setting {
	return xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: n}
}

// heldUp is how many bytes of a client's request are held.
func (g *gateway) heldUp(id uint32) (n int) {
	for _, c := range g.clientConns() {
		if s := c.stream(id); s != nil {
			s.mu.Lock()
			n += s.up.heldLen()
			s.mu.Unlock()
		}
	}
	return n
}

// heldDown is how many bytes of the responses to clients are held.
func (g *gateway) heldDown() (n int) {
	for _, c := range g.clientConns() {
		for _, s := range c.open() {
			s.mu.Lock()
			n += s.down.heldLen()
			s.mu.Unlock()
		}
	}
	return n
}

// open are the streams of a client.
func (c *clientConn) open() (all []*stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		all = append(all, s)
	}
	return all
}

// whole fails unless no connection's window has lost anything. No stream may be underway.
func (g *gateway) wantWholeWindows() {
	g.t.Helper()
	for _, c := range g.clientConns() {
		eventually(g.t, "the windows of a client's connection are whole", func() bool {
			return c.received.Load()+c.owed.Load() == clientWindow
		})
	}
	for _, u := range g.upstreamConns() {
		eventually(g.t, "the windows of an endpoint's connection are whole", func() bool {
			return u.received.Load()+u.owed.Load() == upstreamWindow
		})
	}
}

func TestCreditForARequestFollowsItsForwarding(t *testing.T) {
	const sent = 200_000
	for name, test := range map[string]struct {
		settings []xhttp2.Setting
		goes     int                       // without credit
		grant    func(s *party, q *record) // what lets all go
	}{
		"the stream's window": {[]xhttp2.Setting{window(1000)}, 1000, func(s *party, q *record) {
			s.give(0, 1<<20)
			s.give(q.id, 1<<20)
		}},
		"the connection's window": {[]xhttp2.Setting{window(1 << 20)}, defaultWindow, func(s *party, q *record) { s.give(0, 1<<20) }},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEndpoint(t, test.settings...)
			e.stingy = true
			g := startGateway(t, simple, e)
			c := g.dial()
			before := c.credit
			r := c.request(callOf("/s/m"), false)
			s := e.accept()
			q := s.take()
			body := pattern(3 * streamWindow)
			c.upload(r, body[:sent], false)
			c.sync()
			s.await("what the window allows", func() bool { return len(q.body) == test.goes })
			s.sync()
			if len(q.body) != test.goes || g.heldUp(r.id) != sent-test.goes {
				t.Errorf("%d bytes went and %d are held, want %d and %d", len(q.body), g.heldUp(r.id), test.goes, sent-test.goes)
			}
			if r.credit != 0 || c.credit != before {
				t.Errorf("the client got credit for %d bytes on its stream and %d on its connection while they are held", r.credit, c.credit-before)
			}
			test.grant(s, q)
			s.await("the rest", func() bool { return len(q.body) == sent })
			c.await("credit", func() bool { return r.credit >= sent/2 })
			c.upload(r, body[sent:], true)
			s.whole(q)
			if !bytes.Equal(q.body, body) {
				t.Error("the body came in another order")
			}
			s.beginCall(q)
			s.endCall(q, "0")
			c.wantStatus(r, "0")
			if got := c.credit - before; got < int64(len(body))-streamWindow {
				t.Errorf("the connection got credit for %d bytes of %d", got, len(body))
			}
			g.wantWholeWindows()
		})
	}
}

func TestCreditForAResponseFollowsItsForwarding(t *testing.T) {
	const sent = 200_000
	for name, test := range map[string]struct {
		window uint32
		goes   int
		grant  func(c *party, r *record)
	}{
		"the stream's window": {1000, 1000, func(c *party, r *record) {
			c.give(0, 1<<20)
			c.give(r.id, 1<<20)
		}},
		"the connection's window": {1 << 20, defaultWindow, func(c *party, r *record) { c.give(0, 1<<20) }},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEndpoint(t)
			g := startGateway(t, simple, e)
			c := g.dial(window(test.window))
			c.stingy = true
			r := c.request(callOf("/s/m"), true)
			s := e.accept()
			q := s.takeWhole()
			s.sync()
			before := s.credit
			body := pattern(3 * streamWindow)
			s.beginCall(q)
			s.upload(q, body[:sent], false)
			s.sync()
			c.await("what the window allows", func() bool { return len(r.body) == test.goes })
			c.sync()
			if len(r.body) != test.goes || g.heldDown() != sent-test.goes {
				t.Errorf("%d bytes went and %d are held, want %d and %d", len(r.body), g.heldDown(), test.goes, sent-test.goes)
			}
			if q.credit != 0 || s.credit != before {
				t.Errorf("the endpoint got credit for %d bytes on its stream and %d on its connection while they are held", q.credit, s.credit-before)
			}
			test.grant(c, r)
			c.await("the rest", func() bool { return len(r.body) == sent })
			s.await("credit", func() bool { return q.credit >= sent/2 })
			s.upload(q, body[sent:], false)
			s.endCall(q, "0")
			c.wantStatus(r, "0")
			if !bytes.Equal(r.body, body) {
				t.Error("the body came in another order")
			}
			g.wantWholeWindows()
		})
	}
}

func TestClientThatOverrunsItsStreamsWindow(t *testing.T) {
	e := startEndpoint(t, window(0))
	g := startGateway(t, simple, e)
	c := g.dial()
	r := c.request(callOf("/s/m"), false)
	s := e.accept()
	q := s.take()
	c.upload(r, pattern(streamWindow), false)
	c.data(r, "x", false)
	c.wantReset(r, errFlowControl)
	s.wantReset(q, errCancel)
	g.wantEnded(0, dispatch.ClientGone, 499)
	g.wantWholeWindows()
}

func TestClientThatOverrunsItsConnectionsWindow(t *testing.T) {
	e := startEndpoint(t, window(0))
	g := startGateway(t, simple, e)
	c := g.dial()
	full := string(pattern(maxFrame))
	for sent := 0; sent < clientWindow; sent += streamWindow {
		r := c.request(callOf("/s/m"), false)
		for range streamWindow / maxFrame {
			c.data(r, full, false)
		}
	}
	c.sync() // all of that is held
	if held := g.clientConns()[0].received.Load(); held != 0 {
		t.Errorf("the client may send %d more bytes, want none", held)
	}
	c.data(c.request(callOf("/s/m"), false), "x", false)
	c.wantGoAway(errFlowControl)
	g.await(clientWindow/streamWindow + 1)
}

func TestEndpointThatOverrunsItsWindow(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, simple, e)
	c := g.dial(window(0))
	r := c.request(callOf("/s/m"), true)
	s := e.accept()
	q := s.takeWhole()
	s.beginCall(q)
	s.upload(q, pattern(streamWindow), false)
	s.data(q, "x", false)
	s.wantReset(q, errProtocol)
	c.wantStatus(r, "14")
	g.wantEnded(0, dispatch.UpstreamBroken, 200)
	g.wantWholeWindows()
	// The connection goes on.
	r = c.request(callOf("/s/m"), true)
	q = s.takeWhole()
	s.beginCall(q)
	s.endCall(q, "0")
	c.wantStatus(r, "0")
}

func TestPaddingIsCredited(t *testing.T) {
	e, g, c := start(t, simple)
	r := c.request(callOf("/s/m"), false)
	s := e.accept()
	q := s.take()
	for range 2000 {
		c.await("credit", func() bool { return c.left(r) >= 256 })
		r.sent += 256
		c.sent += 256
		c.check(c.framer.WriteDataPadded(r.id, false, []byte("x"), make([]byte, 254)))
	}
	c.data(r, "", true)
	s.whole(q)
	if len(q.body) != 2000 {
		t.Errorf("%d bytes came, want 2000", len(q.body))
	}
	s.beginCall(q)
	for range 2000 {
		s.await("credit", func() bool { return s.left(q) >= 256 })
		q.sent += 256
		s.sent += 256
		s.check(s.framer.WriteDataPadded(q.id, false, []byte("y"), make([]byte, 254)))
	}
	s.endCall(q, "0")
	c.wantStatus(r, "0")
	g.wantWholeWindows()
}

func TestLongMessagesThroughSmallWindows(t *testing.T) {
	e := startEndpoint(t, window(maxFrame))
	e.serve(func(s *party, q *record) { s.answerCall(q, string(q.body)) })
	g := startGateway(t, simple, e)
	c := g.dial(window(5000))
	body := pattern(8 << 20)
	if raceEnabled {
		body = body[:1<<20]
	}
	r := c.request(callOf("/s/m"), false)
	c.upload(r, body, true)
	c.wantStatus(r, "0")
	if string(r.body) != message(string(body)) {
		t.Error("the message came back otherwise")
	}
	g.wantEnded(0, dispatch.Completed, 200)
	g.wantWholeWindows()
}
