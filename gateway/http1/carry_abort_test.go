package http1

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestEndOfACallFreesItsEndpointAtOnce(t *testing.T) {
	tests := []struct {
		name    string
		request *bridge.Request
		play    func(c *bridgetest.Client, w io.Writer, s *peer) // from the request's arrival at the backend to the end
	}{
		{"before the response's head", get("/x"), func(c *bridgetest.Client, w io.Writer, s *peer) { s.head() }},
		{"in a stream", get("/x"), func(c *bridgetest.Client, w io.Writer, s *peer) {
			s.head()
			s.send(chunkedHead + chunk("token"))
			c.AwaitText("token")
		}},
		{"in an upload", postOf(-1, false), func(c *bridgetest.Client, w io.Writer, s *peer) {
			s.head()
			io.WriteString(w, "begin")
			s.expect(chunk("begin"))
		}},
		{"in an upload that is answered already", postOf(-1, false), func(c *bridgetest.Client, w io.Writer, s *peer) {
			s.head()
			s.send(chunkedHead)
			<-c.Headed
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			var took []time.Duration
			for range 20 {
				c, w := bridgetest.NewUploader(t)
				k := bridgetest.Carry(t, up, test.request, c)
				s := b.accept()
				test.play(c, w, s)
				left := time.Now()
				k.Cancel()
				took = append(took, s.gone().Sub(left))
				if r := k.Ended(dispatch.ClientGone, false); !errors.Is(r.Err, context.Canceled) {
					t.Errorf("the error is %v", r.Err)
				}
				if c.Complete {
					t.Error("the response was ended as if it were complete")
				}
			}
			wantPrompt(t, took)
		})
	}
}

func TestCallThatEndsBeforeItBeginsReachesNobody(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r := up.Carry(ctx, get("/x"), bridgetest.NewClient(t, "")); r.Outcome != dispatch.ClientGone || r.Unbegun {
		t.Errorf("the call ended as %+v", r)
	}
	s := idleConnection(t, b, up)
	if r := up.Carry(ctx, get("/x"), bridgetest.NewClient(t, "")); r.Outcome != dispatch.ClientGone {
		t.Errorf("the call ended as %+v", r)
	}
	if got, _ := s.rest(); got != "" {
		t.Errorf("the backend got %q", got)
	}
}

func TestClientThatTakesNoMoreEndsItsCall(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c := bridgetest.NewClient(t, "")
	c.Taking = func([]byte) error { return errors.New("the stream was reset") }
	k := bridgetest.Carry(t, up, get("/x"), c)
	s := b.accept()
	s.head()
	s.send(chunkedHead + chunk("token"))
	k.Ended(dispatch.ClientGone, false)
	s.gone()
}

// While the client takes nothing the endpoint is not read, and the end of the call is still noticed.
func TestSlowClientHoldsUpItsEndpoint(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c := bridgetest.NewClient(t, "")
	taking, stuck := make(chan struct{}), make(chan struct{}, 1)
	ended := make(chan struct{})
	c.Taking = func([]byte) error {
		select {
		case stuck <- struct{}{}:
		default:
		}
		select {
		case <-taking:
			return nil
		case <-ended:
			return context.Canceled
		}
	}
	k := bridgetest.Carry(t, up, get("/x"), c)
	s := b.accept()
	s.head()
	s.send(chunkedHead)
	filled := make(chan int)
	go func() {
		s.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		piece, n := chunk(strings.Repeat("x", 8000)), 0
		for {
			m, err := io.WriteString(s.conn, piece)
			n += m
			if err != nil || n > 100<<20 {
				filled <- n
				return
			}
		}
	}()
	<-stuck
	taking <- struct{}{}
	<-stuck
	if n := <-filled; n > 100<<20 {
		t.Errorf("the endpoint could send %d bytes to a client that takes none", n)
	}
	k.Cancel()
	close(ended)
	k.Ended(dispatch.ClientGone, false)
	s.gone()
}

func TestClosingTheServerEndsCalls(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	k := bridgetest.Carry(t, up, get("/x"), bridgetest.NewClient(t, ""))
	s := b.accept()
	s.head()
	up.srv.Close()
	s.gone()
	k.Ended(dispatch.ClientGone, false)
	bridgetest.Carry(t, up, get("/x"), bridgetest.NewClient(t, "")).Ended(dispatch.ConnectFailed, true)
	b.idle()
}
