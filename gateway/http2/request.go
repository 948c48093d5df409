package http2

import (
	"strconv"
	"unsafe"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/grpc"
	"github.com/penstock/penstock/gateway/route"
)

// requestHead is the head of a request. Its strings belong to nobody's buffer.
type requestHead struct {
	fields      []hpack.HeaderField // all of them, pseudo-header fields first
	regular     int                 // where the others begin
	method      string
	scheme      string
	authority   string // :authority, or else host
	path        string
	contentType string
	requestID   string
	traceparent string
	timeout     string // grpc-timeout
	length      int64  // content-length; -1 where there is none
	trailers    bool   // te: trailers
	encoded     bool   // it has a content-encoding
	expects     bool   // expect: 100-continue
	forwarded   bool   // it has fields that a proxy before this one may have set
	grpc        bool
}

// fault is what is wrong with a head; the zero value is nothing. Faults of HTTP/2 itself (RFC 9113, sections 8.1 to 8.3) reset the stream;
// those that HTTP/1.1 has as well are answered.
type fault uint8

const (
	sound fault = iota
	malformed
	badPath
	badAuthority
	badExpect
	isConnect
)

// read takes the fields of a header block.
func (h *requestHead) read(fields []hpack.HeaderField) fault {
	*h = requestHead{fields: append(h.fields[:0], fields...), length: -1}
	h.regular = len(h.fields)
	host := ""
	for i := range h.fields {
		f := &h.fields[i]
		if !validName(f.Name) || !field.ValidValue(bytesOf(f.Value)) {
			return malformed
		}
		if f.Name[0] == ':' {
			if h.regular < i || !h.pseudo(f) {
				return malformed
			}
			continue
		}
		h.regular = min(h.regular, i)
		if f.Name == "host" {
			if host != "" {
				return malformed
			}
			host = f.Value
		} else if fault := h.take(f); fault != sound {
			return fault
		}
	}
	return h.check(host)
}

// pseudo takes a pseudo-header field. It reports false for one that is unknown, empty, or there already.
func (h *requestHead) pseudo(f *hpack.HeaderField) bool {
	var place *string
	switch f.Name {
	case ":method":
		place = &h.method
	case ":scheme":
		place = &h.scheme
	case ":path":
		place = &h.path
	case ":authority":
		place = &h.authority
	default:
		return false
	}
	if *place != "" || f.Value == "" {
		return false
	}
	*place = f.Value
	return true
}

// take notes what a field says to the gateway.
func (h *requestHead) take(f *hpack.HeaderField) fault {
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return malformed // RFC 9113, section 8.2.2
	case "te":
		if f.Value != "trailers" {
			return malformed
		}
		h.trailers = true
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 63)
		if err != nil || h.length >= 0 || f.Value[0] == '+' {
			return malformed
		}
		h.length = int64(n)
	case "content-type":
		h.contentType = f.Value
	case "content-encoding":
		h.encoded = true
	case "x-request-id":
		h.requestID = f.Value
	case "traceparent":
		h.traceparent = f.Value
	case "grpc-timeout":
		h.timeout = f.Value
	case "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host":
		h.forwarded = true
	case "expect":
		if !field.EqualFold(bytesOf(f.Value), "100-continue") {
			return badExpect
		}
		h.expects = true
	default:
		if field.Lookalike(bytesOf(f.Name)) {
			return malformed
		}
	}
	return sound
}

// check looks at the head as a whole.
func (h *requestHead) check(host string) fault {
	switch {
	case h.method == "CONNECT":
		return isConnect
	case h.method == "" || h.path == "" || h.scheme == "" || !field.IsToken(bytesOf(h.method)):
		return malformed
	case h.authority == "":
		h.authority = host
	case host != "" && !field.EqualFold(bytesOf(host), h.authority):
		return malformed // RFC 9113, section 8.3.1
	}
	h.grpc = h.method == "POST" && grpc.IsGRPC(h.contentType)
	switch {
	case h.authority != "" && !field.ValidAuthority(bytesOf(h.authority), false):
		return badAuthority
	case !field.ValidPath(bytesOf(h.path)) && !(h.path == "*" && h.method == "OPTIONS"):
		return badPath
	}
	return sound
}

// validName reports whether a field's name is in lower case and a token but for a colon in front (RFC 9113, section 8.2.1).
func validName(name string) bool {
	if name != "" && name[0] == ':' {
		name = name[1:]
	}
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' || field.Classes[c]&field.ClassToken == 0 {
			return false
		}
	}
	return name != ""
}

// validTrailers reports whether fields are sound as trailers. Those that may not come late are not forwarded, but are no fault.
func validTrailers(fields []hpack.HeaderField) bool {
	for i := range fields {
		f := &fields[i]
		if !validName(f.Name) || f.Name[0] == ':' || !field.ValidValue(bytesOf(f.Value)) {
			return false
		}
	}
	return true
}

// replies to heads that are refused.
var faultReplies = map[fault]*dispatch.Reply{
	badPath: dispatch.NewReply(400, "invalid_target",
		"the path has a byte that is not allowed, or a % that two hexadecimal digits do not follow", "", 0),
	badAuthority: dispatch.NewReply(400, "invalid_host", "the authority is not a name or address with an optional port", "", 0),
	badExpect:    dispatch.NewReply(417, "unknown_expectation", "Expect is not 100-continue", "", 0),
	isConnect: dispatch.NewReply(501, "connect_not_supported",
		"CONNECT is not supported: this is a gateway for model servers, not a forward proxy", "", 0),
}

var _ route.HeaderSource = (*requestHead)(nil)

// Lookup returns the value of the first field with a name.
func (h *requestHead) Lookup(name string) (value []byte, ok bool) {
	value, _, ok = h.Next(name, 0)
	return value, ok
}

// Next returns the value of the first field with a name at position from or after it. Positions count the fields behind the pseudo-header
// fields.
func (h *requestHead) Next(name string, from int) (value []byte, next int, ok bool) {
	fields := h.fields[h.regular:]
	for i := from; i < len(fields); i++ {
		if fields[i].Name == name {
			return bytesOf(fields[i].Value), i + 1, true
		}
	}
	return nil, len(fields), false
}

// bytesOf returns the bytes of s, which must not be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// stringOf returns b as a string that is good for as long as b is not written to.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
