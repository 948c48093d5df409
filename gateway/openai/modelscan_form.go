package openai

import "bytes"

const (
	// maxField is the longest model name that a form may have, in bytes.
	maxField = 256
	// maxPartHeaders bounds the header block of a form's part, in bytes.
	maxPartHeaders = 4096
	// maxPadding bounds the whitespace that may follow a boundary on its line.
	maxPadding = 64
	// maxBoundary is the longest boundary (RFC 2046, section 5.1.1).
	maxBoundary = 70

	delimiterStart = "\r\n--"
	emptyLine      = "\r\n\r\n"
)

// formDelimiter puts what separates the parts of a form in buf and returns its length, 0 if contentType is not that of a form.
func formDelimiter(buf *[len(delimiterStart) + maxBoundary]byte, contentType []byte) int {
	const form = "multipart/form-data"
	if len(contentType) < len(form) || !bytes.EqualFold(contentType[:len(form)], []byte(form)) {
		return 0
	}
	n := copy(buf[:], delimiterStart)
	boundary, ok := parameter(contentType[len(form):], "boundary", buf[n:])
	if !ok || len(boundary) == 0 {
		return 0
	}
	return n + len(boundary)
}

// scanForm scans a multipart/form-data body (RFC 7578, RFC 2046 section 5.1).
func (s *ModelScan) scanForm(body []byte) State {
	delimiter := s.delimiter[:s.delimiterLen]
	for {
		var state State
		at := s.step
		switch at {
		case atStart:
			state = s.formStart(body, delimiter)
		case inContent:
			s.skipContent(body, delimiter)
		case atDelimiter:
			state = s.endDelimiter(body, delimiter)
		case inHeaders:
			state = s.endHeaders(body)
		case inField:
			state = s.endField(body, delimiter)
		}
		if state != NeedMore || s.step == at {
			return state
		}
	}
}

// formStart tells a body that begins with the first boundary, as it should, from one with something before it. The CRLF of the
// delimiter is not there in the former, and pos then lies before the body, where it would be.
func (s *ModelScan) formStart(body, delimiter []byte) State {
	dashBoundary := delimiter[2:]
	n := min(len(body), len(dashBoundary))
	switch {
	case !bytes.Equal(body[:n], dashBoundary[:n]):
		s.step = inContent
	case n == len(dashBoundary):
		s.step, s.pos = atDelimiter, -2
	}
	return NeedMore
}

// skipContent looks for the next delimiter.
func (s *ModelScan) skipContent(body, delimiter []byte) {
	i := bytes.Index(body[s.pos:], delimiter)
	if i < 0 {
		// The delimiter may have begun.
		s.pos = max(s.pos, len(body)-len(delimiter)+1)
		return
	}
	s.step, s.pos = atDelimiter, s.pos+i
}

// endDelimiter takes what follows the boundary at pos: the line's end, or the dashes that end the form. Anything else is refused:
// content must not hold the boundary (RFC 2046, section 5.1.1), and readers differ on what it is if it does.
func (s *ModelScan) endDelimiter(body, delimiter []byte) State {
	from := s.pos + len(delimiter)
	switch n, end := boundaryEnd(body[from:]); end {
	case endsForm:
		return Absent
	case endsLine:
		s.step, s.pos = inHeaders, from+n // the CRLF is part of the empty line that ends a block without headers
	case endsNothing:
		return Invalid
	}
	return NeedMore
}

// boundaryKind says what the bytes behind a boundary make of it.
type boundaryKind uint8

const (
	endUnknown  boundaryKind = iota // more bytes are needed to tell
	endsLine                        // a part follows
	endsForm                        // the form is over
	endsNothing                     // neither: content that begins like a boundary
)

// boundaryEnd tells what rest makes of the boundary before it, and how much whitespace stands between that and the line's end.
func boundaryEnd(rest []byte) (padding int, end boundaryKind) {
	if len(rest) >= 2 && string(rest[:2]) == "--" {
		return 0, endsForm
	}
	n := 0
	for n < len(rest) && (rest[n] == ' ' || rest[n] == '\t') && n < maxPadding {
		n++
	}
	switch rest = rest[n:]; {
	case len(rest) >= 2 && string(rest[:2]) == "\r\n":
		return n, endsLine
	case len(rest) == 0, string(rest) == "\r", n == 0 && string(rest) == "-":
		return n, endUnknown
	}
	return n, endsNothing
}

// endHeaders looks for the end of a part's header block.
func (s *ModelScan) endHeaders(body []byte) State {
	block := body[s.pos:]
	end := bytes.Index(block[:min(len(block), maxPartHeaders)], []byte(emptyLine))
	if end < 0 {
		if len(block) >= maxPartHeaders {
			return Invalid
		}
		return NeedMore
	}
	s.pos += end + len(emptyLine)
	if isModelField(block[:end]) {
		s.step, s.from = inField, s.pos
	} else {
		// Some writers let the delimiter after an empty content share its line end with the header block.
		s.step, s.pos = inContent, s.pos-2
	}
	return NeedMore
}

// endField looks for the end of the model's field. As with endDelimiter, a field that holds the boundary is refused.
func (s *ModelScan) endField(body, delimiter []byte) State {
	field, dashBoundary := body[s.from:], delimiter[2:]
	if n := min(len(field), len(dashBoundary)); n > 0 && bytes.Equal(field[:n], dashBoundary[:n]) {
		if n == len(dashBoundary) {
			return Invalid
		}
		return NeedMore
	}
	limit := maxField + len(delimiter)
	end := bytes.Index(field[:min(len(field), limit)], delimiter)
	if end < 0 {
		if len(field) >= limit {
			return Invalid
		}
		return NeedMore
	}
	switch _, kind := boundaryEnd(field[end+len(delimiter):]); kind {
	case endUnknown:
		return NeedMore
	case endsNothing:
		return Invalid
	}
	s.Start, s.End = s.from, s.from+end
	return Found
}

// isModelField reports whether a part's header block is that of the field "model". A file of that name is not the field.
func isModelField(block []byte) bool {
	for len(block) > 0 {
		var line []byte
		line, block, _ = bytes.Cut(block, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte{':'})
		if !bytes.EqualFold(name, []byte("Content-Disposition")) {
			continue
		}
		kind, _, _ := bytes.Cut(value, []byte{';'})
		if !bytes.EqualFold(bytes.Trim(kind, " \t"), []byte("form-data")) {
			return false
		}
		var buf [8]byte
		field, ok := parameter(value, "name", buf[:])
		_, isFile := parameter(value, "filename", nil)
		return ok && !isFile && string(field) == "model"
	}
	return false
}
