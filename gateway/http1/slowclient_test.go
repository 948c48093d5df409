package http1

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestClientThatReadsNothingIsGivenUp(t *testing.T) {
	b, g, c := start(t, simple+"timeouts: {write: 100ms}\n")
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	piece := chunk(strings.Repeat("x", 60_000))
	for { // until the gateway gives up
		if _, err := io.WriteString(s.conn, piece); err != nil {
			break
		}
	}
	g.wantEnded(0, dispatch.ClientGone, 499)
	if got, _ := c.rest(); strings.HasSuffix(got, "0\r\n\r\n") {
		t.Error("the response ended as if it were complete")
	}
}

func TestClientThatReadsSlowlyGetsEverything(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	piece := chunk(strings.Repeat("0123456789", 6_000))
	const n = 300 // 18 MB: more than the sockets on the way hold
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(s.conn, chunkedHead+strings.Repeat(piece, n)+"0\r\n\r\n")
		sent <- err
	}()
	if got := c.head(); len(headerLines(got, "Transfer-Encoding")) != 1 {
		t.Errorf("got %q", got)
	}
	for range n {
		c.expect(piece)
	}
	c.expect("0\r\n\r\n")
	if err := <-sent; err != nil {
		t.Error(err)
	}
	g.wantEnded(0, dispatch.Completed, 200)
}

// A stream's bytes wait for nothing: not for more, and not for another stream.
func TestSlowClientDoesNotHoldUpOthers(t *testing.T) {
	b, g, slow := start(t, simple)
	slow.send(getRequest)
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	go io.WriteString(s.conn, strings.Repeat(chunk(strings.Repeat("x", 60_000)), 300))
	slow.head()
	c := g.dial()
	c.send(getRequest)
	s2 := b.accept()
	s2.head()
	s2.send(chunkedHead)
	c.head()
	for range 20 {
		s2.send(chunk("token"))
		c.expect(chunk("token"))
	}
	slow.reset()
	s.gone()
}

func TestHeadIsSentBeforeTheBodyComes(t *testing.T) {
	for _, head := range []string{chunkedHead, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"} {
		b, _, c := start(t, simple)
		c.send(getRequest)
		s := b.accept()
		s.head()
		s.send(head)
		c.head()
	}
}

// The watcher and the sweeper look after all connections: one whose client takes nothing must not hold them up.
func TestStuckClientDoesNotBlindTheWatcher(t *testing.T) {
	b, g, stuck := start(t, simple)
	stuck.send(getRequest)
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	s.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	io.WriteString(s.conn, strings.Repeat(chunk(strings.Repeat("x", 60_000)), 500)) // until every buffer on the way is full
	stuck.closeWrite()
	g.wantEnded(0, dispatch.ClientGone, 499)
	c := g.dial()
	c.send(getRequest)
	other := b.accept()
	other.head()
	c.close()
	other.gone()
	g.wantEnded(1, dispatch.ClientGone, 499)
}
