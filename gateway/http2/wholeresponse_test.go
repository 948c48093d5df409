package http2

import (
	"bytes"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// An endpoint that has answered to the end has nothing to do with what the client has yet to take: neither the reset by which it declines
// the rest of the request (RFC 9113, section 8.1) nor its connection's end may cost any of it.
func TestWholeResponseOutlivesItsEndpoint(t *testing.T) {
	for name, end := range map[string]func(s *party, q *record){
		"reset with NO_ERROR":  func(s *party, q *record) { s.cancel(q, errNone) },
		"reset for a fault":    func(s *party, q *record) { s.cancel(q, errInternal) },
		"connection is closed": func(s *party, _ *record) { s.leave() },
	} {
		t.Run(name, func(t *testing.T) {
			e := startEndpoint(t)
			g := startGateway(t, simple, e)
			c := g.dial(window(1000))
			c.stingy = true
			r := c.request(callOf("/test.Service/Method"), false)
			s := e.accept()
			q := s.take()
			answer := message(string(pattern(50_000)))
			s.beginCall(q)
			s.upload(q, []byte(answer), false)
			s.endCall(q, "5")
			end(s, q)
			eventually(t, "the endpoint has nothing to do any more", func() bool {
				for _, u := range g.upstreamConns() {
					if u.peer(q.id) != nil {
						return false
					}
				}
				return true
			})
			c.data(r, message("more of the request"), false)
			c.give(r.id, int64(len(answer)))
			c.wantStatus(r, "5")
			if !bytes.Equal(r.body, []byte(answer)) {
				t.Errorf("the client got %d bytes of %d, or others", len(r.body), len(answer))
			}
			g.wantEnded(0, dispatch.Completed, 404)
		})
	}
}

// A deadline that passes between two messages is told by a status, and within one by a reset: clients take a status there for a fault.
func TestDeadlineAmidMessage(t *testing.T) {
	for name, cut := range map[string]int{"after a message": 0, "within a message": 3, "within a prefix": len(message("whole")) - 2} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			r := c.request(callOf("/test.Service/Method").with("grpc-timeout", "1H"), true)
			s := e.accept()
			q := s.takeWhole()
			s.beginCall(q)
			whole := message("whole")
			s.upload(q, []byte(whole+whole[:len(whole)-cut]), false)
			c.await("what came so far", func() bool { return len(r.body) == 2*len(whole)-cut })
			g.look(2 * time.Hour)
			if cut == 0 {
				c.wantStatus(r, "4")
			} else {
				c.wantReset(r, errCancel)
			}
			if got := g.wantEnded(0, dispatch.DeadlineExceeded, 200).grpc; got != 4 {
				t.Errorf("the observer saw status %d, want 4", got)
			}
		})
	}
}

// Trailers of calls are metadata and have any name. Those of other responses do not: who puts them into the head would take them for its
// own.
func TestTrailersOfCallsAreMetadata(t *testing.T) {
	e, _, c := start(t, simple)
	trailers := list("grpc-status", "0", "authorization", "a", "traceparent", "b", "cookie", "c", "x-request-id", "none", "content-length", "7")
	r := c.request(callOf("/test.Service/Method"), true)
	s := e.accept()
	q := s.takeWhole()
	s.beginCall(q)
	s.headers(q, trailers, true)
	c.wantStatus(r, "0")
	for name, want := range map[string]string{"authorization": "a", "traceparent": "b", "cookie": "c", "x-request-id": "", "content-length": ""} {
		if got := r.trailers.get(name); got != want {
			t.Errorf("the trailer %s is %q, want %q", name, got, want)
		}
	}
	r = c.request(getOf("/"), true)
	q = s.takeWhole()
	s.headers(q, list(":status", "200"), false)
	s.headers(q, list("authorization", "a", "x-sum", "b"), true)
	c.whole(r)
	if r.trailers.get("authorization") != "" || r.trailers.get("x-sum") != "b" {
		t.Errorf("the trailers are %v", r.trailers)
	}
}
