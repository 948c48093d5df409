package http2

import (
	"context"
	"io"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
)

// handed is a stream whose endpoint speaks HTTP/1.1: what package bridge knows as the client.
type handed struct {
	s      *stream
	held   bool // the whole body is in s.replay
	at     int  // how much of that was read
	began  bool // some of the body was read from the client
	fields []hpack.HeaderField
}

var _ bridge.Client = (*handed)(nil)

// handOver lets an HTTP/1.1 endpoint answer the request.
func (s *stream) handOver() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !s.waitWith(cancel) {
		s.proceed(nil)
		return
	}
	h := &handed{s: s, held: s.gather()}
	request := s.bridged(h.held)
	result := s.x.Endpoint.Upstream.(*bridge.Upstreams).HTTP1.Carry(ctx, request, h)
	s.settle(h, result)
}

// gather waits for a body of known length that is short enough to be kept, so that the request can be sent in one piece and, where the
// endpoint has not begun it, once more. It reports whether all of the body is there.
func (s *stream) gather() bool {
	b := getBatch()
	defer b.release()
	for {
		s.mu.Lock()
		ended, short := s.up.ended, s.head.length >= 0 && s.head.length <= maxReplay
		held := !s.replay.lost && s.up.broken == nil && len(s.up.trailers) == 0
		if !ended && short && held {
			s.sendContinue(b)
		}
		s.mu.Unlock()
		b.flush()
		if ended || !short || !held {
			return ended && held
		}
		<-s.up.wake
	}
}

// settle ends a stream whose endpoint is done with it, or looks for another endpoint.
func (s *stream) settle(h *handed, r bridge.Result) {
	b := getBatch()
	defer b.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.interrupted(b):
	case r.Outcome == dispatch.Completed:
		s.answeredAll(b, dispatch.Completed)
	default:
		s.x.Failed(r.Err)
		again := r.Unbegun && !s.headSent && !h.began
		if r.Outcome == dispatch.ClientGone || s.headSent {
			s.fail(b, r.Outcome)
			return
		}
		s.goOn(stageWait, func() { s.proceed(s.x.Retry(r.Outcome, again)) })
	}
}

// bridged is the request as the endpoint gets it.
func (s *stream) bridged(held bool) *bridge.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bridgedLocked(held)
}

func (s *stream) bridgedLocked(held bool) *bridge.Request {
	h := &s.head
	r := &bridge.Request{
		Method: h.method, Scheme: "http", Authority: h.authority, Path: s.path(),
		Length: h.length, TakesTrailers: h.trailers, ExpectContinue: h.expects, Held: held,
		Fresh: s.x.Attempts > 1,
	}
	if s.c.secure {
		r.Scheme = "https"
	}
	switch {
	case held:
		r.Length, r.ExpectContinue = int64(len(s.replay.b)), false
	case r.Length >= 0:
		r.Length += int64(s.grown)
	}
	list := fieldList{}
	s.writeFields(&list)
	r.Fields = list.fields
	return r
}

// fieldList is a fieldWriter for HTTP/1.1.
type fieldList struct{ fields []bridge.Field }

func (l *fieldList) field(name, value string) {
	l.fields = append(l.fields, bridge.Field{Name: name, Value: value})
}

// secret leaves out the content-length of a body in which the model's name was replaced: bridge.Request.Length has it.
func (l *fieldList) secret(name, value string) {
	if name == "content-length" {
		return
	}
	l.fields = append(l.fields, bridge.Field{Name: name, Value: strings.Clone(value), Sensitive: true})
}

// copy joins cookies, which HTTP/1.1 has in one field (RFC 9113, section 8.2.3), and leaves out what the framing says.
func (l *fieldList) copy(f *hpack.HeaderField) {
	switch f.Name {
	case "content-length", "te", "expect":
		return
	case "cookie":
		for i := range l.fields {
			if c := &l.fields[i]; c.Name == f.Name {
				c.Value += "; " + f.Value
				return
			}
		}
	}
	l.fields = append(l.fields, bridge.Field(*f))
}

// Read reads the request's body.
func (h *handed) Read(p []byte) (int, error) {
	s := h.s
	if h.held {
		n := copy(p, s.replay.b[h.at:])
		h.at += n
		if n == 0 && len(p) > 0 {
			h.sent()
			return 0, io.EOF
		}
		return n, nil
	}
	n, err := s.up.read(p)
	h.began = h.began || n > 0
	if err == io.EOF {
		h.sent()
	}
	return n, err
}

// sent notes that the endpoint has the whole request, from when on it is to answer.
func (h *handed) sent() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if !h.s.headSent {
		h.s.await(h.s.opts.times.response, true)
	}
}

// Trailers returns the request's trailers.
func (h *handed) Trailers() []bridge.Field {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	var fields []bridge.Field
	for _, f := range h.s.up.trailers {
		if field.MayTrail(bytesOf(f.Name)) {
			fields = append(fields, bridge.Field(f))
		}
	}
	return fields
}

// StopReading makes Read return.
func (h *handed) StopReading() {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if !h.held && !h.s.up.ended && h.s.up.broken == nil {
		h.s.up.broken = errAbandoned
		h.s.up.notify()
	}
}

// Interim relays an interim response.
func (h *handed) Interim(status int, fields []bridge.Field) error {
	return h.locked(func(b *batch) {
		h.convert(fields)
		h.s.sendInterim(b, status, h.fields)
	})
}

// Head relays the head of the final response.
func (h *handed) Head(r *bridge.Response) error {
	return h.locked(func(b *batch) {
		s := h.s
		h.convert(r.Fields)
		if r.Length >= 0 && r.Status != 204 {
			h.fields = append(h.fields, hpack.HeaderField{Name: "content-length", Value: strconv.FormatInt(r.Length, 10)})
		}
		s.x.FirstByte()
		s.look(r.Status, h.fields, r.NoBody)
		s.writeResponse(b, r.Status, h.fields, false)
		s.await(s.opts.times.stream, true)
	})
}

// locked runs f unless the stream is wanted no more.
func (h *handed) locked(f func(b *batch)) error {
	b := getBatch()
	defer b.release()
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if h.s.gone || h.s.verdict.reply != nil {
		return errAbandoned
	}
	f(b)
	return nil
}

func (h *handed) convert(fields []bridge.Field) {
	h.fields = h.fields[:0]
	for i := range fields {
		h.fields = append(h.fields, hpack.HeaderField(fields[i]))
	}
}

// Write relays a part of the response's body.
func (h *handed) Write(p []byte) error {
	err := h.locked(func(*batch) { h.s.noteBody(p, dispatch.Now()) })
	if err != nil {
		return err
	}
	return h.s.down.write(p)
}

// End relays the end of the response.
func (h *handed) End(trailers []bridge.Field) error {
	bridge.LoadReports(&h.s.x, trailers)
	h.convert(trailers)
	return h.s.down.end(h.fields)
}
