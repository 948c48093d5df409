package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func queueing(size int, timeout string) string {
	return fmt.Sprintf("pools: {only: {endpoints: [\"http://BACKEND\"], maxInFlight: 1, queue: {size: %d, timeout: %s}}}\n", size, timeout)
}

func TestQueueKeepsOrderAndHasAnEnd(t *testing.T) {
	b, g, c := start(t, queueing(5, "20s"))
	c.send(getRequest)
	s := b.accept()
	s.head()
	pool := g.dispatcher.Pool("only")
	var waiting []*peer
	for i := range 5 {
		w := g.dial()
		w.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\n\r\n{}", i))
		waiting = append(waiting, w)
		eventually(t, "the request waits", func() bool { return pool.QueueLen() == i+1 })
	}
	over := g.dial()
	for range 2 { // the refused client's connection stays
		over.send(post("/over", "{}"))
		res, body := over.response("POST")
		if res.StatusCode != 429 || !strings.Contains(body, `"code":"queue_full"`) || res.Header.Get("Retry-After") != "20" {
			t.Errorf("got %d %s with Retry-After %q, want 429 queue_full with 20", res.StatusCode, body, res.Header.Get("Retry-After"))
		}
	}
	s.send(plain(200, "first"))
	c.response("GET")
	for i, w := range waiting {
		req, _ := s.request()
		if want := fmt.Sprintf("/%d", i); req.URL.Path != want {
			t.Errorf("the backend got %s, want %s", req.URL.Path, want)
		}
		s.send(plain(200, req.URL.Path))
		if _, body := w.response("POST"); body != fmt.Sprintf("/%d", i) {
			t.Errorf("client %d got %q", i, body)
		}
	}
	b.idle()
}

func TestWaitingTooLong(t *testing.T) {
	b, g, c := start(t, queueing(5, "30ms"))
	c.send(getRequest)
	s := b.accept()
	s.head()
	late := g.dial()
	late.send(post("/late", "{}"))
	res, body := late.response("POST")
	if res.StatusCode != 504 || !strings.Contains(body, `"code":"queue_timeout"`) || res.Header.Get("Retry-After") != "1" {
		t.Errorf("got %d %s with Retry-After %q, want 504 queue_timeout with 1", res.StatusCode, body, res.Header.Get("Retry-After"))
	}
	g.wantEnded(0, dispatch.Refused, 504)
	s.send(plain(200, "ok"))
	c.response("GET")
	late.send("GET /again HTTP/1.1\r\nHost: gateway\r\n\r\n")
	if head := s.head(); !strings.HasPrefix(head, "GET /again ") {
		t.Errorf("the backend got %q", head)
	}
	b.idle()
}

func TestNoQueue(t *testing.T) {
	b, g, c := start(t, queueing(0, "1s"))
	c.send(getRequest)
	s := b.accept()
	s.head()
	other := g.dial()
	other.send(getRequest)
	if res, _ := other.response("GET"); res.StatusCode != 429 {
		t.Errorf("got %d, want 429", res.StatusCode)
	}
	// A streamed upload is refused without being read, and the connection ends with it.
	other = g.dial()
	other.send(uploadHead + chunk("begin"))
	if res, _ := other.response("POST"); res.StatusCode != 429 || !res.Close {
		t.Errorf("got %d (close: %v), want 429 and close", res.StatusCode, res.Close)
	}
	b.idle()
}

func TestQueuedUploadIsStreamedWhenItsTurnComes(t *testing.T) {
	b, g, c := start(t, queueing(5, "20s"))
	c.send(getRequest)
	s := b.accept()
	s.head()
	queued := g.dial()
	queued.send(uploadHead + chunk("begin"))
	eventually(t, "the upload waits", func() bool { return g.dispatcher.Pool("only").QueueLen() == 1 })
	queued.send(chunk("end") + "0\r\n\r\n")
	s.send(plain(200, "ok"))
	c.response("GET")
	s = b.accept() // uploads take no idle connection
	if _, body := s.request(); body != "beginend" {
		t.Errorf("the body came as %q", body)
	}
	s.send(plain(200, "ok"))
	queued.response("POST")
}
