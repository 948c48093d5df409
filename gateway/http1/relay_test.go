package http1

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRequestAndResponsePassUntouched(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, simple, b)
	c := g.dial()
	c.send("POST /v1/chat/completions?a=%20b HTTP/1.1\r\nHost: api.example\r\nX-Odd-CASE:  two  spaces\r\nContent-Length: 11\r\n\r\n{\"a\": \"b\" }")
	s := b.accept()
	head := s.head()
	if !strings.HasPrefix(head, "POST /v1/chat/completions?a=%20b HTTP/1.1\r\nHost: api.example\r\nX-Odd-CASE:  two  spaces\r\nContent-Length: 11\r\n") {
		t.Errorf("the head was changed: %q", head)
	}
	s.expect(`{"a": "b" }`)
	s.send("HTTP/1.1 201 Odd Reason\r\nX-Answer:  spaced \r\ncontent-length: 5\r\n\r\nhello")
	got := c.head()
	if !strings.HasPrefix(got, "HTTP/1.1 201 Odd Reason\r\nX-Answer:  spaced \r\ncontent-length: 5\r\n") {
		t.Errorf("the response's head was changed: %q", got)
	}
	c.expect("hello")
	// The connection is kept on both sides.
	c.send(post("/second", "{}"))
	req, body := s.request()
	if req.URL.Path != "/second" || body != "{}" {
		t.Errorf("the second request came as %s with %q", req.URL, body)
	}
	s.send(plain(200, "two"))
	if res, body := c.response("POST"); res.StatusCode != 200 || body != "two" {
		t.Errorf("second response %d %q", res.StatusCode, body)
	}
	all := g.await(2)
	if e := all[0]; e.status != 201 || e.request != 11 || e.response != 5 {
		t.Errorf("the first exchange was noted as %+v", e)
	}
}

func TestStreamIsRelayedChunkByChunk(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, simple, b)
	c := g.dial()
	c.send(post("/v1/chat/completions", "{}"))
	s := b.accept()
	s.request()
	s.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	if head := c.head(); len(headerLines(head, "Transfer-Encoding")) != 1 {
		t.Errorf("the head came as %q", head)
	}
	for range 20 { // each is awaited before the next is sent: none may wait in the gateway
		chunk := "d\r\ndata: token\n\n\r\n"
		s.send(chunk)
		c.expect(chunk)
	}
	s.send("0\r\n\r\n")
	c.expect("0\r\n\r\n")
	if e := g.await(1)[0]; e.events != 20 {
		t.Errorf("%d events were counted, want 20", e.events)
	}
}

func TestManyRequestsInTurn(t *testing.T) {
	b := startBackend(t)
	b.serve(func(p *peer, req *http.Request, body string) { p.send(plain(200, body)) })
	g := startGateway(t, simple, b)
	c := g.dial()
	for range 200 {
		c.send(post("/echo", "hello"))
		if _, body := c.response("POST"); body != "hello" {
			t.Fatalf("got %q", body)
		}
	}
}

func TestLargeUploadAndLargeResponse(t *testing.T) {
	b := startBackend(t)
	b.serve(func(p *peer, req *http.Request, body string) { p.send(plain(200, body)) })
	g := startGateway(t, simple, b)
	for _, size := range []int{1, 4 << 10, 16<<10 - 100, 16 << 10, 60 << 10, 64 << 10, 65 << 10, 1 << 20, 20 << 20} {
		c := g.dial()
		want := strings.Repeat("x", size)
		go io.WriteString(c.conn, post("/", want))
		if _, body := c.response("POST"); body != want {
			t.Errorf("%d bytes came back, want %d", len(body), len(want))
		}
	}
}
