package http2

import (
	"context"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// A stream that has to wait gets a goroutine for as long. Whoever wants the stream to end meanwhile says so in stream.gone or
// stream.verdict and wakes it.

// waitForEndpoint waits in the pool's queue.
func (s *stream) waitForEndpoint() { s.proceed(s.x.AdmitLater()) }

// proceed goes on with a stream that got an endpoint, or the answer that there is none.
func (s *stream) proceed(reply *dispatch.Reply) {
	b := getBatch()
	defer b.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.interrupted(b):
	case reply != nil:
		s.refuse(b, reply)
	default:
		s.connect(b)
	}
}

// interrupted ends a stream that is wanted no more.
func (s *stream) interrupted(b *batch) bool {
	s.cancel = nil
	switch {
	case s.gone:
		s.finish(b, dispatch.ClientGone)
	case s.verdict.reply != nil && !s.down.sentEnd:
		s.conclude(b, s.verdict)
	default:
		return false
	}
	return true
}

// waitWith lets whoever interrupts the stream end ctx. It reports false if somebody has done so already.
func (s *stream) waitWith(cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	return !s.gone && s.verdict.reply == nil
}

// waitForConnection waits for a connection to the endpoint that the stream has.
func (s *stream) waitForConnection() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	up := s.x.Endpoint.Upstream.(*bridge.Upstreams).HTTP2.(*Upstream)
	for s.waitWith(cancel) {
		u, err := up.wait(ctx)
		if err != nil && ctx.Err() == nil {
			s.x.Failed(err)
			s.proceed(s.x.Retry(dialOutcome(err), true))
			return
		}
		if err == nil && s.sendOn(u) {
			return
		}
	}
	s.proceed(nil)
}

// sendOn sends the request on a connection with room for it. It reports false if that was for nothing.
func (s *stream) sendOn(u *upstreamConn) bool {
	b := getBatch()
	defer b.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = nil
	if s.gone || s.verdict.reply != nil {
		u.up.release(u)
		return false
	}
	return s.send(b, u)
}

// tryAgain looks for another endpoint after an attempt that failed as o. unbegun says that the endpoint has not begun the request.
func (s *stream) tryAgain(b *batch, o dispatch.Outcome, unbegun bool) {
	again := unbegun && !s.replay.lost
	if again {
		s.up.replaceHeld(b, s.replay.b)
		s.up.done = false
	}
	s.goOn(stageWait, func() { s.proceed(s.x.Retry(o, again)) })
}
