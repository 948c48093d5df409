package http1

import "github.com/penstock/penstock/gateway/field"

// ResponseHead is the head of a response: its status line and its fields. The zero value is ready for Parse. All slices alias the
// bytes given to Parse. It is parsed as strictly as a RequestHead.
type ResponseHead struct {
	head
	// Status is the status code, 100 to 599. Those below 200 are interim, but for 101: another head follows.
	Status int
	// Reason is the reason phrase, which may be empty.
	Reason []byte
	// Minor is 1 for HTTP/1.1 and 0 for HTTP/1.0.
	Minor uint8
	// Length is the Content-Length, -1 when none is given. Where NoBody is set it is not that of a body to come.
	Length int64
	// Chunked says that Transfer-Encoding is chunked. Where NoBody is set there are still no chunks.
	Chunked bool
	// NoBody says that no body follows, whatever the fields say: the request was HEAD, or the status is 1xx, 204 or 304
	// (RFC 9112 6.3).
	NoBody bool
	// UntilClose says that the body ends with the connection: it has neither length nor chunks.
	UntilClose bool
	// Close says that the upstream does not keep the connection after this response: it said close, is HTTP/1.0 without keep-alive,
	// or UntilClose is set.
	Close bool
	// Upgrade says that Connection nominates Upgrade and that field is there. It is always set with status 101.
	Upgrade bool

	reasonStart, reasonEnd int
}

// Reset makes h ready for another response. It keeps the memory of Fields.
func (h *ResponseHead) Reset() {
	h.head.reset()
	h.Status, h.Reason, h.Minor, h.Length = 0, nil, 0, 0
	h.Chunked, h.NoBody, h.UntilClose, h.Close, h.Upgrade = false, false, false, false, false
}

// Parse parses the head at the start of b and returns its length with the empty line that ends it; toHEAD says that the request's
// method was HEAD. Each interim response is a head of its own. Incomplete heads, further calls and lim are as for RequestHead.Parse.
// Errors are of type *ParseError with status 502. Responses to CONNECT are not provided for.
func (h *ResponseHead) Parse(b []byte, lim *HeadLimits, toHEAD bool) (n int, err error) {
	if h.over {
		h.Reset()
	}
	n, f := h.parse(b, lim.resolve(), toHEAD)
	if f != noFault {
		h.over = true
		return 0, &responseErrors[f]
	}
	h.over = n > 0
	return n, nil
}

func (h *ResponseHead) parse(b []byte, lim HeadLimits, toHEAD bool) (int, fault) {
	b, ok := h.window(b, lim.Bytes)
	if !ok {
		return 0, noFault
	}
	if !h.began {
		next, f := h.parseLine(b)
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
			return n, h.finish(toHEAD)
		}
	}
	if len(b) == lim.Bytes {
		return 0, faultHeadTooLarge
	}
	h.sought = len(b)
	return 0, noFault
}

// parseLine parses the status line and returns where the fields begin, 0 when b ends before that. The reason may be empty, and may
// be left out with the space before it, as many servers do.
func (h *ResponseHead) parseLine(b []byte) (int, fault) {
	const code, end = len("HTTP/1.1 "), len("HTTP/1.1 200")
	if len(b) <= end || b[8] != ' ' || string(b[:7]) != "HTTP/1." || b[7] != '1' && b[7] != '0' {
		return 0, statusLineFault(b)
	}
	h.Minor = b[7] - '0'
	h.Status = 0
	for _, c := range b[code:end] {
		if c < '0' || c > '9' {
			return 0, statusLineFault(b)
		}
		h.Status = h.Status*10 + int(c-'0')
	}
	if h.Status < 100 || h.Status > 599 {
		return 0, faultStatusCode
	}

	i := end
	if b[i] == ' ' {
		i++
	} else if b[i] != '\r' {
		return 0, statusLineFault(b)
	}
	h.reasonStart = i
	i = field.SkipText(b, i)
	if i == len(b) {
		return 0, noFault
	}
	if b[i] != '\r' {
		return 0, textFault(b[i])
	}
	h.reasonEnd = i
	if i+1 == len(b) {
		return 0, noFault
	}
	if b[i+1] != '\n' {
		return 0, faultBareCR
	}
	return i + 2, noFault
}

// statusLineFault names what is wrong with a status line whose first 13 bytes are not all right, noFault if it only ends too early to
// tell. It looks at the same bytes, up to the first line feed and 13 at most, however many have arrived.
func statusLineFault(b []byte) fault {
	const version, end = len("HTTP/1.1"), len("HTTP/1.1 200")
	for i, c := range b {
		switch {
		case c == '\n' && i == end:
			return faultBareLF
		case c == '\n':
			return faultStatusLine
		case i == end:
			if b[version] == ' ' && isVersion(b[:version]) && (b[5] != '1' || b[7] > '1') {
				return faultVersion
			}
			return faultStatusLine
		}
	}
	return noFault
}

// finish fills in what follows from the complete head.
func (h *ResponseHead) finish(toHEAD bool) fault {
	h.Reason = h.Raw[h.reasonStart:h.reasonEnd]
	length, chunked, f := h.framing(h.Minor)
	if f != noFault {
		return f
	}
	options, f := h.connectionOptions()
	if f != noFault {
		return f
	}
	h.Length, h.Chunked = length, chunked
	h.NoBody = toHEAD || h.Status < 200 || h.Status == 204 || h.Status == 304
	h.UntilClose = !h.NoBody && !chunked && length < 0
	h.Close = h.UntilClose || !options.keepsOpen(h.Minor)
	h.Upgrade = options&optionUpgrade != 0 && h.has(field.Upgrade)
	if h.Status == 101 && !h.Upgrade {
		return faultSwitch
	}
	return h.checkTrailerField()
}
