package http2

import (
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestUnaryCall(t *testing.T) {
	e, g, c := start(t, simple)
	r := c.request(callOf("/test.Service/Method").with("x-meta", "one", "x-meta", "two", "bin-bin", "AAEC"), false)
	c.data(r, message("question"), true)
	s := e.accept()
	q := s.takeWhole()
	if string(q.body) != message("question") || q.head.get("x-meta") != "one|two" || q.head.get("bin-bin") != "AAEC" || q.head.get("te") != "trailers" {
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
