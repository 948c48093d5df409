package http1

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// untilCut is an endpoint that does something and then waits for its call to be ended, and says when that was.
func untilCut(cut chan<- time.Time, first func(c bridge.Client)) scripted {
	return func(ctx context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
		first(c)
		<-ctx.Done()
		cut <- time.Now()
		return bridge.Result{Outcome: dispatch.ClientGone, Err: ctx.Err()}
	}
}

func TestLeavingClientEndsItsCallAtOnce(t *testing.T) {
	for _, test := range []struct {
		name, request string
		first         func(c bridge.Client)
		head          bool
	}{
		{"before the response's head", getRequest, func(bridge.Client) {}, false},
		{"in a stream", getRequest, func(c bridge.Client) { c.Head(&bridge.Response{Status: 200, Length: -1}) }, true},
		{"in an upload", uploadHead, func(c bridge.Client) {
			c.Head(&bridge.Response{Status: 200, Length: -1})
			if _, err := c.Read(make([]byte, 10)); err == nil || err == io.EOF {
				t.Errorf("reading ended with %v, want an error", err)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cut, begun := make(chan time.Time, 1), make(chan struct{}, 1)
			var took []time.Duration
			g, c := startBridged(t, elsewhere, untilCut(cut, func(c bridge.Client) {
				begun <- struct{}{}
				test.first(c)
			}))
			for i := range 20 {
				c.send(test.request)
				<-begun
				if test.head {
					c.head()
				}
				left := time.Now()
				c.close()
				took = append(took, (<-cut).Sub(left))
				g.wantEnded(i, dispatch.ClientGone, 499)
				c = g.dial()
			}
			wantPrompt(t, took)
		})
	}
}

func TestSilentEndpointsOverTheBridgeAreCut(t *testing.T) {
	const timeouts = "timeouts: {responseHeader: 50ms, streamIdle: 50ms}\n"
	t.Run("no answer", func(t *testing.T) {
		cut := make(chan time.Time, 1)
		g, c := startBridged(t, elsewhere+timeouts, untilCut(cut, func(bridge.Client) {}))
		c.send(post("/x", "{}"))
		if res, _ := c.response("POST"); res.StatusCode != 504 {
			t.Errorf("got %d, want 504", res.StatusCode)
		}
		<-cut
		g.wantEnded(0, dispatch.Refused, 504)
	})
	t.Run("no answer to an upload", func(t *testing.T) {
		cut := make(chan time.Time, 1)
		_, c := startBridged(t, elsewhere+timeouts, untilCut(cut, func(c bridge.Client) { io.Copy(io.Discard, readerOf(c)) }))
		c.send(uploadHead + chunk("begin") + "0\r\n\r\n")
		if res, _ := c.response("POST"); res.StatusCode != 504 {
			t.Errorf("got %d, want 504", res.StatusCode)
		}
		<-cut
	})
	t.Run("an upload that is not taken", func(t *testing.T) {
		cut := make(chan time.Time, 1)
		_, c := startBridged(t, elsewhere+timeouts, untilCut(cut, func(c bridge.Client) { c.Read(make([]byte, 1)) }))
		c.send(uploadHead + chunk("begin"))
		if res, _ := c.response("POST"); res.StatusCode != 504 {
			t.Errorf("got %d, want 504", res.StatusCode)
		}
		<-cut
	})
	t.Run("a pause in a stream", func(t *testing.T) {
		cut := make(chan time.Time, 1)
		g, c := startBridged(t, elsewhere+timeouts, untilCut(cut, func(c bridge.Client) {
			c.Head(&bridge.Response{Status: 200, Length: -1})
			c.Write([]byte("token"))
		}))
		c.send(getRequest)
		c.head()
		if got, _ := c.rest(); got != chunk("token") {
			t.Errorf("the client got %q", got)
		}
		<-cut
		g.wantEnded(0, dispatch.UpstreamTimeout, 200)
	})
}

// While the client takes nothing Write waits, and so does the endpoint.
func TestSlowClientHoldsUpItsBridgedEndpoint(t *testing.T) {
	wrote := make(chan int, 1)
	g, c := startBridged(t, elsewhere+"timeouts: {write: 100ms}\n", func(ctx context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
		c.Head(&bridge.Response{Status: 200, Length: -1})
		piece, n := []byte(strings.Repeat("x", 60_000)), 0
		for n < 100<<20 {
			if err := c.Write(piece); err != nil {
				wrote <- n
				return bridge.Result{Outcome: dispatch.ClientGone, Err: err}
			}
			n += len(piece)
		}
		wrote <- n
		return bridge.Result{}
	})
	c.send(getRequest)
	if n := <-wrote; n >= 100<<20 {
		t.Errorf("the endpoint could send %d bytes to a client that takes none", n)
	}
	g.wantEnded(0, dispatch.ClientGone, 499)
}
