package http1

import (
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestEarlyResponseEndsACarriedUpload(t *testing.T) {
	for _, length := range []int64{-1, 1 << 30} {
		b := startBackend(t)
		up := startUpstream(t, b)
		c, w := bridgetest.NewUploader(t)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for piece := strings.Repeat("x", 8000); ; {
				if _, err := io.WriteString(w, piece); err != nil {
					return
				}
			}
		}()
		k := bridgetest.Carry(t, up, postOf(length, false), c)
		s := b.accept()
		s.head()
		s.send(plain(413, "too much"))
		k.Ended(dispatch.Completed, false)
		<-sent // it was stopped
		if c.Response.Status != 413 || c.Text() != "too much" || !c.Complete {
			t.Errorf("got %+v %q", c.Response, c.Text())
		}
		s.gone()
		// The connection was not kept for others.
		k = bridgetest.Carry(t, up, get("/x"), bridgetest.NewClient(t, ""))
		s = b.accept()
		s.head()
		s.send(plain(200, "ok"))
		k.Ended(dispatch.Completed, false)
	}
}

func TestBackendMayAnswerWhileItReadsACarriedUpload(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c, w := bridgetest.NewUploader(t)
	k := bridgetest.Carry(t, up, postOf(-1, false), c)
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	<-c.Headed
	var want string
	for range 3 {
		io.WriteString(w, "ping")
		s.expect(chunk("ping"))
		s.send(chunk("pong"))
		want += "pong"
		c.AwaitText(want)
	}
	w.Close()
	s.expect("0\r\n\r\n")
	s.send("0\r\n\r\n")
	k.Ended(dispatch.Completed, false)
	select {
	case <-c.Stopped:
		t.Error("a client whose body was read was told to stop")
	default:
	}
	// The connection is in order.
	k = bridgetest.Carry(t, up, get("/next"), bridgetest.NewClient(t, ""))
	s.head()
	s.send(plain(200, "ok"))
	k.Ended(dispatch.Completed, false)
	b.idle()
}

// The last byte of a body may be known as such before the client says so.
func TestAnswerBeforeTheEndOfABodyOfKnownLength(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c, w := bridgetest.NewUploader(t)
	k := bridgetest.Carry(t, up, postOf(4, false), c)
	s := b.accept()
	s.head()
	io.WriteString(w, "body")
	s.expect("body")
	s.send(plain(200, "ok"))
	k.Ended(dispatch.Completed, false)
	k = bridgetest.Carry(t, up, get("/next"), bridgetest.NewClient(t, ""))
	s.head()
	s.send(plain(200, "ok"))
	k.Ended(dispatch.Completed, false)
	b.idle()
}
