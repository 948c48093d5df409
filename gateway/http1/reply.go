package http1

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/identity"
	"github.com/penstock/penstock/gateway/openai"
)

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// lineContinue tells a client to go on with its body.
var lineContinue = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// The answers that the engine gives by itself. The lifecycle's own are package dispatch's.
var (
	replyRequestTimeout = newReply(408, "request_timeout", "The request took too long to arrive: send it whole, without long pauses.")
	replyIncompleteHead = newReply(400, "incomplete_head", "The connection was half-closed before the request's head was complete.")
	replyConnect        = newReply(501, "connect_not_supported", "CONNECT is not supported: this is a gateway for model servers, not a forward proxy.")
	replyBodyTooLarge   = newReply(413, "body_too_large", "The request's body is larger than limits.bodyBytes allows.")
	replyModelTooDeep   = newReply(413, "model_not_found_in_body",
		"The model's name did not appear within limits.heldBodyBytes: put \"model\" before the large parts of the body.")
	replyEncodedBody = newReply(415, "encoded_body", "The route is chosen by the model's name, which cannot be read from a body with Content-Encoding: send it plain.")
	replyBadBody     = newReply(400, "invalid_chunk", "The chunked body is malformed.")
)

func newReply(status int, code, message string) *dispatch.Reply {
	return &dispatch.Reply{
		Status: status, Code: code, Message: message,
		ContentType: "application/json", Body: openai.AppendError(nil, status, code, message, ""),
	}
}

// refuse ends the exchange with an answer of the gateway's own.
func (c *clientConn) refuse(reply *dispatch.Reply) verdict {
	c.x.Refusal = reply
	if reply == dispatch.ClientLeft {
		c.finish(dispatch.ClientGone)
		return hangUp
	}
	unread := !c.req.complete && !c.advanceQuietly()
	last := unread || c.req.close || c.srv.draining.Load()
	c.x.Status = reply.Status
	err := c.writeReply(reply, c.x.RequestID, c.req.minor, last)
	c.finish(dispatch.Refused)
	switch {
	case err != nil:
		return hangUp
	case last || c.srv.closing.Load(): // Drain may have looked before finish
		return lingerIt
	}
	return again
}

// advanceQuietly reports whether the body has arrived whole, so that the connection can be kept after an answer that does not need it.
func (c *clientConn) advanceQuietly() bool {
	q := &c.req
	if q.stage != stageBody || q.length < 0 || c.in == nil || c.upload.streamed {
		return false
	}
	if int64(c.in.len()-q.headLen) < q.length {
		return false
	}
	q.complete, q.bodyLen = true, int(q.length)
	return true
}

// refuseHead answers a head that could not be parsed: there is no exchange, and nothing after it can be trusted.
func (c *clientConn) refuseHead(err error) verdict {
	var p *ParseError
	if !errors.As(err, &p) {
		panic("BUG: the parser returned an error of another type: " + err.Error())
	}
	return c.answerUnread(newReply(p.Status, p.Code, p.Reason))
}

// refuseBody answers a body whose framing is malformed.
func (c *clientConn) refuseBody(err error) verdict {
	var p *ParseError
	if errors.As(err, &p) {
		return c.refuse(newReply(p.Status, p.Code, p.Reason))
	}
	return c.refuse(replyBadBody)
}

// answerUnread answers a request that could not be read, and closes.
func (c *clientConn) answerUnread(reply *dispatch.Reply) verdict {
	x := &c.x
	if c.req.stage == stageHead {
		c.srv.active.Add(1)
		x.Reset(c.srv.dispatcher)
		x.Started, x.Protocol, x.Secure, x.ClientIP = dispatch.Now(), "HTTP/1.1", c.secure, c.remote
		identity.NewID(&c.id)
		x.RequestID = c.id[:]
		x.BeginTrace()
		c.req, c.resp = request{stage: stageBody, minor: 1}, response{}
	}
	x.Refusal, x.Status = reply, reply.Status
	err := c.writeReply(reply, x.RequestID, 1, true)
	c.req.headLen, c.req.bodyLen = 0, 0
	c.finish(dispatch.Refused)
	if err != nil {
		return hangUp
	}
	return lingerIt
}

// answerCut answers an exchange that was cut short for a reason that its client should know.
func (c *clientConn) answerCut() (verdict, bool) {
	switch cut(c.cut.Load()) {
	case cutBadBody:
		return c.refuse(replyBadBody), true
	case cutBodyTooLarge:
		return c.refuse(replyBodyTooLarge), true
	case cutBodyTimeout:
		c.unwake()
		return c.refuse(replyRequestTimeout), true
	}
	return 0, false
}

// writeReply sends an answer of the gateway's own.
func (c *clientConn) writeReply(r *dispatch.Reply, id []byte, minor uint8, last bool) error {
	out := append(c.scratch().down[:0], "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(r.Status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(r.Status)...)
	out = append(out, "\r\nContent-Type: "...)
	out = append(out, r.ContentType...)
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(r.Body)), 10)
	out = append(out, "\r\n"...)
	if r.RetryAfter > 0 {
		out = append(out, "Retry-After: "...)
		out = strconv.AppendInt(out, int64(r.RetryAfter), 10)
		out = append(out, "\r\n"...)
	}
	out = appendField(out, "x-request-id: ", id)
	switch {
	case last:
		out = append(out, "Connection: close\r\n"...)
	case minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	out = append(out, "\r\n"...)
	if !c.req.head {
		out = append(out, r.Body...)
		c.x.ResponseBytes = int64(len(r.Body))
	}
	c.scratch().down = out
	return c.write(out, nil)
}

// write sends head and then body to the client.
func (c *clientConn) write(head, body []byte) error {
	if !c.secure {
		n, err := c.sock.WriteNow(head, body)
		if err != nil || n == len(head)+len(body) {
			return err
		}
		if n < len(head) {
			head = head[n:]
		} else {
			head, body = nil, body[n-len(head):]
		}
	}
	return c.writeSlowly(head, body)
}

// writeSlowly waits for a client that takes its bytes slowly, for as long as it may take none.
func (c *clientConn) writeSlowly(head, body []byte) error {
	before, until, began := c.phase.Load(), c.deadline.Load(), dispatch.Now()
	defer func() {
		if until != 0 {
			until += dispatch.Now() - began // the step before it is not to blame for the client's pause
		}
		c.phase.Store(before)
		c.deadline.Store(until)
	}()
	for _, p := range [...][]byte{head, body} {
		for len(p) > 0 {
			piece := p[:min(len(p), smallBuffer)]
			c.arm(phaseWrite, dispatch.Now(), c.times.write)
			if _, err := c.conn.Write(piece); err != nil {
				return err
			}
			p = p[len(piece):]
		}
	}
	return nil
}
