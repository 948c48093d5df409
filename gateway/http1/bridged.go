package http1

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

var _ bridge.Client = (*bridged)(nil)

// bridged is the client's side of an attempt whose endpoint speaks another version of HTTP. The client's connection does for it what it
// does for endpoints that speak HTTP/1.1: what leaves, and what comes back, is made of the same parts.
type bridged struct {
	c *clientConn

	// What Read goes by.
	held     [2][]byte   // what is held of the body's payload and was not read yet
	trailers []byte      // the request's trailer lines
	read     bool        // the connection was read from
	bodyRead atomic.Bool // nothing of what is held of the request is needed any more

	// What the response goes by.
	takesTrailers bool
	chunked       bool   // the client gets chunks
	left          int64  // bytes of the body that are missing; negative where the length is unknown
	frame         []byte // what is sent to the client, beside the payload
}

// attemptBridged is attempt for an endpoint that speaks another version of HTTP. Asking for a tunnel is ignored there, as RFC 9110,
// section 7.8, allows: the request goes on without it.
func (c *clientConn) attemptBridged(e bridge.Endpoint, stream bool) (o dispatch.Outcome, again bool) {
	b := &bridged{c: c, takesTrailers: c.sc.req.TETrailers && c.req.minor > 0}
	out := c.outgoing()
	request, headLen := bridgedRequest(out.head, c.scheme())
	request.Held, request.Fresh = !stream, stream || c.x.Attempts > 1
	c.mirror(out, stream)
	b.hold(&request, out.head[headLen:], out.body)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.waiting.Store(&cancel)
	defer c.waiting.Store(nil)
	if c.gone.Load() {
		c.interrupt(cutClient) // whoever set gone may have looked at waiting too early
		return dispatch.ClientGone, false
	}
	c.upload.begin(stream)
	c.upload.unframed = true
	if !stream {
		c.arm(phaseResponse, dispatch.Now(), c.times.response)
	}
	result := e.Carry(ctx, &request, b)
	c.sendDeadline.Store(0)
	c.arm(phaseNone, 0, 0)
	b.settle()
	b.judge(result)
	return c.resp.failure, result.Unbegun && !b.read
}

// settle ends the reading of the request.
func (b *bridged) settle() {
	c := b.c
	up := &c.upload
	up.running = false
	switch {
	case b.read:
		c.endStreamed()
	case up.streamed:
		up.streamed = false // what is held of it is still there
	}
	if up.stopping.Load() && up.complete.Load() {
		c.unwake() // StopReading may have come just before the last byte
	}
}

// judge says how the exchange went.
func (b *bridged) judge(result bridge.Result) {
	r := &b.c.resp
	if result.Err != nil {
		b.c.x.Failed(result.Err)
	}
	switch {
	case r.complete || b.c.interrupted(r):
	case result.Outcome == dispatch.Completed:
		r.fail(dispatch.UpstreamBroken)
	default:
		r.fail(result.Outcome)
	}
}

// Why the methods of a client end a call.
var (
	errResponseOver = errors.New("the response is over")
	errBrokeOff     = errors.New("the client sent no more before its body was complete")
	errBadBody      = errors.New("the client's body is malformed or too large")
	errBadResponse  = errors.New("the response cannot be sent as HTTP/1.1")
)
