package http1

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/field"
)

// bridged returns the fields that are to be forwarded: all but hop-by-hop ones and the length. They keep nothing of h.
func (h *ResponseHead) bridged() []bridge.Field {
	fields := make([]bridge.Field, 0, len(h.Fields))
	text := string(h.Raw) // one copy for all of them
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Hop || f.ID == field.ContentLength {
			continue
		}
		name := f.ID.String()
		if f.ID == field.Unknown {
			name = strings.ToLower(text[f.Line:f.NameEnd])
		}
		fields = append(fields, bridge.Field{Name: name, Value: text[f.Value:f.ValueEnd], Sensitive: isSensitive(f.ID)})
	}
	return fields
}

// isSensitive reports whether a field's value is a secret, which no compression table may hold.
func isSensitive(id field.ID) bool {
	switch id {
	case field.Authorization, field.Cookie, field.SetCookie:
		return true
	}
	return false
}

// bridgedLines returns the fields of lines that are known to be sound, such as trailers that a ChunkScanner has gone over.
func bridgedLines(lines []byte) []bridge.Field {
	var fields []bridge.Field
	for len(lines) > 0 {
		var name, value []byte
		name, value, lines = cutLine(lines)
		id := field.Of(name)
		fields = append(fields, bridge.Field{
			Name: strings.ToLower(string(name)), Value: string(value), Sensitive: isSensitive(id),
		})
	}
	return fields
}

// cutLine cuts the first field line, which is known to be sound, off lines.
func cutLine(lines []byte) (name, value, rest []byte) {
	line, rest, _ := bytes.Cut(lines, lineEnd)
	name, value, _ = bytes.Cut(line, colon)
	return name, bytes.Trim(value, " \t"), rest
}

var (
	lineEnd = []byte("\r\n")
	colon   = []byte(":")
)

// bridgedRequest returns what the head of a request that is about to be sent as HTTP/1.1 says, so that what leaves as another version is
// the same. b may go on behind the head, whose length is returned. scheme is how the client sees the gateway.
func bridgedRequest(b []byte, scheme string) (r bridge.Request, headLen int) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		panic("BUG: a request that is about to be sent has no complete head")
	}
	line, lines, _ := bytes.Cut(b[:end+2], lineEnd)
	method, target, _ := bytes.Cut(line, []byte(" "))
	path, _, _ := bytes.Cut(target, []byte(" "))
	r = bridge.Request{Method: string(method), Scheme: scheme, Path: string(path)}
	for len(lines) > 0 {
		var name, value []byte
		name, value, lines = cutLine(lines)
		switch id := field.Of(name); {
		case id == field.Host:
			r.Authority = string(value)
		case id == field.ContentLength:
			r.Length, _ = strconv.ParseInt(string(value), 10, 64)
		case id == field.TransferEncoding:
			r.Length = -1
		case id == field.TE:
			r.TakesTrailers = true // nothing else is sent
		case id == field.Expect:
			r.ExpectContinue = true
		case !id.IsHop():
			r.Fields = append(r.Fields, bridge.Field{
				Name: strings.ToLower(string(name)), Value: string(value), Sensitive: isSensitive(id),
			})
		}
	}
	return r, end + len("\r\n\r\n")
}
