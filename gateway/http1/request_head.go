package http1

import "github.com/penstock/penstock/gateway/field"

// RequestHead is the head of a request: its request line and its fields. The zero value is ready for Parse. All slices alias the
// bytes given to Parse.
//
// Parsing is as strict as RFC 9110 and RFC 9112 are for senders, and stricter where parsers are known to disagree: what is accepted
// has one meaning only, so it can be forwarded byte for byte.
type RequestHead struct {
	head
	// Method is the method, case-sensitive.
	Method []byte
	// Target is the request target as it was sent.
	Target []byte
	// TargetForm is the target's form.
	TargetForm TargetForm
	// Authority is the host and port of a target in absolute or authority form, nil in the other forms. It replaces Host, whatever
	// that says (RFC 9112 3.2.2).
	Authority []byte
	// Path is the target in origin form: path and query, byte for byte, or *. It is nil in authority form, and must not be written
	// to, as a URL without a path has a shared one.
	Path []byte
	// Minor is 1 for HTTP/1.1 and 0 for HTTP/1.0.
	Minor uint8
	// Length is the body's length in bytes, 0 when there is none, -1 when it is chunked.
	Length int64
	// Chunked says that the body is chunked.
	Chunked bool
	// Close says that the client does not keep the connection after this exchange: it said close, or is HTTP/1.0 without keep-alive.
	Close bool
	// Expect100 says that the client waits for 100 Continue before it sends its body. It is not set without a body to come, nor for
	// HTTP/1.0 (RFC 9110 10.1.1).
	Expect100 bool
	// Upgrade says that Connection nominates Upgrade and that field is there. It is not set for HTTP/1.0 (RFC 9110 7.8).
	Upgrade bool
	// TETrailers says that TE has trailers: the client takes trailer fields.
	TETrailers bool
	// HostField is the index of Host in Fields, -1 if there is none, which only HTTP/1.0 may do.
	HostField int

	// Offsets of the parsed request line, as the bytes may move until the head is complete.
	methodStart, methodEnd, targetStart, targetEnd int
}

// maxMethod is the longest method. The longest registered one, UPDATEREDIRECTREF, has 17 bytes.
const maxMethod = 32

// Reset makes h ready for another request. It keeps the memory of Fields.
func (h *RequestHead) Reset() {
	h.head.reset()
	h.Method, h.Target, h.TargetForm, h.Authority, h.Path = nil, nil, OriginForm, nil, nil
	h.Minor, h.Length, h.HostField = 0, 0, -1
	h.Chunked, h.Close, h.Expect100, h.Upgrade, h.TETrailers = false, false, false, false, false
}

// Parse parses the head at the start of b, which may go on with a body and further requests. It returns the head's length, with the
// empty line that ends it and an empty line before it, of which RFC 9112 2.2 has one tolerated.
//
// It returns 0 and no error when b ends before the head does. It is then called again with the same bytes, which may have moved, and
// more; only n and the error mean anything until the head is complete. A fault may be reported before the head is complete, and a
// fault in a line that is not all there may also be reported only once the line is. After a complete or refused head Parse begins
// anew, as it does after Reset. Errors are of type *ParseError. lim may be nil.
func (h *RequestHead) Parse(b []byte, lim *HeadLimits) (n int, err error) {
	if h.over {
		h.Reset()
	}
	n, f := h.parse(b, lim.resolve())
	if f != noFault {
		h.over = true
		return 0, &requestErrors[f]
	}
	h.over = n > 0
	return n, nil
}

func (h *RequestHead) parse(b []byte, lim HeadLimits) (int, fault) {
	b, ok := h.window(b, lim.Bytes)
	if !ok {
		return 0, noFault
	}
	if !h.began {
		next, f := h.parseLine(b, lim.TargetBytes)
		if f != noFault {
			return 0, f
		}
		h.began, h.pos = next > 0, next
	}
	if h.began {
		n, f := h.parseFields(b, lim.Fields)
		if f != noFault {
			return 0, f
		}
		if n > 0 {
			h.Raw = b[:n:n]
			return n, h.finish()
		}
	}
	if len(b) == lim.Bytes {
		return 0, faultHeadTooLarge
	}
	h.sought = len(b)
	return 0, noFault
}

// parseLine parses the request line and returns where the fields begin, 0 when b ends before that.
func (h *RequestHead) parseLine(b []byte, maxTarget int) (int, fault) {
	i := 0
	if len(b) > 0 && b[0] == '\r' {
		if len(b) < 2 {
			return 0, noFault
		}
		if b[1] != '\n' {
			return 0, faultBareCR
		}
		i = 2
	}

	start, end := i, min(len(b), i+maxMethod+1)
	for i < end && field.Classes[b[i]]&field.ClassToken != 0 {
		i++
	}
	switch {
	case i-start > maxMethod:
		return 0, faultMethod
	case i == len(b):
		return 0, noFault
	case i == start || b[i] != ' ':
		return 0, methodFault(b[i])
	}
	h.methodStart, h.methodEnd = start, i

	i++
	start, end = i, len(b)
	if maxTarget < end-start {
		end = start + maxTarget + 1
	}
	for i < end && field.Classes[b[i]]&field.ClassTarget != 0 {
		i++
	}
	switch {
	case i-start > maxTarget:
		return 0, faultTargetTooLong
	case i == len(b):
		return 0, noFault
	case i == start || b[i] != ' ':
		return 0, targetFault(b[i], i == start)
	}
	h.targetStart, h.targetEnd = start, i

	minor, f := parseVersion(b[i+1:])
	if f != noFault || minor < 0 {
		return 0, f
	}
	h.Minor = uint8(minor)
	return i + 1 + len("HTTP/1.1\r\n"), noFault
}

// methodFault names what is wrong with a method that ends before byte c, which is not the space after it.
func methodFault(c byte) fault {
	switch c {
	case '\n':
		return faultBareLF
	case '\r', ' ':
		return faultRequestLine
	}
	return faultMethod
}

// targetFault names what is wrong with a target that ends before byte c.
func targetFault(c byte, empty bool) fault {
	switch {
	case c == '\n':
		return faultBareLF
	case empty && (c == ' ' || c == '\r'):
		return faultRequestLine
	case c == '\r':
		return faultSimpleRequest
	}
	return faultTargetBytes
}

// finish fills in what follows from the complete head.
func (h *RequestHead) finish() fault {
	h.Method, h.Target = h.Raw[h.methodStart:h.methodEnd], h.Raw[h.targetStart:h.targetEnd]
	if f := h.splitTarget(); f != noFault {
		return f
	}
	if f := h.checkHost(); f != noFault {
		return f
	}
	length, chunked, f := h.framing(h.Minor)
	if f != noFault {
		return f
	}
	if h.TargetForm == AuthorityForm && (chunked || length >= 0) {
		return faultConnectBody
	}
	h.Length, h.Chunked = length, chunked
	if length < 0 && !chunked {
		h.Length = 0
	}
	options, f := h.connectionOptions()
	if f != noFault {
		return f
	}
	h.Close = !options.keepsOpen(h.Minor)
	h.Upgrade = h.Minor > 0 && options&optionUpgrade != 0 && h.has(field.Upgrade)
	h.TETrailers = h.teTrailers()
	if f := h.checkExpect(); f != noFault {
		return f
	}
	return h.checkTrailerField()
}

// checkHost checks that there is one valid Host (RFC 9112 3.2).
func (h *RequestHead) checkHost() fault {
	h.HostField = -1
	if !h.has(field.Host) {
		if h.Minor > 0 {
			return faultNoHost
		}
		return noFault
	}
	if h.twice>>field.Host&1 != 0 {
		return faultHostTwice
	}
	h.HostField = int(h.index[field.Host])
	if !field.ValidAuthority(h.value(field.Host), false) {
		return faultHost
	}
	return noFault
}

// checkExpect refuses expectations other than 100-continue.
func (h *RequestHead) checkExpect() fault {
	if !h.has(field.Expect) {
		return noFault
	}
	for i := int(h.index[field.Expect]); i < len(h.Fields); i++ {
		if f := &h.Fields[i]; f.ID == field.Expect && !field.EqualFold(h.Value(f), "100-continue") {
			return faultExpect
		}
	}
	h.Expect100 = h.Minor > 0 && h.Length != 0
	return noFault
}
