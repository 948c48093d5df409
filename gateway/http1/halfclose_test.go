package http1

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

const allowHalfClose = simple + "clientHalfClose: allow\n"

func TestHalfCloseIsAnAbortByDefault(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(post("/x", "{}"))
	s := b.accept()
	s.request()
	c.closeWrite()
	s.gone()
	g.wantEnded(0, dispatch.ClientGone, 499)
	if got, _ := c.rest(); got != "" {
		t.Errorf("the client got %q", got)
	}
}

func TestHalfCloseIsAnsweredWhereAllowed(t *testing.T) {
	for _, request := range []string{getRequest, post("/x", "{}"), uploadHead + chunk("a") + "0\r\n\r\n"} {
		for _, response := range []string{plain(200, "answer"), chunkedHead + chunk("answer") + "0\r\n\r\n"} {
			b, g, c := start(t, allowHalfClose)
			c.send(request)
			c.closeWrite()
			s := b.accept()
			s.request()
			s.send(response[:len(response)-5])
			c.head()
			s.send(response[len(response)-5:])
			if got, err := c.rest(); !strings.Contains(got, "answer") || err != nil {
				t.Errorf("the client got %q and %v", got, err)
			}
			g.wantEnded(0, dispatch.Completed, 200)
		}
	}
}

func TestPipelinedRequestsBeforeAHalfClose(t *testing.T) {
	b, g, c := start(t, allowHalfClose)
	c.send(getRequest + getRequest + getRequest)
	c.closeWrite()
	s := b.accept()
	for range 3 {
		s.head()
		s.send(plain(200, "ok"))
		c.response("GET")
	}
	c.closed()
	g.await(3)
}

func TestResetAfterAHalfCloseIsAnAbort(t *testing.T) {
	b, g, c := start(t, allowHalfClose)
	c.send(post("/x", "{}"))
	c.closeWrite()
	s := b.accept()
	s.request()
	c.reset()
	s.gone()
	g.wantEnded(0, dispatch.ClientGone, 499)
}

func TestHalfCloseWithinAHead(t *testing.T) {
	b, g, c := start(t, allowHalfClose)
	c.send("GET /x HTTP/1.1\r\nHo")
	c.closeWrite()
	if res, body := c.response("GET"); res.StatusCode != 400 || !strings.Contains(body, "incomplete_head") {
		t.Errorf("got %d %s, want 400 incomplete_head", res.StatusCode, body)
	}
	g.wantEnded(0, dispatch.Refused, 400)
	b.idle()
}

func TestHalfCloseOfAnIdleClientEndsItsConnection(t *testing.T) {
	for _, yaml := range []string{simple, allowHalfClose} {
		b, _, c := start(t, yaml)
		warm(b, c)
		c.closeWrite()
		c.closed()
	}
}

func TestDrainClosesIdleClients(t *testing.T) {
	b, g, idle := start(t, simple)
	s := warm(b, idle)
	g.await(1) // only then is the upstream connection free for the next client
	busy := g.dial()
	busy.send(getRequest)
	s.head()
	g.server.Drain()
	idle.closed()
	s.send(plain(200, "ok"))
	if res, body := busy.response("GET"); body != "ok" || !res.Close {
		t.Errorf("got %q (close: %v), want close", body, res.Close)
	}
	busy.closed()
}
