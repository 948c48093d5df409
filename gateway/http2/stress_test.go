package http2

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	xhttp2 "golang.org/x/net/http2"
)

// crowd has clients call at the same time, each over a connection of its own, and waits for them.
func crowd(g *gateway, clients int, call func(c *party, rnd *rand.Rand)) {
	var all sync.WaitGroup
	for i := range clients {
		c := g.dial()
		c.played = true
		all.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					g.t.Errorf("client %d: %v", i, r)
				}
			}()
			call(c, rand.New(rand.NewPCG(1, uint64(i))))
		})
	}
	all.Wait()
}

// TestWindowsChangeWhileStreamsOpen has an endpoint change the windows of streams again and again while streams are opened: none may be
// counted with a change that it has begun with already. The endpoint looks whether it gets more than it allows, and a call that is given
// less would never end.
func TestWindowsChangeWhileStreamsOpen(t *testing.T) {
	e := startEndpoint(t, window(3000))
	body := pattern(10_000)
	n := uint32(0)
	e.serve(func(s *party, q *record) {
		if n++; n%5 == 0 {
			s.set(window(1000 + n%7*1000))
		}
		s.answerCall(q, string(q.body))
	})
	// One connection to the endpoint, so that one goroutine plays it.
	g := startGateway(t, simple, e)
	crowd(g, 4, func(c *party, _ *rand.Rand) {
		for range 100 {
			r := c.request(callOf("/s/m"), false)
			c.upload(r, body, true)
			c.wantStatus(r, "0")
			if string(r.body) != message(string(body)) {
				t.Errorf("%d bytes came back, or others", len(r.body))
			}
		}
	})
	g.await(400)
	g.wantWholeWindows()
}

// TestEverythingAtOnce has clients call, cancel, stall and leave, before endpoints that refuse, reset, send GOAWAY, close, and limit their
// streams.
func TestEverythingAtOnce(t *testing.T) {
	behave := func(e *endpoint, rnd *rand.Rand) {
		var mu sync.Mutex
		dice := func(n int) int { mu.Lock(); defer mu.Unlock(); return rnd.IntN(n) }
		e.serve(func(s *party, q *record) {
			switch dice(20) {
			case 0:
				s.cancel(q, errRefused)
			case 1:
				s.cancel(q, errInternal)
			case 2:
				s.beginCall(q)
				s.cancel(q, errInternal)
			case 3:
				s.sayGoAway(q.id, errNone)
				s.answerCall(q, "last")
			case 4:
				if dice(10) == 0 {
					s.leave()
					panic(errPlayed)
				}
				s.set(window(uint32(2000+dice(60_000))), xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: uint32(1 + dice(50))})
				s.answerCall(q, "set")
			default:
				s.answerCall(q, string(pattern(dice(50_000))))
			}
		})
	}
	e1, e2 := startEndpoint(t, window(20_000), atMost(5)), startEndpoint(t)
	behave(e1, rand.New(rand.NewPCG(2, 1)))
	behave(e2, rand.New(rand.NewPCG(2, 2)))
	g := startGateway(t, strings.Replace(two, "balance: round-robin", "maxInFlight: 20, queue: {size: 1000}", 1), e1, e2)
	rounds := 150
	crowd(g, 6, func(c *party, rnd *rand.Rand) {
		var open []*record
		for i := range rounds {
			head := callOf(fmt.Sprintf("/s/%d", i))
			if rnd.IntN(4) == 0 {
				head = head.with("grpc-timeout", fmt.Sprintf("%dm", 1+rnd.IntN(2000)))
			}
			r := c.request(head, false)
			c.upload(r, pattern(rnd.IntN(100_000)), rnd.IntN(10) > 0)
			if !r.over() {
				open = append(open, r)
			}
			switch rnd.IntN(6) {
			case 0:
				c.cancel(open[rnd.IntN(len(open))], errCancel)
			case 1:
				c.sync()
			}
			if len(open) > 10 || rnd.IntN(3) == 0 {
				for _, r := range open {
					if !r.closed && !r.cut && !r.over() {
						c.cancel(r, errCancel)
					}
					if !r.cut {
						c.whole(r)
					}
				}
				open = open[:0]
			}
		}
		c.sync()
		c.leave()
	})
	eventually(t, "nothing is underway", func() bool { return g.server.Active() == 0 && g.dispatcher.Pool("only").InFlight() == 0 })
	g.await(6 * rounds)
	g.wantWholeWindows()
	eventually(t, "all clients are forgotten", func() bool { return g.server.Open() == 0 })
	for _, u := range g.upstreamConns() {
		u.up.mu.Lock()
		if u.taken != 0 {
			t.Errorf("%d places are taken", u.taken)
		}
		u.up.mu.Unlock()
		u.mu.Lock()
		if len(u.peers) != 0 || len(u.waiting) != 0 {
			t.Errorf("%d streams and %d that wait are left", len(u.peers), len(u.waiting))
		}
		u.mu.Unlock()
	}
}
