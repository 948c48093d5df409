package http1

import (
	"strconv"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/route"
)

// joinBytes is the longest body that is copied behind its head, so that both go out in one plain write.
const joinBytes = 4 << 10

// outgoing is a request as it is sent to an endpoint: two pieces, the second one often empty.
type outgoing struct{ head, body []byte }

// always are the fields that the gateway writes itself, whoever sent them.
var (
	skipAlways    = NewFieldSet(field.XRequestID, field.XForwardedFor, field.XForwardedProto, field.XForwardedHost)
	skipUntrusted = NewFieldSet(field.XRequestID, field.XForwardedFor, field.XForwardedProto, field.XForwardedHost,
		field.XForwardedPort, field.XRealIP, field.Forwarded)
)

// outgoing builds the request that is sent upstream. What has arrived of the body goes with the head; the rest is streamed.
func (c *clientConn) outgoing() outgoing {
	h, q, x := &c.sc.req, &c.req, &c.x
	trusted := c.trusted()
	skip := *skipUntrusted
	if trusted {
		skip = *skipAlways
	}
	body := c.in.bytes()[q.headLen:][:q.bodyLen]
	out := append(c.sc.out[:0], h.Method...)
	out = append(out, ' ')
	out = x.Route.AppendPath(out, h.Path)
	out = append(out, " HTTP/1.1\r\n"...)
	switch {
	case h.Authority != nil:
		skip.Add(field.Host)
		out = appendField(out, "Host: ", h.Authority)
	case h.HostField < 0: // HTTP/1.0 may leave it out, HTTP/1.1 may not
		out = append(out, "Host: "...)
		out = append(out, x.Endpoint.Address...)
		out = append(out, "\r\n"...)
	}
	if !q.expect || q.complete {
		skip.Add(field.Expect)
	}
	if q.aliased {
		skip.Add(field.ContentLength)
	}
	trace := x.TraceContext()
	if trace != nil {
		skip.Add(field.Traceparent)
		skip.Add(field.Tracestate)
	}
	out = appendEdited(out, &h.head, &skip, &x.Route.RequestEdit)
	out = c.appendForwarding(out, trusted)
	if trace != nil {
		out = appendTrace(out, trace, &x.Route.RequestEdit)
	}
	switch {
	case q.upgrade:
		out = append(out, "Connection: upgrade\r\nUpgrade: websocket\r\n"...)
	case h.TETrailers:
		out = append(out, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	if q.length < 0 {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if q.aliased {
		return c.outgoingAliased(out, body)
	}
	out = append(out, "\r\n"...)
	return c.joined(out, body)
}

// outgoingAliased ends the head and replaces the model's name, and nothing else, in the body.
func (c *clientConn) outgoingAliased(out, body []byte) outgoing {
	q, s := &c.req, &c.req.scan
	model := s.Encoded(c.x.Target.Model)
	if q.length < 0 {
		return c.outgoingRechunked(out, model)
	}
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, q.length+int64(len(model)-(s.End-s.Start)), 10)
	out = append(out, "\r\n\r\n"...)
	out = append(out, body[:s.Start]...)
	out = append(out, model...)
	return c.joined(out, body[s.End:])
}

// outgoingRechunked frames what has arrived of a chunked body anew, as the replaced name changes the length of its chunk. Chunk
// extensions and trailers do not survive this.
func (c *clientConn) outgoingRechunked(out []byte, model string) outgoing {
	s, plain := &c.req.scan, c.sc.plain
	out = append(out, "\r\n"...)
	out = appendChunkSize(out, len(plain)+len(model)-(s.End-s.Start))
	out = append(out, plain[:s.Start]...)
	out = append(out, model...)
	out = append(out, plain[s.End:]...)
	out = append(out, "\r\n"...)
	if c.req.complete {
		out = append(out, lastChunk...)
	}
	c.sc.out = out
	return outgoing{head: out}
}

const lastChunk = "0\r\n\r\n"

func appendChunkSize(dst []byte, n int) []byte {
	dst = strconv.AppendInt(dst, int64(n), 16)
	return append(dst, "\r\n"...)
}

// joined puts a short body behind its head.
func (c *clientConn) joined(out, body []byte) outgoing {
	if len(body) <= joinBytes {
		out = append(out, body...)
		body = nil
	}
	c.sc.out = out // keeps what append has grown
	return outgoing{out, body}
}

func appendField(dst []byte, name string, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendEdited appends the fields that are forwarded, as a route edits them.
func appendEdited(dst []byte, h *head, skip *FieldSet, edit *route.HeaderEdit) []byte {
	if edit.Empty() {
		return h.AppendFields(dst, skip)
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Hop || skip.Has(f.ID) || edit.Drops(h.Name(f)) {
			continue
		}
		dst = append(dst, h.Raw[f.Line:f.LineEnd]...)
	}
	return append(dst, edit.Lines...)
}

// appendTrace appends the fields of the trace, but those that the route removes or sets itself.
func appendTrace(out []byte, t *dispatch.TraceContext, edit *route.HeaderEdit) []byte {
	if !edit.Drops(nameTraceparent) {
		out = appendField(out, "traceparent: ", t.Parent[:])
	}
	if t.State != "" && !edit.Drops(nameTracestate) {
		out = append(out, "tracestate: "...)
		out = append(out, t.State...)
		out = append(out, "\r\n"...)
	}
	return out
}

var nameTraceparent, nameTracestate = []byte("traceparent"), []byte("tracestate")

// scheme is how the client sees the gateway.
func (c *clientConn) scheme() string {
	if c.secure {
		return "https"
	}
	return "http"
}

// appendForwarding appends x-request-id and the X-Forwarded-* fields.
func (c *clientConn) appendForwarding(out []byte, trusted bool) []byte {
	h, r := &c.sc.req, &c.x.Request
	out = appendField(out, "x-request-id: ", c.x.RequestID)
	out = append(out, "x-forwarded-for: "...)
	if trusted {
		for i := range h.Fields {
			if f := &h.Fields[i]; f.ID == field.XForwardedFor && !f.Hop {
				out = append(out, h.Value(f)...)
				out = append(out, ", "...)
			}
		}
	}
	out = c.remote.AppendTo(out)
	out = append(out, "\r\nx-forwarded-proto: "...)
	if proto, ok := h.Get(field.XForwardedProto); ok && trusted {
		out = append(out, proto...)
	} else {
		out = append(out, c.scheme()...)
	}
	out = append(out, "\r\nx-forwarded-host: "...)
	if host, ok := h.Get(field.XForwardedHost); ok && trusted {
		out = append(out, host...)
	} else {
		out = append(out, r.Host...)
	}
	return append(out, "\r\n"...)
}
