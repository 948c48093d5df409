package http2

import (
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
)

// laneDone is called when a direction has delivered its end.
func (s *stream) laneDone(b *batch, l *lane) {
	switch {
	case l == &s.up:
		if s.stage == stageRelay && !s.headSent {
			s.await(s.opts.times.response, true)
		}
	case s.stage == stageReply:
		s.answeredAll(b, s.outcome)
	case s.stage == stageRelay:
		if s.head.grpc && !s.status && s.x.GRPCStatus < 0 {
			s.x.GRPCStatus, s.x.Status = int(grpc.Unknown), grpc.HTTPStatus(grpc.Unknown) // what a client makes of a response without a status
		}
		if !s.up.done {
			s.endUpstream(b, errCancel) // the rest of the request is of no use
		}
		s.answeredAll(b, dispatch.Completed)
	}
}

// answeredAll ends a stream whose response is over.
func (s *stream) answeredAll(b *batch, o dispatch.Outcome) {
	if !s.up.ended {
		s.c.resetStream(b, s.id, errNone) // the client need not send the rest (RFC 9113, section 8.1)
	}
	s.finish(b, o)
}

// letGo takes the stream off an endpoint whose response is whole, though the client has yet to take the rest of it. Such an endpoint does
// not want the rest of the request, and says so by NO_ERROR (RFC 9113, section 8.1); nor does it matter any more how it fares.
func (s *stream) letGo(b *batch) {
	s.disconnect(b)
	s.up.abandon(b, errAbandoned)
}

// endpointReset takes RST_STREAM of the endpoint.
func (s *stream) endpointReset(b *batch, u *upstreamConn, id uint32, code errCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on(u, id) {
		return
	}
	if s.down.ended {
		s.letGo(b)
		return
	}
	s.disconnect(b)
	s.x.Failed(connErrorf(code, "the endpoint reset the stream"))
	if code == errNone {
		code = errInternal // the client must not take half a response for a whole one
	}
	switch {
	case code == errRefused && !s.headSent:
		s.tryAgain(b, dispatch.StreamRefused, true)
	case !s.headSent && !s.head.grpc:
		s.fail(b, dispatch.UpstreamReset)
	default:
		// The client makes of the code what it would without a gateway.
		s.c.resetStream(b, s.id, code)
		s.finish(b, s.resetOutcome(code))
	}
}

// resetOutcome says what a reset by the endpoint is. Endpoints cancel calls whose deadline has passed.
func (s *stream) resetOutcome(code errCode) dispatch.Outcome {
	switch deadline := s.deadline.Load(); {
	case code == errCancel && deadline != 0 && dispatch.Now() > deadline-deadlineSlack:
		return dispatch.DeadlineExceeded
	case s.headSent:
		return dispatch.UpstreamBroken
	}
	return dispatch.UpstreamReset
}

// lost is called when the endpoint's connection has ended, or will not serve the stream. unbegun says that the endpoint has not begun it.
func (s *stream) lost(b *batch, u *upstreamConn, id uint32, o dispatch.Outcome, unbegun bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on(u, id) {
		return
	}
	if s.down.ended {
		s.letGo(b)
		return
	}
	s.disconnect(b)
	s.x.Failed(err)
	switch {
	case unbegun && !s.headSent:
		s.tryAgain(b, o, true)
	case s.headSent:
		s.fail(b, dispatch.UpstreamBroken)
	default:
		s.fail(b, o)
	}
}

// begunAt is where in the connection's output the stream's head began.
func (s *stream) begunAt(u *upstreamConn, id uint32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on(u, id) {
		return 0
	}
	return s.mark
}
