package http2

import (
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/penstock/penstock/gateway/dispatch"
)

func atMost(streams uint32) xhttp2.Setting {
	return xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: streams}
}

// underway is a call whose endpoint has not answered it.
type underway struct {
	r *record
	s *party
	q *record
}

// finish answers the call.
func (u underway) finish(c *party) {
	c.t.Helper()
	u.s.answerCall(u.q, "answer")
	c.wantStatus(u.r, "0")
}

func TestStreamsBeyondTheEndpointsLimitOpenConnections(t *testing.T) {
	for _, limit := range []int{1, 2, 7} {
		e := startEndpoint(t, atMost(uint32(limit)))
		g := startGateway(t, simple, e)
		c := g.dial()
		var all []underway
		var s *party
		for i := range 3*limit + 1 {
			r := c.request(callOf("/s/m"), true)
			if i%limit == 0 {
				s = e.accept()
			}
			all = append(all, underway{r, s, s.takeWhole()})
		}
		e.idle()
		// What has become free is used before another connection is.
		all[limit].finish(c)
		r := c.request(callOf("/s/m"), true)
		all[limit] = underway{r, all[limit].s, all[limit].s.takeWhole()}
		e.idle()
		for _, u := range all {
			u.finish(c)
		}
		g.await(len(all) + 1)
		g.wantWholeWindows()
	}
}

func TestManyCallsAtOnceWaitForConnections(t *testing.T) {
	e := startEndpoint(t, atMost(3))
	g := startGateway(t, simple, e)
	e.serve(func(s *party, q *record) { s.answerCall(q, "answer") })
	c := g.dial()
	var all []*record
	for range 100 {
		all = append(all, c.request(callOf("/s/m"), true))
	}
	for _, r := range all {
		c.wantStatus(r, "0")
	}
	g.await(100)
	g.wantWholeWindows()
}

func TestEndpointChangesItsLimit(t *testing.T) {
	e := startEndpoint(t, atMost(1))
	g := startGateway(t, simple, e)
	c := g.dial()
	begin := func(s *party) underway {
		t.Helper()
		r := c.request(callOf("/s/m"), true)
		if s == nil {
			s = e.accept()
		}
		return underway{r, s, s.takeWhole()}
	}
	one := begin(nil)
	one.s.set(atMost(3))
	one.s.sync()
	two, three := begin(one.s), begin(one.s)
	one.s.set(atMost(1)) // those that are there go on
	one.s.sync()
	four := begin(nil)
	two.finish(c)
	three.finish(c)
	five := begin(nil) // one is still underway
	one.finish(c)
	six := begin(one.s)
	for _, u := range []underway{four, five, six} {
		u.finish(c)
	}
	e.idle()
	g.await(6)
}

func TestEndpointThatTakesNoStreams(t *testing.T) {
	e := startEndpoint(t, atMost(0))
	g := startGateway(t, "pools: {only: {endpoints: [\"h2c://ENDPOINT\"], retry: {attempts: 2}}}\n", e)
	e.serve(func(s *party, q *record) { t.Error("a stream was opened") })
	c := g.dial()
	c.wantStatus(c.request(callOf("/s/m"), true), "14")
	if end := g.await(1)[0]; end.code != "connect_failed" || end.attempts != 3 {
		t.Errorf("the exchange ended as %v after %d attempts", end.code, end.attempts)
	}
	eventually(t, "no connection is left", func() bool { return len(g.upstreamConns()) == 0 })
}

func TestEndpointThatTakesNoMoreStreams(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, simple, e)
	c := g.dial()
	r := c.request(callOf("/s/m"), true)
	s := e.accept()
	q := s.takeWhole()
	s.set(atMost(0))
	s.sync()
	r2 := c.request(callOf("/s/m"), true)
	s2 := e.accept()
	q2 := s2.takeWhole()
	s.answerCall(q)
	s2.answerCall(q2)
	c.wantStatus(r, "0")
	c.wantStatus(r2, "0")
	s.sync()
	g.wantEnded(1, dispatch.Completed, 200)
}

func TestNumbersOfStreamsRunOut(t *testing.T) {
	firstStream = lastStream - 2
	defer func() { firstStream = 1 }()
	e := startEndpoint(t)
	g := startGateway(t, simple, e)
	c := g.dial()
	for range 3 {
		r1 := c.request(callOf("/s/m"), true)
		s := e.accept()
		q1 := s.takeWhole()
		r2 := c.request(callOf("/s/m"), true)
		q2 := s.takeWhole()
		if q1.id != lastStream-2 || q2.id != lastStream {
			t.Errorf("streams %d and %d were opened", q1.id, q2.id)
		}
		s.answerCall(q1)
		s.answerCall(q2)
		c.wantStatus(r1, "0")
		c.wantStatus(r2, "0")
	}
	e.idle()
	g.await(6)
	g.wantWholeWindows()
}

// TestClientsLimit has a client open more streams than it was told it may.
func TestClientsLimit(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, "limits: {streams: 3}\n"+simple, e)
	c := g.dial()
	s := warm(c, e)
	if c.theirs[xhttp2.SettingMaxConcurrentStreams] != 3 {
		t.Errorf("the client was told %v", c.theirs)
	}
	var all []*record
	for range 4 {
		all = append(all, c.request(callOf("/s/m"), false))
	}
	c.wantReset(all[3], errRefused)
	c.data(all[3], "what was on its way", true) // no error
	q := s.take()
	c.data(all[0], "", true)
	s.answerCall(s.whole(q))
	c.wantStatus(all[0], "0")
	r := c.request(callOf("/s/m"), true)
	s.take()
	s.take()
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.await(3)
}
