package http2

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/grpc"
	"github.com/penstock/penstock/gateway/openai"
)

// on reports whether the stream is what an endpoint's connection knows under a number. The lock is held.
func (s *stream) on(u *upstreamConn, id uint32) bool { return s.u == u && s.uid == id }

// response takes a header block of the endpoint: an interim head, the final one, or trailers.
func (s *stream) response(b *batch, u *upstreamConn, id uint32, fields []hpack.HeaderField, end, tooLarge bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on(u, id) {
		return
	}
	switch status, ok := readStatus(fields); {
	case tooLarge:
		s.broken(b, "its header list is longer than the gateway takes")
	case s.headSent && (!end || !validTrailers(fields)):
		s.broken(b, "its trailers are malformed")
	case s.headSent:
		s.responseTrailers(b, fields)
	case !ok || status == 101 || status < 200 && end:
		s.broken(b, "its response's head is malformed")
	case status < 200:
		s.sendInterim(b, status, fields)
	default:
		s.beginResponse(b, status, fields, end)
	}
}

// readStatus reads the :status of a response, whose other fields must be sound.
func readStatus(fields []hpack.HeaderField) (status int, ok bool) {
	if len(fields) == 0 || fields[0].Name != ":status" || len(fields[0].Value) != 3 {
		return 0, false
	}
	for _, c := range bytesOf(fields[0].Value) {
		if c < '0' || c > '9' {
			return 0, false
		}
		status = status*10 + int(c-'0')
	}
	return status, status >= 100 && status <= 599 && validTrailers(fields[1:])
}

// broken ends a call whose endpoint breaks the protocol.
func (s *stream) broken(b *batch, why string) {
	s.x.Failed(connErrorf(errProtocol, "%s", why))
	s.endUpstream(b, errProtocol)
	s.disconnect(b)
	s.fail(b, dispatch.UpstreamBroken)
}

// sendInterim relays an interim response. A call takes none.
func (s *stream) sendInterim(b *batch, status int, fields []hpack.HeaderField) {
	if s.head.grpc {
		return
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.backlog() > maxBacklog { // an endpoint that sends no end of them must not fill the output
		return
	}
	mark := c.beginBlock()
	c.field(":status", statusTexts[status])
	for i := range fields {
		if f := &fields[i]; f.Name[0] != ':' && !isConnectionField(f.Name) {
			c.copy(f)
		}
	}
	c.endBlock(b, mark, s.id, false)
}

// sendContinue lets a client that waits for 100 Continue send its body, which the gateway itself wants to see first.
func (s *stream) sendContinue(b *batch) {
	if s.head.expects && s.body == 0 {
		s.sendInterim(b, 100, nil)
	}
	s.head.expects = false
}

// isConnectionField reports whether a response's field holds for one connection only; HTTP/2 has no such fields.
func isConnectionField(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// beginResponse relays the head of the final response.
func (s *stream) beginResponse(b *batch, status int, fields []hpack.HeaderField, end bool) {
	s.x.FirstByte()
	s.look(status, fields, end)
	if end && s.promised > 0 {
		s.broken(b, "its response has no body, though its content-length says so")
		return
	}
	s.writeResponse(b, status, fields, end)
	s.replay.end()
	if s.head.grpc {
		s.until.Store(0) // calls have deadlines of their own, and may well be silent for long
	} else {
		s.await(s.opts.times.stream, true)
	}
	if end {
		s.down.ended, s.down.done = true, true
		s.laneDone(b, &s.down)
	}
}

// look notes what a response's head says to the gateway.
func (s *stream) look(status int, fields []hpack.HeaderField, end bool) {
	x := &s.x
	x.Status = status
	contentType, encoded := "", false
	for i := range fields {
		switch f := &fields[i]; f.Name {
		case "content-type":
			contentType = f.Value
		case "content-encoding":
			encoded = true
		case "content-length":
			if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil && s.head.method != "HEAD" && status != 304 {
				s.promised = n
			}
		case "grpc-status":
			if s.head.grpc && end {
				s.callStatus(f.Value)
			}
		case "endpoint-load-metrics":
			x.LoadReport(bytesOf(f.Value), false)
		case "endpoint-load-metrics-bin":
			x.LoadReport(bytesOf(f.Value), true)
		}
	}
	if s.head.grpc {
		if status == 200 && !grpc.IsGRPC(contentType) || status != 200 {
			x.GRPCStatus = int(grpc.FromHTTP(status))
		}
		return
	}
	x.Streamed = strings.HasPrefix(contentType, "text/event-stream")
	if status == 200 && !encoded && !end && s.head.method != "HEAD" && (x.Streamed || strings.HasPrefix(contentType, "application/json")) {
		s.usage = new(openai.UsageScan)
		s.usage.Reset(x.Streamed)
	}
}

// callStatus notes how a call ended. Metrics and logs have the HTTP status that goes with it.
func (s *stream) callStatus(value string) {
	code, ok := grpc.ParseCode(value)
	if !ok {
		code = grpc.Unknown
	}
	s.status = true
	s.x.GRPCStatus = int(code)
	s.x.Status = grpc.HTTPStatus(code)
	s.x.Busy = code == grpc.ResourceExhausted || code == grpc.Unavailable
}

// statusTexts are the statuses as they are written; readStatus and bridge.Response bound them.
var statusTexts = makeStatusTexts()

func makeStatusTexts() (t [600]string) {
	for status := range t {
		t[status] = strconv.Itoa(status)
	}
	return t
}

// writeResponse writes the head that the client gets.
func (s *stream) writeResponse(b *batch, status int, fields []hpack.HeaderField, end bool) {
	c, x := s.c, &s.x
	edit := &x.Route.ResponseEdit
	s.headSent = true
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	mark := c.beginBlock()
	c.field(":status", statusTexts[status])
	for i := range fields {
		f := &fields[i]
		if f.Name[0] == ':' || f.Name == "x-request-id" || isConnectionField(f.Name) || !edit.Empty() && edit.Drops(bytesOf(f.Name)) {
			continue
		}
		c.copy(f)
	}
	for _, f := range edit.Fields {
		c.field(f.Name, f.Value)
	}
	c.secret("x-request-id", stringOf(x.RequestID))
	if s.opts.DebugHeaders && x.Endpoint != nil {
		c.field("x-penstock-endpoint", x.Endpoint.Address)
	}
	c.endBlock(b, mark, s.id, end)
}

// responseData takes DATA of the endpoint. It reports false if nobody wants it.
func (s *stream) responseData(b *batch, u *upstreamConn, id uint32, p []byte, size int, end bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on(u, id) {
		return false
	}
	if !s.headSent || s.down.ended || s.promised >= 0 && (s.answered+int64(len(p)) > s.promised || end && s.answered+int64(len(p)) < s.promised) {
		u.refuseData(b, size)
		s.broken(b, "its response is not as long as its content-length says, or goes on after its end")
		return true
	}
	s.noteBody(p, u.heard.Load())
	if end {
		s.until.Store(0)
	}
	if !s.down.take(b, p, size, 0, end) {
		u.refuseData(b, size)
		s.broken(b, "it sent more than its window allows")
	}
	return true
}

// noteBody notes what metrics want to know of the response's body, of which p came now.
func (s *stream) noteBody(p []byte, now int64) {
	if len(p) == 0 {
		return
	}
	x := &s.x
	s.answered += int64(len(p))
	if x.FirstToken == 0 {
		x.Answered(now)
		if s.usage != nil {
			x.TraceResponse(p)
		}
	}
	x.SentBody(now)
	switch {
	case s.head.grpc:
		x.Events += int64(s.messages.Feed(p))
		x.Streamed = x.Events > 1
	default:
		if s.usage != nil {
			s.usage.Feed(p)
		}
		s.await(s.opts.times.stream, true)
	}
	x.Progress(s.tokens())
}

// tokens is how many the response has had so far, one for each event or message.
func (s *stream) tokens() int64 {
	if s.usage != nil {
		return s.usage.Events
	}
	return s.x.Events
}

// responseTrailers takes the trailers that end the response.
func (s *stream) responseTrailers(b *batch, fields []hpack.HeaderField) {
	if s.promised >= 0 && s.answered < s.promised {
		s.broken(b, "its response is shorter than its content-length says")
		return
	}
	s.lookAtTrailers(fields)
	s.until.Store(0)
	s.down.ended = true
	s.down.trailers = append(s.down.trailers[:0], fields...)
	s.down.pump(b)
}

// lookAtTrailers notes what a response's trailers say to the gateway.
func (s *stream) lookAtTrailers(fields []hpack.HeaderField) {
	for i := range fields {
		switch f := &fields[i]; f.Name {
		case "grpc-status":
			if s.head.grpc {
				s.callStatus(f.Value)
			}
		case "endpoint-load-metrics":
			s.x.LoadReport(bytesOf(f.Value), false)
		case "endpoint-load-metrics-bin":
			s.x.LoadReport(bytesOf(f.Value), true)
		}
	}
}

// mayTrail reports whether a field may come in trailers. Those of a gRPC call are metadata, which nobody merges into a head: they have any
// name but those of the connection's fields, the framing's, and the gateway's own.
func mayTrail(name string, isCall bool) bool {
	if isCall {
		return !isConnectionField(name) && name != "content-length" && name != "x-request-id"
	}
	return field.MayTrail(bytesOf(name))
}

// trailers writes a lane's trailers as the end of its stream. isCall says that it is a gRPC call's. The lock is held.
func (c *conn) trailers(b *batch, l *lane, isCall bool) {
	mark := c.beginBlock()
	for i := range l.trailers {
		if f := &l.trailers[i]; mayTrail(f.Name, isCall) {
			c.copy(f)
		}
	}
	c.endBlock(b, mark, l.toID, true)
}

// widenUp adds to what the endpoint takes of the request. It reports false if that gets more than a window can be.
func (s *stream) widenUp(b *batch, u *upstreamConn, id uint32, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.on(u, id) || s.up.grow(b, n)
}
