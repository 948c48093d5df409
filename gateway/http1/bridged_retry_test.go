package http1

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

const twoElsewhere = `
pools:
  only:
    endpoints: ["h2c://127.0.0.1:1", "h2c://127.0.0.1:2"]
    eject: {consecutiveFailures: 0}
`

func TestWhichBridgedRequestsAreTriedAgain(t *testing.T) {
	unbegun := bridge.Result{Outcome: dispatch.StaleConnection, Unbegun: true, Err: errors.New("refused")}
	begun := bridge.Result{Outcome: dispatch.UpstreamReset, Err: errors.New("reset")}
	held, long := post("/x", "body"), "POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\nbody"
	for _, test := range []struct {
		name, request string
		read          int // bytes of the body that the first attempt reads
		result        bridge.Result
		attempts      int
		fresh         bool // the first attempt is to take a fresh connection
	}{
		{"held, unbegun", held, 0, unbegun, 2, false},
		{"held and read, unbegun", held, 4, unbegun, 2, false},
		{"held, begun", held, 4, begun, 1, false},
		{"an upload of which nothing was read, unbegun", long, 0, unbegun, 2, true},
		{"an upload of which what is held was read, unbegun", long, 4, unbegun, 2, true},
		{"an upload that was read, unbegun", long, 8, unbegun, 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var attempts atomic.Int32
			holding := make(chan struct{})
			g, c := startBridged(t, twoElsewhere, func(_ context.Context, r *bridge.Request, client bridge.Client) bridge.Result {
				if attempts.Add(1) == 1 {
					if r.Fresh != test.fresh {
						t.Errorf("Fresh is %v, want %v", r.Fresh, test.fresh)
					}
					b := make([]byte, test.read)
					if _, err := io.ReadFull(readerOf(client), b[:min(4, len(b))]); err != nil {
						t.Error(err)
					}
					close(holding)
					if _, err := io.ReadFull(readerOf(client), b[min(4, len(b)):]); err != nil {
						t.Error(err)
					}
					return test.result
				}
				if !r.Fresh {
					t.Error("the second attempt may take an idle connection")
				}
				b := make([]byte, 4)
				if _, err := io.ReadFull(readerOf(client), b); string(b) != "body" || err != nil {
					t.Errorf("the second attempt got %q (%v)", b, err)
				}
				return respond(client, bridge.Response{Status: 200, Length: 2}, []string{"ok"})
			})
			c.send(test.request)
			if <-holding; test.read > 4 {
				c.send("more")
			}
			want := 200
			if test.attempts == 1 {
				want = 502
			}
			if res, _ := c.response("POST"); res.StatusCode != want {
				t.Errorf("got %d, want %d", res.StatusCode, want)
			}
			if e := g.await(1)[0]; e.attempts != test.attempts {
				t.Errorf("%d attempts were made, want %d", e.attempts, test.attempts)
			}
		})
	}
}
