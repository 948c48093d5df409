package http2

import (
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// Deadlines cost a request an atomic store per step. One sweeper looks at all streams: a few times per shortest timeout, and every few
// milliseconds while there are calls with a deadline of their own.

const (
	// deadlineTick is how late a call's own deadline is noticed at most.
	deadlineTick = 10 * time.Millisecond
	// deadlineSlack is how long before a call's deadline a cancellation by its endpoint is taken for one that the deadline caused, in ns.
	deadlineSlack = int64(50 * time.Millisecond)
	// pongTimeout is how long a peer may take to answer a PING, in ns.
	pongTimeout = int64(20 * time.Second)
)

// timeouts are config.Timeouts in nanoseconds; 0 is none.
type timeouts struct {
	head, body, idle, response, stream, write, ping int64
	tick                                            time.Duration // how often the sweeper looks
}

func newTimeouts(c *config.Timeouts) timeouts {
	t := timeouts{
		head: int64(c.RequestHead.Std()), body: int64(c.RequestBody.Std()), idle: int64(c.KeepAlive.Std()),
		response: int64(c.ResponseHeader.Std()), stream: int64(c.StreamIdle.Std()), write: int64(c.Write.Std()), ping: int64(c.Ping.Std()),
	}
	shortest := int64(4 * time.Second)
	for _, d := range []int64{t.head, t.body, t.idle, t.response, t.stream, t.write, t.ping} {
		if d > 0 {
			shortest = min(shortest, d)
		}
	}
	t.tick = max(time.Duration(shortest/4), 5*time.Millisecond)
	return t
}

// sweep enforces deadlines until the server closes.
func (s *Server) sweep() {
	next := time.Now().Add(s.tick())
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.retime:
			if sooner := time.Now().Add(s.tick()); sooner.Before(next) { // never later, however often it is asked for
				next = sooner
			}
		case <-timer.C:
			s.look(dispatch.Now())
			next = time.Now().Add(s.tick())
		}
		timer.Reset(time.Until(next))
	}
}

func (s *Server) tick() time.Duration {
	tick := s.settings.Load().times.tick
	if s.deadlines.Load() > 0 {
		tick = min(tick, deadlineTick)
	}
	return tick
}

// look ends what has taken too long.
func (s *Server) look(now int64) {
	times := &s.settings.Load().times
	b := getBatch()
	defer b.release()
	for _, c := range s.connections() {
		c.expire(b, now, times)
	}
	for _, up := range s.allUpstreams() {
		up.expire(b, now, times)
	}
}

// late is a stream whose time is over.
type late struct {
	s  *stream
	id uint32
}

func (c *clientConn) expire(b *batch, now int64, times *timeouts) {
	if c.expireConn(now, times) || passed(c.midway.Load(), times.head, now) {
		c.kill()
		return
	}
	c.checkAlive(b, now, times)
	if c.srv.draining.Load() || passed(c.idleSince.Load(), times.idle, now) {
		c.shutDown()
	}
	c.mu.Lock()
	var over []late
	for id, s := range c.streams {
		if d := s.deadline.Load(); d != 0 && now > d {
			over = append(over, late{s, id})
		} else if u := s.until.Load(); u != 0 && now > u {
			over = append(over, late{s, id})
		} else if passed(s.stalled.Load(), times.write, now) {
			over = append(over, late{s, id})
		}
	}
	c.mu.Unlock()
	for _, l := range over {
		l.s.expire(b, l.id, now)
	}
}

func passed(since, limit, now int64) bool { return since != 0 && limit != 0 && now-since > limit }

// expireConn reports whether the peer takes nothing, or gives no sign of life, for too long.
func (c *conn) expireConn(now int64, times *timeouts) bool {
	return passed(c.stuck.Load(), times.write, now) || passed(c.asked.Load(), pongTimeout, now)
}

// checkAlive asks a peer that is silent for a sign of life.
func (c *conn) checkAlive(b *batch, now int64, times *timeouts) {
	if !passed(c.heard.Load(), times.ping, now) || !c.asked.CompareAndSwap(0, now) {
		return
	}
	c.send(b, func(dst []byte) []byte { return appendPing(dst, 0, pingData) })
}

// pingData is what our PINGs carry.
var pingData = []byte("penstock")

// expire ends a stream whose time is over.
func (s *stream) expire(b *batch, id uint32, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.is(id) {
		return
	}
	if d := s.deadline.Load(); d != 0 && now > d {
		s.stop(b, verdict{dispatch.FailureReply(dispatch.DeadlineExceeded), dispatch.DeadlineExceeded})
		return
	}
	if passed(s.stalled.Load(), s.opts.times.write, now) {
		// The client takes no more of its response.
		s.c.resetStream(b, id, errCancel)
		s.leave(b)
		return
	}
	u := s.until.Load()
	if u == 0 || now <= u {
		return
	}
	s.until.Store(0)
	heldUp := s.stage == stageRelay && !s.up.ended && !s.headSent && s.up.heldLen() > 0
	switch {
	case s.down.heldLen() > 0:
		s.await(s.opts.times.stream, true) // it is the client that takes its time, which is bounded by timeouts.write
	case heldUp && !s.blocked:
		s.blocked = true // it is the endpoint that takes no more; it has as long for that as for its answer
		s.await(s.opts.times.response, true)
	case heldUp:
		s.stop(b, verdict{dispatch.FailureReply(dispatch.UpstreamTimeout), dispatch.UpstreamTimeout})
	case !s.up.ended && !s.headSent:
		s.stop(b, verdict{replyRequestTimeout, dispatch.ClientGone})
	default:
		s.stop(b, verdict{dispatch.FailureReply(dispatch.UpstreamTimeout), dispatch.UpstreamTimeout})
	}
}

// expire ends the connections that are dead, or have been idle for long.
func (up *Upstream) expire(b *batch, now int64, times *timeouts) {
	up.mu.Lock()
	conns := append([]*upstreamConn(nil), up.conns...)
	up.mu.Unlock()
	for _, u := range conns {
		switch {
		case u.expireConn(now, times):
			u.kill()
		case passed(u.idleSince.Load(), upstreamIdle, now):
			up.departIdle(b, u)
		case u.idleSince.Load() == 0:
			u.checkAlive(b, now, times)
		}
	}
}

// departIdle ends a connection unless it has been given a stream meanwhile.
func (up *Upstream) departIdle(b *batch, u *upstreamConn) {
	up.mu.Lock()
	idle := u.taken == 0
	u.full = u.full || idle
	up.mu.Unlock()
	if idle {
		u.depart(b)
	}
}
