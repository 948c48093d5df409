package http2

import (
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/penstock/penstock/gateway/dispatch"
)

// wantBytes fails unless exactly n bytes come on a stream.
func (p *party) wantBytes(r *record, n int) {
	p.t.Helper()
	p.await("DATA", func() bool { return len(r.body) >= n })
	p.sync()
	if len(r.body) != n {
		p.t.Fatalf("%d bytes came, want %d", len(r.body), n)
	}
}

// resizes plays changes of SETTINGS_INITIAL_WINDOW_SIZE amid a stream on which 1000 bytes are to come, of which 100 have.
func resizes(p *party, r *record) {
	p.t.Helper()
	p.wantBytes(r, 100)
	p.set(window(300))
	p.wantBytes(r, 300)
	p.set(window(50)) // the stream's window is 250 below zero
	p.sync()
	p.give(r.id, 200)
	p.wantBytes(r, 300)
	p.give(r.id, 60)
	p.wantBytes(r, 310)
	p.set(window(0))
	p.give(r.id, 50)
	p.wantBytes(r, 310)
	p.set(window(0), window(500), window(200)) // the last one counts
	p.wantBytes(r, 510)
	p.set(window(1000))
	p.await("the rest", func() bool { return len(r.body) == 1000 })
	if string(r.body) != string(pattern(1000)) {
		p.t.Error("the body came otherwise")
	}
}

func TestClientChangesItsWindows(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, simple, e)
	c := g.dial(window(100))
	c.stingy = true
	r := c.request(getOf("/x"), true)
	s := e.accept()
	q := s.takeWhole()
	s.headers(q, list(":status", "200"), false)
	s.data(q, string(pattern(1000)), true)
	resizes(c, r)
	c.whole(r)
	g.wantEnded(0, dispatch.Completed, 200)
}

func TestEndpointChangesItsWindows(t *testing.T) {
	e := startEndpoint(t, window(100))
	e.stingy = true
	g := startGateway(t, simple, e)
	c := g.dial()
	r := c.request(postOf("/x"), false)
	c.data(r, string(pattern(1000)), true)
	s := e.accept()
	q := s.take()
	resizes(s, q)
	s.whole(q)
	s.respond(q, "200", "ok")
	c.wantAnswer(r, "200", "ok")
	g.wantEnded(0, dispatch.Completed, 200)
}

func TestWindowsThatGrowTooLarge(t *testing.T) {
	const most = 1<<31 - 1
	for name, test := range map[string]struct {
		play func(p *party, r *record)
		code errCode
		all  bool // the connection ends, not only the stream
	}{
		"the stream's":                 {func(p *party, r *record) { p.give(r.id, most) }, errFlowControl, false},
		"the connection's":             {func(p *party, r *record) { p.give(0, most) }, errFlowControl, true},
		"a stream's, by SETTINGS":      {func(p *party, r *record) { p.give(r.id, most-100_000); p.set(window(200_000)) }, errFlowControl, true},
		"SETTINGS themselves":          {func(p *party, r *record) { p.set(window(most + 1)) }, errFlowControl, true},
		"the connection's, that add 0": {func(p *party, r *record) { p.give(0, 0) }, errProtocol, true},
		"a frame, of the smallest allowed": {func(p *party, r *record) {
			p.set(xhttp2.Setting{ID: xhttp2.SettingMaxFrameSize, Val: maxFrame - 1})
		}, errProtocol, true},
	} {
		t.Run(name+", client", func(t *testing.T) {
			e, g, c := start(t, simple)
			r := c.request(callOf("/s/m"), true)
			s := e.accept()
			q := s.takeWhole()
			test.play(c, r)
			if test.all {
				c.wantGoAway(test.code)
			} else {
				c.wantReset(r, test.code)
			}
			s.wantReset(q, errCancel)
			g.wantEnded(0, dispatch.ClientGone, 499)
		})
		t.Run(name+", endpoint", func(t *testing.T) {
			e, g, c := start(t, simple)
			r := c.request(callOf("/s/m"), false)
			s := e.accept()
			q := s.take()
			test.play(s, q)
			c.wantStatus(r, "14")
			if test.all {
				s.wantGoAway(test.code)
			} else {
				s.wantReset(q, test.code)
			}
			if end := g.await(1)[0]; end.outcome != dispatch.UpstreamBroken && !test.all {
				t.Errorf("the exchange ended as %v", end.outcome)
			}
		})
	}
}

func TestWindowUpdateOfNothingResetsTheStream(t *testing.T) {
	e, g, c := start(t, simple)
	r := c.request(callOf("/s/m"), false)
	s := e.accept()
	q := s.take()
	s.give(q.id, 0)
	s.wantReset(q, errProtocol)
	c.wantStatus(r, "14")
	r = c.request(callOf("/s/m"), false)
	q = s.take()
	c.give(r.id, 0)
	c.wantReset(r, errProtocol)
	s.wantReset(q, errCancel)
	g.wantEnded(1, dispatch.ClientGone, 499)
}
