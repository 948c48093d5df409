package http1

import (
	"context"
	"io"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// scripted is an endpoint that speaks another version of HTTP, as a test plays it.
type scripted func(ctx context.Context, r *bridge.Request, c bridge.Client) bridge.Result

func (s scripted) Carry(ctx context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
	return s(ctx, r, c)
}

func (s scripted) Close() {}

// elsewhere is a configuration whose endpoint nobody listens at: scripted ones are never dialled.
const elsewhere = "pools: {only: {endpoints: [\"h2c://127.0.0.1:1\"]}}\n"

// startBridged serves the configuration with an endpoint of another protocol, and connects a client.
func startBridged(t *testing.T, yaml string, play scripted) (*gateway, *peer) {
	t.Helper()
	carrier = play
	t.Cleanup(func() { carrier = nil })
	g := startGateway(t, yaml)
	return g, g.dial()
}

// answer is what an endpoint does that answers a request whose body it has read.
func answer(c bridge.Client, h bridge.Response, body []string, trailers ...bridge.Field) bridge.Result {
	if _, err := io.Copy(io.Discard, readerOf(c)); err != nil {
		return bridge.Result{Outcome: dispatch.ClientGone, Err: err}
	}
	return respond(c, h, body, trailers...)
}

func respond(c bridge.Client, h bridge.Response, body []string, trailers ...bridge.Field) bridge.Result {
	err := c.Head(&h)
	for _, p := range body {
		if err == nil {
			err = c.Write([]byte(p))
		}
	}
	if err == nil {
		err = c.End(trailers)
	}
	if err != nil {
		return bridge.Result{Outcome: dispatch.ClientGone, Err: err}
	}
	return bridge.Result{}
}

// reader reads a client's body.
type reader struct{ c bridge.Client }

func (r reader) Read(p []byte) (int, error) { return r.c.Read(p) }

func readerOf(c bridge.Client) io.Reader { return reader{c} }
