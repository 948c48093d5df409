package http1

import (
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestEarlyResponseEndsACarriedUpload(t *testing.T) {
	for _, length := range []int64{-1, 1 << 30} {
		b := startBackend(t)
		up := startUpstream(t, b)
		c, w := uploading(t)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for piece := strings.Repeat("x", 8000); ; {
				if _, err := io.WriteString(w, piece); err != nil {
					return
				}
			}
		}()
		k := carry(t, up, postOf(length, false), c)
		s := b.accept()
		s.head()
		s.send(plain(413, "too much"))
		k.ended(dispatch.Completed, false)
		<-sent // it was stopped
		if c.head.Status != 413 || c.text() != "too much" || !c.complete {
			t.Errorf("got %+v %q", c.head, c.text())
		}
		s.gone()
		// The connection was not kept for others.
		k = carry(t, up, get("/x"), newCaller(t, ""))
		s = b.accept()
		s.head()
		s.send(plain(200, "ok"))
		k.ended(dispatch.Completed, false)
	}
}

func TestBackendMayAnswerWhileItReadsACarriedUpload(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c, w := uploading(t)
	k := carry(t, up, postOf(-1, false), c)
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	<-c.headed
	var want string
	for range 3 {
		io.WriteString(w, "ping")
		s.expect(chunk("ping"))
		s.send(chunk("pong"))
		want += "pong"
		c.awaitText(want)
	}
	w.Close()
	s.expect("0\r\n\r\n")
	s.send("0\r\n\r\n")
	k.ended(dispatch.Completed, false)
	select {
	case <-c.stopped:
		t.Error("a client whose body was read was told to stop")
	default:
	}
	// The connection is in order.
	k = carry(t, up, get("/next"), newCaller(t, ""))
	s.head()
	s.send(plain(200, "ok"))
	k.ended(dispatch.Completed, false)
	b.idle()
}

// The last byte of a body may be known as such before the client says so.
func TestAnswerBeforeTheEndOfABodyOfKnownLength(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c, w := uploading(t)
	k := carry(t, up, postOf(4, false), c)
	s := b.accept()
	s.head()
	io.WriteString(w, "body")
	s.expect("body")
	s.send(plain(200, "ok"))
	k.ended(dispatch.Completed, false)
	k = carry(t, up, get("/next"), newCaller(t, ""))
	s.head()
	s.send(plain(200, "ok"))
	k.ended(dispatch.Completed, false)
	b.idle()
}
