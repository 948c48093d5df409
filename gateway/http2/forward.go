package http2

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
	"github.com/penstock/penstock/gateway/identity"
	"github.com/penstock/penstock/gateway/route"
)

// identifyClient finds out whose request it is and what it is called.
func (s *stream) identifyClient() {
	x, h, c := &s.x, &s.head, s.c
	x.ClientIP = c.remote
	if h.forwarded && len(s.opts.TrustedProxies) > 0 {
		at := len(h.fields)
		x.ClientIP = identity.ClientIP(c.remote, s.opts.TrustedProxies, func() (value []byte, ok bool) {
			for at--; at >= h.regular; at-- {
				if f := &h.fields[at]; f.Name == "x-forwarded-for" {
					return bytesOf(f.Value), true
				}
			}
			return nil, false
		})
	}
	identity.SetTrace(&x.ClientTrace, bytesOf(h.traceparent))
	if id := bytesOf(h.requestID); identity.AcceptableID(id) {
		x.RequestID = id
		return
	}
	identity.NewID(&s.idBytes)
	x.RequestID = s.idBytes[:]
}

// trusted reports whether what the peer says of those before it is kept.
func (s *stream) trusted() bool {
	return len(s.opts.TrustedProxies) > 0 && identity.Trusted(s.c.remote, s.opts.TrustedProxies)
}

// isVolatile reports whether a field must not enter a compression table: as it is secret (RFC 7541, section 7.1), or as it is seldom the
// same twice and would only drive others out.
func isVolatile(f *hpack.HeaderField) bool {
	if f.Sensitive {
		return true
	}
	switch f.Name {
	case "authorization", "cookie", "set-cookie", "x-api-key", "api-key", "grpc-timeout", "traceparent", "tracestate", "content-length",
		"grpc-message", "grpc-status-details-bin":
		return true
	}
	return false
}

func (w *headerWriter) copy(f *hpack.HeaderField) {
	if isVolatile(f) {
		w.secret(f.Name, f.Value)
		return
	}
	w.enc.WriteField(*f)
}

// isDropped reports whether a request's field is not forwarded as it is: the gateway writes it itself, or it holds for one connection only.
func isDropped(name string, trusted bool) bool {
	switch name {
	case "host", "x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "proxy-authorization", "proxy-authenticate",
		"http2-settings":
		return true
	case "x-forwarded-port", "x-real-ip", "forwarded":
		return !trusted
	}
	return false
}

// fieldWriter takes the fields of a head, one after the other.
type fieldWriter interface {
	field(name, value string)
	// secret takes a field that must not enter a compression table. Its strings may be changed afterwards.
	secret(name, value string)
	// copy takes a field as it came.
	copy(f *hpack.HeaderField)
}

// writeRequest writes the head that the endpoint gets. The lock of u is held.
func (s *stream) writeRequest(u *upstreamConn) {
	h := &s.head
	u.field(":method", h.method)
	u.field(":scheme", u.scheme)
	u.field(":path", s.path())
	authority := h.authority
	if authority == "" {
		authority = s.x.Endpoint.Address
	}
	u.field(":authority", authority)
	s.writeFields(u)
}

// writeFields writes the fields that the endpoint gets, as the route edits them.
func (s *stream) writeFields(u fieldWriter) {
	h, x := &s.head, &s.x
	trusted, edit, trace := s.trusted(), &x.Route.RequestEdit, x.TraceContext()
	for i := h.regular; i < len(h.fields); i++ {
		f := &h.fields[i]
		if isDropped(f.Name, trusted) || !edit.Empty() && edit.Drops(bytesOf(f.Name)) {
			continue
		}
		switch {
		case f.Name == "expect" && !h.expects: // the client has been answered
		case trace != nil && (f.Name == "traceparent" || f.Name == "tracestate"): // the endpoint is told of another parent
		case f.Name == "grpc-timeout" && h.grpc:
			u.secret(f.Name, s.timeLeft())
		case f.Name == "content-length" && s.rename != nil:
			// How long the messages that are to come will be is not known.
		case f.Name == "content-length" && s.grown != 0:
			u.secret(f.Name, strconv.FormatInt(h.length+int64(s.grown), 10))
		default:
			u.copy(f)
		}
	}
	for _, f := range edit.Fields {
		u.field(f.Name, f.Value)
	}
	s.writeForwarding(u, trusted)
	if trace != nil {
		writeTrace(u, trace, edit)
	}
}

// writeTrace writes the fields of the trace, but those that the route removes or sets itself.
func writeTrace(u fieldWriter, t *dispatch.TraceContext, edit *route.HeaderEdit) {
	if !edit.Drops(nameTraceparent) {
		u.secret("traceparent", stringOf(t.Parent[:]))
	}
	if t.State != "" && !edit.Drops(nameTracestate) {
		u.secret("tracestate", t.State)
	}
}

var nameTraceparent, nameTracestate = []byte("traceparent"), []byte("tracestate")

// path is the target as the endpoint is to get it.
func (s *stream) path() string {
	if s.x.Route.RewritePrefix == nil {
		return s.head.path
	}
	return string(s.x.Route.AppendPath(nil, bytesOf(s.head.path)))
}

// waitThatCounts is how long a call must have been in the gateway for its deadline to be written anew.
const waitThatCounts = int64(time.Millisecond)

// timeLeft is grpc-timeout as the endpoint is to get it: what the gateway took of it is gone.
func (s *stream) timeLeft() string {
	deadline, now := s.deadline.Load(), dispatch.Now()
	if deadline == 0 || now-s.x.Started < waitThatCounts {
		return s.head.timeout
	}
	var b [16]byte
	return string(grpc.AppendTimeout(b[:0], time.Duration(deadline-now)))
}

// writeForwarding writes x-request-id and the x-forwarded-* fields.
func (s *stream) writeForwarding(u fieldWriter, trusted bool) {
	u.secret("x-request-id", stringOf(s.x.RequestID))
	u.field("x-forwarded-for", s.forwardedFor(trusted))
	proto, host := "http", s.head.authority
	if s.c.secure {
		proto = "https"
	}
	if s.head.forwarded && trusted {
		if v, ok := s.head.Lookup("x-forwarded-proto"); ok {
			proto = stringOf(v)
		}
		if v, ok := s.head.Lookup("x-forwarded-host"); ok {
			host = stringOf(v)
		}
	}
	u.field("x-forwarded-proto", proto)
	u.field("x-forwarded-host", host)
}

func (s *stream) forwardedFor(trusted bool) string {
	if !s.head.forwarded || !trusted {
		return s.c.remoteText
	}
	var list strings.Builder
	for from := 0; ; {
		value, next, ok := s.head.Next("x-forwarded-for", from)
		if !ok {
			break
		}
		list.Write(value)
		list.WriteString(", ")
		from = next
	}
	list.WriteString(s.c.remoteText)
	return list.String()
}

// send opens a stream on a connection of the endpoint, on which there is room for it. It reports false if that has ended meanwhile.
func (s *stream) send(b *batch, u *upstreamConn) bool {
	end := s.up.ended && s.up.heldLen() == 0 && len(s.up.trailers) == 0
	u.mu.Lock()
	if !u.mayOpen() {
		u.mu.Unlock()
		u.up.release(u)
		return false
	}
	id := u.open(s)
	mark := u.beginBlock()
	s.mark = u.attempted + int64(mark)
	s.writeRequest(u)
	u.endBlock(b, mark, id, end)
	s.up.window = u.firstWindow
	u.mu.Unlock()
	s.u, s.uid, s.stage = u, id, stageRelay
	s.up.to, s.up.toID = &u.conn, id
	s.down.from, s.down.fromID, s.down.credit, s.down.owed = &u.conn, id, streamWindow, 0
	if end {
		s.up.done = true
		s.laneDone(b, &s.up)
	} else {
		s.await(s.opts.times.body, !s.head.grpc && !s.up.ended)
		s.up.pump(b)
	}
	return true
}

// sendTrailers ends a lane with its trailers.
func (s *stream) sendTrailers(b *batch, l *lane) {
	c := l.to
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.trailers(b, l, s.head.grpc)
	}
}
