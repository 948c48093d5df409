package http1

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/field"
)

// prepare writes the request's head, gathers what is to leave with it, and decides whether a body is to be streamed.
func (t *trip) prepare() (err error) {
	if t.sc.out, err = appendRequest(t.sc.out[:0], t.request, t.up.config.Address); err != nil {
		return err
	}
	t.sc.out = append(t.sc.out, "\r\n"...)
	t.upload.left = t.request.Length
	whole := t.request.Length == 0
	if t.request.Held {
		if whole, err = t.gather(); err != nil {
			return err
		}
	}
	t.upload.streamed = !whole
	return nil
}

// gather reads a body that is held in memory, and reports whether that was all of it.
func (t *trip) gather() (whole bool, err error) {
	if t.request.Length > gatherBytes {
		return false, nil
	}
	size := t.request.Length
	if size < 0 {
		size = gatherBytes
	}
	var room []byte
	if size > 0 {
		t.held = getBuffer(int(size))
		room = t.held.free()[:size]
	}
	for len(room) > 0 && err == nil {
		var n int
		n, err = t.client.Read(room)
		t.held.end += n
		room = room[n:]
	}
	if err == nil && t.request.Length >= 0 { // it is told of the end even where nothing comes before it
		var n int
		if n, err = t.client.Read(t.probe[:]); n > 0 {
			return false, errLongBody
		}
	}
	switch {
	case err == nil:
		return false, nil // there is more than is gathered
	case err != io.EOF:
		return false, fmt.Errorf("cannot read a body that is held: %w", err)
	case t.request.Length > 0 && int64(t.held.len()) < t.request.Length:
		return false, errShortBody
	}
	return true, nil
}

var (
	errShortBody = errors.New("the request's body is shorter than its length")
	errLongBody  = errors.New("the request's body is longer than its length")
)

// outgoing is a request whose body is gathered, or has none.
func (t *trip) outgoing() outgoing {
	out, body := t.sc.out, []byte(nil)
	if t.held != nil {
		body = t.held.bytes()
	}
	if t.request.Length < 0 {
		if len(body) > 0 {
			out = appendChunkSize(out, len(body))
			body = append(body, "\r\n"...)
		}
		body = t.appendLastChunk(body)
	}
	if len(body) <= joinBytes {
		out, body = append(out, body...), nil
	}
	t.sc.out = out
	return outgoing{out, body}
}

// appendLastChunk appends the end of a chunked body whose last byte was read. Trailers that may not come in trailers are left out.
func (t *trip) appendLastChunk(dst []byte) []byte {
	dst = append(dst, "0\r\n"...)
	dst = appendTrailers(dst, t.client.Trailers())
	return append(dst, "\r\n"...)
}

// appendTrailers appends the trailer lines that may be sent.
func appendTrailers(dst []byte, trailers []bridge.Field) []byte {
	for _, f := range trailers {
		if name := []byte(f.Name); field.IsToken(name) && field.MayTrail(name) && field.ValidValue([]byte(f.Value)) {
			dst = appendLine(dst, f.Name, f.Value)
		}
	}
	return dst
}

func appendLine(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendRequest appends the head of r without the empty line at its end; address stands for an authority that is missing. Whoever made r has
// checked what it holds, but a line end in any of it would be another request: what cannot be sent safely is refused here as well.
func appendRequest(dst []byte, r *bridge.Request, address string) ([]byte, error) {
	authority := r.Authority
	if authority == "" {
		authority = address
	}
	switch {
	case !field.IsToken([]byte(r.Method)):
		return dst, fmt.Errorf("cannot send a request with method %.40q: it must be a token", r.Method)
	case !field.ValidPath([]byte(r.Path)) && r.Path != "*":
		return dst, fmt.Errorf("cannot send a request for %.80q: it must be a path of visible ASCII characters, or *", r.Path)
	case !field.ValidAuthority([]byte(authority), false):
		return dst, fmt.Errorf("cannot send a request to host %.80q: it must be a name or address with an optional port", authority)
	}
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Path...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, authority...)
	dst = append(dst, "\r\n"...)
	for _, f := range r.Fields {
		if err := checkBridged(f); err != nil {
			return dst, fmt.Errorf("cannot send a request: %w", err)
		}
		if skipRequest.Has(field.Lookup(f.Name)) {
			return dst, fmt.Errorf("cannot send a request: field %s has a place of its own", f.Name)
		}
		dst = appendLine(dst, f.Name, f.Value)
	}
	return appendFraming(dst, r), nil
}

// appendFraming appends the fields that are HTTP/1.1's own.
func appendFraming(dst []byte, r *bridge.Request) []byte {
	switch {
	case r.Length < 0:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Length > 0 || wantsBody(r.Method):
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, r.Length, 10)
		dst = append(dst, "\r\n"...)
	}
	if r.TakesTrailers {
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	if r.ExpectContinue && !r.Held && r.Length != 0 {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	return dst
}

// skipRequest are the fields of requests that bridge.Request has besides Fields.
var skipRequest = NewFieldSet(field.Host, field.Expect)

// wantsBody reports whether a request with a method says so if it has no body (RFC 9110, section 8.6).
func wantsBody(method string) bool { return method == "POST" || method == "PUT" || method == "PATCH" }

// checkBridged refuses a field that cannot be a line of its own, or that is HTTP/1.1's to write.
func checkBridged(f bridge.Field) error {
	name := []byte(f.Name)
	switch id := field.Of(name); {
	case !field.IsToken(name):
		return fmt.Errorf("field name %.80q is no token", f.Name)
	case id.IsHop() || id == field.ContentLength:
		return fmt.Errorf("field %s frames the message or holds for one connection only, which is up to whoever sends it", f.Name)
	case !field.ValidValue([]byte(f.Value)):
		return fmt.Errorf("the value of field %.80s has a control character", f.Name)
	}
	return nil
}
