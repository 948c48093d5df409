package http2

import (
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestUnaryCall(t *testing.T) {
	e, g, c := start(t, simple)
	r := c.request(callOf("/test.Service/Method").with("x-meta", "one", "x-meta", "two", "bin-bin", "AAEC"), false)
	c.data(r, message("question"), true)
	s := e.accept()
	q := s.takeWhole()
	if string(q.body) != message("question") || q.head.get("x-meta") != "one|two" ||
		q.head.get("bin-bin") != "AAEC" || q.head.get("te") != "trailers" {
		t.Errorf("the call came as %v %q", q.head, q.body)
	}
	if q.head.get(":path") != "/test.Service/Method" || q.head.get(":authority") != "gateway" || q.head.get(":scheme") != "http" {
		t.Errorf("the call's head is %v", q.head)
	}
	s.answerCall(q, "answer")
	c.wantStatus(r, "0")
	if string(r.body) != message("answer") || r.head.get(":status") != "200" || r.head.get("x-request-id") != q.head.get("x-request-id") {
		t.Errorf("the answer is %v %q", r.head, r.body)
	}
	end := g.wantEnded(0, dispatch.Completed, 200)
	if end.grpc != 0 || end.events != 1 || end.streamed || end.protocol != "HTTP/2" || end.attempts != 1 || !end.tokens ||
		end.request != int64(len(message("question"))) || end.response != int64(len(message("answer"))) {
		t.Errorf("the observer saw %+v", end)
	}
}

// TestLongHeadsAreSplit has heads and trailers that do not fit into a frame.
func TestLongHeadsAreSplit(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	long := func(letter string, n int) fields {
		return list("x-long", strings.Repeat(letter, n), "x-longer", strings.Repeat(letter, 2*n))
	}
	r := c.request(append(callOf("/s/m"), long("a", 15_000)...), false)
	c.headers(r, long("b", 15_000), true)
	q := s.takeWhole()
	if len(q.head.get("x-long")) != 15_000 || len(q.head.get("x-longer")) != 30_000 || q.trailers.get("x-long") != strings.Repeat("b", 15_000) {
		t.Errorf("the head came with %d fields, and %d trailers", len(q.head), len(q.trailers))
	}
	s.headers(q, append(list(":status", "200", "content-type", "application/grpc"), long("c", 50_000)...), false)
	s.headers(q, append(list("grpc-status", "0"), long("d", 50_000)...), true)
	c.wantStatus(r, "0")
	if len(r.head.get("x-longer")) != 100_000 || r.trailers.get("x-longer") != strings.Repeat("d", 100_000) {
		t.Errorf("the response came with %d fields, and %d trailers", len(r.head), len(r.trailers))
	}
	r = c.request(append(callOf("/s/m"), long("a", 15_000)...), true)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.await(3)
}

// TestFramesOnStreamsThatAreOver are errors, unless they may have been on their way when the gateway ended the stream.
func TestFramesOnStreamsThatAreOver(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r := c.request(callOf("/s/m"), false)
	s.headers(s.take(), list(":status", "200", "content-type", "application/grpc", "grpc-status", "0"), true)
	c.await("what declines the rest", func() bool { return r.reset })
	c.data(r, "late", false)
	c.headers(r, list("x-late", "a"), true)
	c.sync()
	over := c.streams[1] // which the client has ended, too
	c.check(c.framer.WriteData(over.id, false, []byte("x")))
	c.wantReset(over, errStreamClosed)
	g.await(2)
	g.wantWholeWindows()
	c.check(c.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: over.id, EndHeaders: true, EndStream: true}))
	c.sync() // it was reset just now
	last := c.request(callOf("/s/m"), true)
	s.answerCall(s.takeWhole())
	c.wantStatus(last, "0")
	c.headers(last, list("x-late", "a"), true)
	c.wantGoAway(errStreamClosed)
}
