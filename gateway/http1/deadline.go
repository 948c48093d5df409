package http1

import (
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// Deadlines cost the data path one atomic store: each connection notes when its present step must be over, and one sweeper looks at all
// connections a few times per shortest timeout. No timer is started or stopped for a request.

// phase is the step that a client connection's deadline is for.
type phase uint32

const (
	phaseNone     phase = iota
	phaseIdle           // waiting for a request
	phaseHead           // a request's head has begun
	phaseBody           // a request's body has begun, and is being gathered
	phaseResponse       // the request was sent, no response head yet
	phaseStream         // the response is being relayed
	phaseWrite          // the client takes no bytes
)

// timeouts are config.Timeouts in nanoseconds; 0 is none.
type timeouts struct {
	head, body, idle, response, stream, write int64
	tick                                      time.Duration // how often the sweeper looks
}

func newTimeouts(c *config.Timeouts) timeouts {
	t := timeouts{
		head: int64(c.RequestHead.Std()), body: int64(c.RequestBody.Std()), idle: int64(c.KeepAlive.Std()),
		response: int64(c.ResponseHeader.Std()), stream: int64(c.StreamIdle.Std()), write: int64(c.Write.Std()),
	}
	shortest := int64(4 * time.Second)
	for _, d := range []int64{t.head, t.body, t.idle, t.response, t.stream, t.write} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	t.tick = max(time.Duration(shortest/4), 5*time.Millisecond)
	return t
}

// arm sets what the connection is doing and until when; now is on dispatch.Now's scale and timeout 0 is no limit.
func (c *clientConn) arm(p phase, now, timeout int64) {
	c.phase.Store(uint32(p))
	if timeout == 0 {
		c.deadline.Store(0)
		return
	}
	c.deadline.Store(now + timeout)
}

// sweep enforces deadlines until the server closes.
func (s *Server) sweep() {
	tick := time.NewTicker(s.settings.Load().times.tick)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.retime:
			tick.Reset(s.settings.Load().times.tick)
		case <-tick.C:
			now := dispatch.Now()
			s.mu.Lock()
			for c := range s.conns {
				c.expire(now)
			}
			s.mu.Unlock()
			for _, u := range s.allUpstreams() {
				u.sweep(now)
			}
		}
	}
}

// expire ends the connection's present step if its deadline has passed. It runs on the sweeper's goroutine.
func (c *clientConn) expire(now int64) {
	if d := c.bodyDeadline.Load(); d != 0 && now > d && c.bodyDeadline.CompareAndSwap(d, 0) {
		c.interrupt(cutBodyTimeout)
		c.sock.WakeReader()
	}
	if d := c.sendDeadline.Load(); d != 0 && now > d && c.sendDeadline.CompareAndSwap(d, 0) && phase(c.phase.Load()) == phaseNone {
		c.interrupt(cutUpstreamTimeout)
	}
	d := c.deadline.Load()
	if d == 0 || now <= d || !c.deadline.CompareAndSwap(d, 0) {
		return
	}
	switch phase(c.phase.Load()) {
	case phaseIdle:
		c.readCut.CompareAndSwap(uint32(cutNone), uint32(cutIdle))
		c.sock.WakeReader()
	case phaseHead, phaseBody:
		c.readCut.CompareAndSwap(uint32(cutNone), uint32(cutReadTimeout))
		c.sock.WakeReader()
	case phaseResponse, phaseStream:
		if c.tunnelling.Load() {
			c.leave(cutUpstreamTimeout)
		}
		c.interrupt(cutUpstreamTimeout)
	case phaseWrite:
		c.leave(cutWriteTimeout)
	}
}
