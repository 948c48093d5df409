package http2

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// endings are how calls end in TestWindowsSurviveEveryEnding: what the endpoint does once it has a call's head, and what the client does
// then.
var endings = []struct {
	name     string
	endpoint func(s *party, q *record, body []byte)
	client   func(c *party, r *record, body []byte)
}{
	{"completed", func(s *party, q *record, body []byte) {
		s.beginCall(q)
		s.upload(q, body, false)
		s.endCall(q, "0")
	}, func(c *party, r *record, body []byte) {
		c.upload(r, body, true)
		c.whole(r)
	}},
	{"cancelled at once", func(*party, *record, []byte) {}, func(c *party, r *record, body []byte) {
		c.upload(r, body, false)
		c.cancel(r, errCancel)
	}},
	{"cancelled while the response is held", func(s *party, q *record, body []byte) {
		s.beginCall(q)
		s.upload(q, body, false)
	}, func(c *party, r *record, body []byte) {
		c.await("some of the response", func() bool { return r.reset || len(r.body) > 0 })
		c.cancel(r, errCancel)
	}},
	{"reset by the endpoint", func(s *party, q *record, body []byte) { s.cancel(q, errInternal) }, func(c *party, r *record, body []byte) {
		c.upload(r, body, false)
		c.whole(r)
	}},
	{"reset by the endpoint while the response is held", func(s *party, q *record, body []byte) {
		s.beginCall(q)
		s.upload(q, body, false)
		s.cancel(q, errInternal)
	}, func(c *party, r *record, body []byte) { c.whole(r) }},
	{"answered early", func(s *party, q *record, body []byte) {
		s.headers(q, list(":status", "200", "content-type", "application/grpc", "grpc-status", "8"), true)
	}, func(c *party, r *record, body []byte) {
		c.upload(r, body, false)
		c.whole(r)
	}},
	{"malformed by the endpoint", func(s *party, q *record, body []byte) {
		s.beginCall(q)
		s.upload(q, body, false)
		s.headers(q, list("Upper", "case"), true)
	}, func(c *party, r *record, body []byte) {
		c.upload(r, body, true)
		c.whole(r)
	}},
	{"refused by the endpoint", func(s *party, q *record, body []byte) { s.cancel(q, errRefused) }, func(c *party, r *record, body []byte) {
		c.upload(r, body, true)
		c.whole(r)
	}},
}

// TestWindowsSurviveEveryEnding makes many calls of all endings on one connection of each side, and looks whether all credit has come back.
func TestWindowsSurviveEveryEnding(t *testing.T) {
	e := startEndpoint(t, window(20_000))
	e.hasty = true
	body := pattern(30_000)
	e.serve(func(s *party, q *record) {
		kind, _ := strconv.Atoi(strings.TrimPrefix(q.head.get(":path"), "/s/"))
		endings[kind].endpoint(s, q, body)
	})
	g := startGateway(t, "pools: {only: {endpoints: [\"h2c://ENDPOINT\"], retry: {attempts: 1}}}\n", e)
	c := g.dial(window(20_000))
	rounds := 250
	if raceEnabled {
		rounds = 60
	}
	calls := 0
	for range rounds {
		for kind, ending := range endings {
			r := c.request(callOf(fmt.Sprintf("/s/%d", kind)), false)
			ending.client(c, r, body)
			calls++
		}
	}
	c.sync()
	g.await(calls)
	g.wantWholeWindows()
	if n := g.server.Active(); n != 0 {
		t.Errorf("%d streams are underway", n)
	}
	if n := len(g.upstreamConns()); n != 1 {
		t.Errorf("%d connections to the endpoint are open, want 1", n)
	}
	for _, u := range g.upstreamConns() {
		eventually(t, "all places are given back", func() bool {
			u.up.mu.Lock()
			defer u.up.mu.Unlock()
			return u.taken == 0
		})
	}
}
