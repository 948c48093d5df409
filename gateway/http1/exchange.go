package http1

import (
	"context"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
)

// exchange sends the request at the front of the buffer to an endpoint and relays the response. What has arrived of the body goes with
// the head; with stream, the rest follows as it arrives, which must not happen within the client's poll.
func (c *clientConn) exchange(stream bool) verdict {
	x := &c.x
	c.arm(phaseNone, 0, 0)
	if x.Traced() != nil {
		contentType, _ := c.sc.req.Get(field.ContentType)
		x.TraceRequest(contentType, c.payload())
	}
	if reply := x.Admit(); reply != nil {
		return c.refuse(reply)
	}
	for {
		outcome, again := c.attempt(stream && !c.req.complete)
		if c.resp.sent || outcome == dispatch.Completed || outcome == dispatch.ClientGone {
			return c.conclude(outcome)
		}
		reply := x.Retry(outcome, again)
		if reply != nil {
			return c.refuse(reply)
		}
		c.resp = response{}
		c.cut.Store(uint32(cutNone))
	}
}

// attempt tries one endpoint. again says whether it is safe to send the request once more: no endpoint has begun it, and it is all there.
func (c *clientConn) attempt(stream bool) (o dispatch.Outcome, again bool) {
	ways := c.x.Endpoint.Upstream.(*bridge.Upstreams)
	up, ok := ways.HTTP1.(*Upstream)
	if !ok {
		return c.attemptBridged(ways.For(false), stream)
	}
	u := c.connect(up, stream || c.x.Attempts > 1)
	if u == nil {
		if c.gone.Load() {
			return dispatch.ClientGone, false
		}
		return dispatch.ConnectFailed, true
	}
	out := c.outgoing()
	c.up.Store(u)
	if c.gone.Load() {
		c.interrupt(cutClient) // whoever set gone may have looked at up too early
		return dispatch.ClientGone, false
	}
	c.mirror(out, stream)
	c.sc.resp.Reset() // an earlier head may have broken off
	if stream {
		c.stream(u, out)
		out = outgoing{}
	} else {
		c.arm(phaseResponse, dispatch.Now(), c.times.response)
	}
	u.roundTrip(c, out)
	if c.resp.tunnel {
		c.tunnel(u)
	}
	c.arm(phaseNone, 0, 0)
	c.settle(u, up)
	return c.resp.failure, !stream && c.resp.failure == dispatch.StaleConnection
}

// connect returns a connection to the endpoint, nil if there is none to be had. A request whose body is streamed cannot be sent
// twice, and one that is tried again has met a stale connection or none: these do not take the risk that an idle one is stale.
func (c *clientConn) connect(up *Upstream, fresh bool) *upstreamConn {
	if !fresh {
		if u := up.get(c.shard); u != nil {
			return u
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.waiting.Store(&cancel)
	defer c.waiting.Store(nil)
	if c.gone.Load() {
		return nil
	}
	u, err := up.dial(ctx)
	if err != nil {
		c.x.Failed(err)
		return nil
	}
	return u
}

// settle ends the use of an upstream connection: back into the pool only if everything about its exchange was in order.
func (c *clientConn) settle(u *upstreamConn, up *Upstream) {
	r := &c.resp
	if c.upload.running {
		c.endUpload()
	}
	switch {
	case !c.up.CompareAndSwap(u, nil):
		// The watcher, the sweeper or the uploader has aborted it. A response that was complete by then stays complete.
		if !r.complete {
			c.interrupted(r)
		}
	case r.complete && !r.closeUp:
		u.used = true
		up.put(u, c.shard, max(c.x.LastToken, c.x.Started))
	case r.complete:
		u.retire()
	default:
		u.abort()
	}
}

// conclude ends an exchange whose response went to the client, wholly or in part, or whose client left.
func (c *clientConn) conclude(o dispatch.Outcome) verdict {
	r := &c.resp
	if o == dispatch.ClientGone && !r.sent {
		if v, answered := c.answerCut(); answered {
			return v
		}
	}
	c.finish(o)
	switch {
	case !r.complete && r.tillClose && !r.clientLost:
		return resetIt
	case !r.complete:
		return hangUp
	case !c.req.complete && !c.upload.complete.Load():
		return lingerIt
	case r.closeDown || c.srv.closing.Load() || c.gone.Load():
		return lingerIt
	}
	return again
}

// finish ends the exchange and drops the request from the buffer.
func (c *clientConn) finish(o dispatch.Outcome) {
	x, r, q := &c.x, &c.resp, &c.req
	if r.scanUsage {
		x.Usage, x.Events = r.usage.Usage, r.usage.Events
	}
	if len(r.trailers) > 0 && r.complete {
		bridge.LoadReports(x, bridgedLines(r.trailers))
	}
	x.RequestBytes += int64(q.bodyLen)
	x.Finish(o)
	c.srv.active.Add(-1)
	if c.in != nil {
		c.in.consume(q.headLen + q.bodyLen)
	}
	q.stage = stageHead
	c.arm(phaseIdle, x.Finished, c.times.idle)
}
