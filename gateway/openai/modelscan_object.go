package openai

import "bytes"

// jsonSpace is JSON's whitespace (RFC 8259, section 2).
const jsonSpace = " \t\r\n"

// bracket and scalar classify bytes outside strings.
var (
	bracket = byteSet(`"{}[]`)
	scalar  = byteSet("+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	space   = byteSet(jsonSpace)
)

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

// scanObject scans JSON. Every case moves pos on or ends the scan; a case that runs into the end of body leaves the loop, to be
// resumed at pos.
func (s *ModelScan) scanObject(body []byte) State {
	for s.pos < len(body) {
		var state State
		switch s.step {
		case inKey, inString, inModel, inNestedString:
			state = s.endString(body)
		case inNested:
			s.skipNested(body)
		case inScalar:
			s.skip(body, &scalar)
			if s.pos < len(body) {
				s.step = atComma
			}
		default:
			if s.skip(body, &space); s.pos < len(body) {
				state = s.structure(body[s.pos])
			}
		}
		if state != NeedMore {
			return state
		}
	}
	return NeedMore
}

// skip moves pos past bytes of the set.
func (s *ModelScan) skip(body []byte, set *[256]bool) {
	i := s.pos
	for i < len(body) && set[body[i]] {
		i++
	}
	s.pos = i
}

// structure takes c, the next byte of the top level that is not whitespace.
func (s *ModelScan) structure(c byte) State {
	s.pos++
	switch {
	case s.step == atStart && c == '{':
		s.step = atFirstKey
	case s.step == atStart:
		return Absent
	case (s.step == atFirstKey || s.step == atKey) && c == '"':
		s.step, s.from = inKey, s.pos
	case s.step == atColon && c == ':':
		s.step = atValue
	case s.step == atValue:
		return s.value(c)
	case s.step == atComma && c == ',':
		s.step = atKey
	case (s.step == atComma || s.step == atFirstKey) && c == '}':
		return Absent
	default:
		return Invalid
	}
	return NeedMore
}

// value takes c, the first byte of a value at the top level.
func (s *ModelScan) value(c byte) State {
	switch {
	case c == '"' && s.isModel:
		s.step, s.from = inModel, s.pos
	case c == '"':
		s.step, s.from = inString, s.pos
	case c == '{' || c == '[':
		s.step, s.depth = inNested, 1
	case scalar[c]:
		s.step = inScalar
	default:
		return Invalid
	}
	if s.isModel && c != '"' {
		return Absent
	}
	return NeedMore
}

// endString looks for the end of the string that begins at from.
func (s *ModelScan) endString(body []byte) State {
	end, ok := stringEnd(body, s.from, s.pos)
	if !ok {
		s.pos = len(body)
		return NeedMore
	}
	s.pos = end + 1
	switch s.step {
	case inKey:
		s.isModel = isModelKey(body[s.from:end])
		s.step = atColon
	case inString:
		s.step = atComma
	case inNestedString:
		s.step = inNested
	case inModel:
		s.Start, s.End = s.from, end
		var valid bool
		s.escaped, valid = checkString(body[s.from:end])
		if !valid {
			return Invalid
		}
		return Found
	}
	return NeedMore
}

// stringEnd returns the offset of the quote that ends the string whose content begins at from, and which is known not to end
// before pos. Quotes are searched and the backslashes before each are counted, rather than every byte looked at: an even number
// of them escape each other. They may have been seen by earlier calls.
func stringEnd(body []byte, from, pos int) (end int, ok bool) {
	for {
		i := bytes.IndexByte(body[pos:], '"')
		if i < 0 {
			return 0, false
		}
		end = pos + i
		slash := end
		for slash > from && body[slash-1] == '\\' {
			slash--
		}
		if (end-slash)%2 == 0 {
			return end, true
		}
		pos = end + 1
	}
}

// skipNested skips an object or array below the top level.
func (s *ModelScan) skipNested(body []byte) {
	next, depth, open := skipBrackets(body, s.pos, s.depth)
	s.pos, s.depth = next, depth
	switch {
	case open:
		s.step, s.from, s.pos = inNestedString, next, len(body)
	case depth == 0:
		s.step = atComma
	}
}

// skipBrackets goes on at i until depth open brackets are closed, or the body ends. Strings are skipped here too, as most of them end in
// the body at hand; the last may not: then open is true, and next is where its content begins.
func skipBrackets(body []byte, i, depth int) (next, left int, open bool) {
	for ; i < len(body); i++ {
		if !bracket[body[i]] {
			continue
		}
		switch body[i] {
		case '"':
			end, ok := stringEnd(body, i+1, i+1)
			if !ok {
				return i + 1, depth, true
			}
			i = end
		case '{', '[':
			depth++
		default:
			depth--
			if depth == 0 {
				return i + 1, 0, false
			}
		}
	}
	return len(body), depth, false
}

// isModelKey reports whether key, as it stands between its quotes, is "model".
func isModelKey(key []byte) bool {
	const model = "model"
	if len(key) == len(model) {
		return string(key) == model
	}
	// The longest way to write it is with six bytes, \u006d, for every letter.
	if len(key) > 6*len(model) || bytes.IndexByte(key, '\\') < 0 {
		return false
	}
	if _, valid := checkString(key); !valid {
		return false
	}
	var buf [6 * len(model)]byte
	return string(appendUnescaped(buf[:0], key)) == model
}
