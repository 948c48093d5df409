package http2

import (
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// TestUsageIsRead from what endpoints of either version answer.
func TestUsageIsRead(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r := c.request(postOf("/v1/chat/completions"), false)
	c.data(r, `{"model":"a","stream":true}`, true)
	q := s.takeWhole()
	s.headers(q, list(":status", "200", "content-type", "text/event-stream"), false)
	for _, part := range []string{
		"data: {\"choices\":[]}\n\n", "data: {\"cho", "ices\":[]}\n\n",
		"data: {\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":22,\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n", "data: [DONE]\n\n",
	} {
		s.data(q, part, false)
		s.sync()
	}
	s.data(q, "", true)
	c.whole(r)
	end := g.wantEnded(1, dispatch.Completed, 200)
	if end.prompt != 11 || end.cached != 8 || end.output != 22 || end.events < 3 || !end.streamed || !end.tokens ||
		end.response != int64(len(r.body)) || end.grpc != -1 {
		t.Errorf("the observer saw %+v", end)
	}
	r = c.request(postOf("/v1/completions"), false)
	c.data(r, `{}`, true)
	s.respond(s.takeWhole(), "200", `{"usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	c.whole(r)
	if end := g.wantEnded(2, dispatch.Completed, 200); end.prompt != 3 || end.output != 4 || end.streamed {
		t.Errorf("the observer saw %+v", end)
	}
}

// Endpoints that speak HTTP/1.1 are no exception.
func TestUsageIsReadFromHTTP1(t *testing.T) {
	const usage = `{"usage":{"prompt_tokens":700,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":512}}}`
	e, g, c := start(t, older)
	r := c.request(postOf("/v1/chat/completions").with("content-length", "2"), false)
	c.data(r, "{}", true)
	s := e.acceptHTTP1()
	s.request()
	s.send(plain(200, usage))
	c.whole(r)
	if end := g.wantEnded(0, dispatch.Completed, 200); end.prompt != 700 || end.cached != 512 || end.output != 9 || !end.tokens {
		t.Errorf("the observer saw %+v", end)
	}
	r = c.request(postOf("/v1/chat/completions").with("content-length", "2"), false)
	c.data(r, "{}", true)
	s.request()
	s.send(chunkedHead + chunk("data: {}\n\ndata: "+usage[:30]) + chunk(usage[30:]+"\n\ndata: [DONE]\n\n") + "0\r\n\r\n")
	c.whole(r)
	if end := g.wantEnded(1, dispatch.Completed, 200); end.prompt != 700 || end.cached != 512 || end.output != 9 || !end.streamed || !end.tokens {
		t.Errorf("the observer saw %+v", end)
	}
}
