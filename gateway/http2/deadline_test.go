package http2

import (
	"fmt"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
)

func TestDeadlineIsEnforced(t *testing.T) {
	for _, half := range []bool{false, true} {
		e, g, c := start(t, simple)
		r := c.request(callOf("/s/m").with("grpc-timeout", "10S"), !half)
		s := e.accept()
		q := s.take()
		g.look(9 * time.Second)
		c.sync()
		if r.over() {
			t.Error("the call ended before its deadline")
		}
		g.look(11 * time.Second)
		s.wantReset(q, errCancel)
		last := c.wantStatus(r, "4")
		if last.get("grpc-message") == "" || r.trailers != nil {
			t.Errorf("the status came with %v, %v", r.head, r.trailers)
		}
		if half {
			c.await("the request's end", func() bool { return r.reset })
		}
		if e := g.wantEnded(0, dispatch.DeadlineExceeded, 504); e.code != "deadline_exceeded" || e.grpc != 4 {
			t.Errorf("the exchange ended as %+v", e)
		}
		if n := g.server.deadlines.Load(); n != 0 {
			t.Errorf("%d deadlines are left", n)
		}
		g.wantWholeWindows()
	}
}

func TestDeadlineByTheClock(t *testing.T) {
	e, g, c := start(t, simple)
	begin := time.Now()
	r := c.request(callOf("/s/m").with("grpc-timeout", "80m"), true)
	s := e.accept()
	q := s.takeWhole()
	s.beginCall(q)
	c.wantStatus(r, "4")
	if took := time.Since(begin); took < 80*time.Millisecond || took > 5*time.Second {
		t.Errorf("the call ended after %v, want 80 ms", took)
	}
	s.wantReset(q, errCancel)
	g.wantEnded(0, dispatch.DeadlineExceeded, 200)
}

func TestDeadlineThatHasPassed(t *testing.T) {
	_, g, c := start(t, simple)
	c.wantStatus(c.request(callOf("/s/m").with("grpc-timeout", "0n"), false), "4")
	g.wantEnded(0, dispatch.DeadlineExceeded, 504)
}

func TestDeadlineWhileQueued(t *testing.T) {
	e, g, c := start(t, one)
	s := warm(c, e)
	busy := c.request(callOf("/s/busy"), true)
	q := s.takeWhole()
	r := c.request(callOf("/s/m").with("grpc-timeout", "10S"), true)
	pool := g.dispatcher.Pool("only")
	eventually(t, "it waits", func() bool { return pool.QueueLen() == 1 })
	g.look(11 * time.Second)
	c.wantStatus(r, "4")
	if n := pool.QueueLen(); n != 0 {
		t.Errorf("%d requests wait", n)
	}
	s.answerCall(q)
	c.wantStatus(busy, "0")
	s.sync()
	if len(s.arrived) != 0 {
		t.Error("the call reached the endpoint after its deadline")
	}
	if e := g.await(2)[1]; e.outcome != dispatch.DeadlineExceeded || e.attempts != 0 {
		t.Errorf("the call ended as %v after %d attempts", e.outcome, e.attempts)
	}
}

func TestDeadlineWhileConnecting(t *testing.T) {
	e, g, c := start(t, simple)
	r := c.request(callOf("/s/m").with("grpc-timeout", "4S"), true)
	conn := e.acceptRaw()
	eventually(t, "the stream waits", func() bool {
		s := g.clientConns()[0].stream(r.id)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.stage == stageWait && s.cancel != nil
	})
	g.look(5 * time.Second)
	c.wantStatus(r, "4")
	g.wantEnded(0, dispatch.DeadlineExceeded, 504)
	conn.Close()
}

// timeLeft is the deadline that the endpoint was told.
func timeLeft(t *testing.T, q *record) time.Duration {
	t.Helper()
	d, ok := grpc.ParseTimeout(q.head.get("grpc-timeout"))
	if !ok {
		t.Errorf("grpc-timeout came as %q", q.head.get("grpc-timeout"))
	}
	return d
}

func TestDeadlineIsPassedOn(t *testing.T) {
	e, g, c := start(t, one)
	s := warm(c, e)
	for _, timeout := range []string{"10S", "99999999H", "12345678u", "1M"} {
		want, _ := grpc.ParseTimeout(timeout)
		r := c.request(callOf("/s/m").with("grpc-timeout", timeout), true)
		q := s.takeWhole()
		g.look(time.Second)
		if got := timeLeft(t, q); got > want || want-got > 5*time.Second {
			t.Errorf("%s came as %v", timeout, got)
		}
		s.answerCall(q)
		c.wantStatus(r, "0")
	}
	// What was waited is taken off.
	busy := c.request(callOf("/s/busy"), true)
	q := s.takeWhole()
	r := c.request(callOf("/s/m").with("grpc-timeout", "60S"), true)
	eventually(t, "it waits", func() bool { return g.dispatcher.Pool("only").QueueLen() == 1 })
	waits := dispatch.Now()
	eventually(t, "time passes", func() bool { return dispatch.Now()-waits > int64(30*time.Millisecond) })
	s.answerCall(q)
	c.wantStatus(busy, "0")
	q = s.takeWhole()
	if got := timeLeft(t, q); got > time.Minute-30*time.Millisecond || got < time.Minute-5*time.Second {
		t.Errorf("after the wait the endpoint has %v of 60 s", got)
	}
	s.answerCall(q)
	c.wantStatus(r, "0")
}

func TestDeadlineThatIsNoneIsPassedOn(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	for i, head := range []fields{callOf("/s/m").with("grpc-timeout", "soon"), postOf("/x").with("grpc-timeout", "1n")} {
		r := c.request(head, true)
		q := s.takeWhole()
		if got, want := q.head.get("grpc-timeout"), head.get("grpc-timeout"); got != want {
			t.Errorf("%s came as %s", want, got)
		}
		g.look(time.Minute)
		s.answerCall(q)
		c.whole(r)
		g.wantEnded(i+1, dispatch.Completed, 200)
	}
}

// TestEndpointThatKeepsTheDeadlineItself has an endpoint cancel a call when its deadline has come: that is no fault of the endpoint's.
func TestEndpointThatKeepsTheDeadlineItself(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r := c.request(callOf("/s/m").with("grpc-timeout", "40m"), false)
	q := s.take()
	s.cancel(q, errCancel)
	c.whole(r)
	g.wantOutcome(1, dispatch.DeadlineExceeded)
}

// TestDeadlinesThatComeAndGoKeepNothingElse has so many short calls with deadlines that the sweeper is woken more often than it looks.
func TestDeadlinesThatComeAndGoKeepNothingElse(t *testing.T) {
	e := startEndpoint(t)
	e.serve(func(s *party, q *record) { s.answerCall(q) })
	g := startGateway(t, "timeouts: {requestHead: 100ms}\n"+simple, e)
	slow := g.dialRaw()
	slow.send(preface[:10])
	cut := make(chan error, 1)
	go func() {
		_, err := slow.conn.Read(make([]byte, 1<<10)) // the gateway's SETTINGS
		for err == nil {
			_, err = slow.conn.Read(make([]byte, 1<<10))
		}
		cut <- err
	}()
	c := g.dial()
	for n := 0; ; n++ {
		select {
		case <-cut:
			if n == 0 {
				t.Error("no call was made meanwhile")
			}
			return
		default:
			c.wantStatus(c.request(callOf(fmt.Sprintf("/s/%d", n)).with("grpc-timeout", "1H"), true), "0")
		}
	}
}
