package http2

import (
	"strconv"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
)

// The answers that the engine gives by itself. The lifecycle's own are package dispatch's.
var (
	replyHeadTooLarge   = dispatch.NewReply(431, "head_too_large", "the head is larger, or has more fields, than this gateway takes", "", 0)
	replyTargetTooLong  = dispatch.NewReply(414, "target_too_long", "the path is longer than this gateway takes", "", 0)
	replyBodyTooLarge   = dispatch.NewReply(413, "body_too_large", "the request's body is larger than limits.bodyBytes allows", "", 0)
	replyRequestTimeout = dispatch.NewReply(408, "request_timeout", "the request took too long to arrive: send it whole, without long pauses", "", 0)
	replyModelTooDeep   = dispatch.NewReply(413, "model_not_found_in_body",
		"the model's name did not appear within limits.heldBodyBytes: put it before the large parts of the request", "", 0)
	replyEncodedBody = dispatch.NewReply(415, "encoded_body",
		"the route is chosen by the model's name, which cannot be read from a compressed request: send it plain", "", 0)
	replyBadMessage = dispatch.NewReply(400, "invalid_message",
		"the route is chosen by the model's name, and the first message of the call is not the protobuf message in which it is looked for", "", 0)
	replyModelTooLong = dispatch.NewReply(413, "message_too_large", "the message is too long to have its model's name replaced", "", 0)
)

// refuse answers a request that no endpoint gets.
func (s *stream) refuse(b *batch, reply *dispatch.Reply) {
	s.conclude(b, verdict{reply, dispatch.Refused})
}

// fail answers a request whose endpoint failed.
func (s *stream) fail(b *batch, o dispatch.Outcome) {
	s.conclude(b, verdict{dispatch.FailureReply(o), o})
}

// conclude ends a stream with an answer of the gateway's own. The endpoint has nothing to do with it any more.
func (s *stream) conclude(b *batch, v verdict) {
	x := &s.x
	if v.reply.Code != "" || v.outcome != dispatch.Refused {
		x.Refusal = v.reply
	}
	switch {
	case v.reply == dispatch.ClientLeft:
		s.finish(b, dispatch.ClientGone)
	case s.head.grpc:
		x.GRPCStatus = int(grpc.CodeOf(v.reply.Status, v.reply.Code))
		if v.outcome == dispatch.DeadlineExceeded && s.amidMessage() {
			// Clients take trailers within a message for a fault, whatever status they have; what this means they know by their own clock.
			s.c.resetStream(b, s.id, errCancel)
			s.finish(b, v.outcome)
			return
		}
		s.sendStatus(b, v.reply)
		s.answeredAll(b, v.outcome)
	case s.headSent:
		// An end would be a lie.
		s.c.resetStream(b, s.id, errInternal)
		s.finish(b, v.outcome)
	default:
		s.sendReply(b, v)
	}
}

// amidMessage reports whether the client may have got the beginning of a message without its end.
func (s *stream) amidMessage() bool {
	return s.headSent && (s.down.heldLen() > 0 || s.messages.Within())
}

// sendStatus ends a call with a status: in trailers, or in trailers alone.
func (s *stream) sendStatus(b *batch, r *dispatch.Reply) {
	c, code := s.c, grpc.Code(s.x.GRPCStatus)
	retryAfter := time.Duration(r.RetryAfter) * time.Second
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	mark := c.beginBlock()
	if !s.headSent {
		s.x.Status = r.Status
		c.field(":status", "200")
		c.field("content-type", "application/grpc")
	}
	c.field("grpc-status", strconv.Itoa(int(code)))
	message := r.Message
	if r.Code != "" {
		message = r.Code + ": " + message
	}
	c.secret("grpc-message", stringOf(grpc.AppendMessage(nil, message)))
	c.secret("grpc-status-details-bin", stringOf(grpc.AppendDetailsBin(nil, code, message, r.Code, retryAfter)))
	if !s.headSent {
		c.secret("x-request-id", stringOf(s.x.RequestID))
	}
	c.endBlock(b, mark, s.id, true)
	s.headSent = true
}

// sendReply answers a request that is no call.
func (s *stream) sendReply(b *batch, v verdict) {
	c, r, x := s.c, v.reply, &s.x
	x.Status = r.Status
	empty := len(r.Body) == 0 || s.head.method == "HEAD"
	c.mu.Lock()
	if !c.dead {
		mark := c.beginBlock()
		c.field(":status", strconv.Itoa(r.Status))
		c.field("content-type", r.ContentType)
		c.secret("content-length", strconv.Itoa(len(r.Body)))
		if r.RetryAfter > 0 {
			c.field("retry-after", strconv.Itoa(r.RetryAfter))
		}
		c.secret("x-request-id", stringOf(x.RequestID))
		c.endBlock(b, mark, s.id, empty)
	}
	c.mu.Unlock()
	s.headSent, s.stage, s.outcome = true, stageReply, v.outcome
	s.up.abandon(b, errAbandoned)
	if empty {
		s.answeredAll(b, v.outcome)
		return
	}
	s.answered = int64(len(r.Body))
	s.down.from, s.down.ended = nil, true
	s.until.Store(0)
	s.down.push(b, r.Body)
}
