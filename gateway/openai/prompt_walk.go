package openai

import "bytes"

// maxPromptDepth bounds the objects and arrays within which text is looked for; a prompt has six.
const maxPromptDepth = 60

// scan walks through JSON. Every case moves pos on or ends the scan; a case that runs into the end of body leaves the loop, to be
// resumed at pos.
func (s *PromptScan) scan(body []byte) {
	for s.pos < len(body) && s.step != atEnd {
		switch s.step {
		case inString:
			s.readString(body)
		case inScalar:
			s.readScalar(body)
		case inNumbers:
			s.readNumbers(body)
		case inNested:
			s.skipNested(body)
		case inNestedString:
			s.skipNestedString(body)
		default:
			for s.pos < len(body) && space[body[s.pos]] {
				s.pos++
			}
			if s.pos < len(body) {
				s.structure(body[s.pos])
			}
		}
	}
}

// structure takes c, the next byte that is not whitespace and is neither in a string nor in a scalar.
func (s *PromptScan) structure(c byte) {
	s.pos++
	inArray := s.arrays>>s.depth&1 == 1
	switch {
	case s.step == atStart && c == '{':
		s.open(c)
	case c == '"' && (s.step == atFirstKey || s.step == atKey):
		s.beginString(isKey)
	case c == ':' && s.step == atColon:
		s.step = atValue
	case c == ',' && s.step == atComma && inArray:
		s.nextItem(atValue)
	case c == ',' && s.step == atComma:
		s.step = atKey
	case c == '}' && !inArray && (s.step == atComma || s.step == atFirstKey),
		c == ']' && inArray && (s.step == atComma || s.step == atFirstItem):
		s.close()
	case s.step == atValue, s.step == atFirstItem:
		s.value(c)
	default:
		s.step = atEnd
	}
}

// nextItem expects an item of an array, which is what the array is.
func (s *PromptScan) nextItem(step step) {
	s.step, s.kind = step, isText
	if s.media>>s.depth&1 == 1 {
		s.kind = isMedia
	}
}

// value takes c, the first byte of a value.
func (s *PromptScan) value(c byte) {
	switch {
	case c == '"':
		s.countMedia()
		s.beginString(s.kind)
	case (c == '{' || c == '[') && (s.kind == isText || s.kind == isMedia) && s.depth < maxPromptDepth:
		s.countMedia()
		s.open(c)
	case c == '{' || c == '[':
		s.step, s.skipDepth, s.fed = inNested, 1, s.pos-1
	case '0' <= c && c <= '9' && s.kind == isText && s.arrays>>s.depth&1 == 1:
		s.step = inNumbers
		s.size.ids++
		s.pos-- // the first digit is hashed with the rest
	case scalar[c]:
		s.step, s.from = inScalar, s.pos-1
	default:
		s.step = atEnd
	}
}

// countMedia counts the value that begins, if it is media and not part of any.
func (s *PromptScan) countMedia() {
	if s.kind == isMedia && s.media>>s.depth&1 == 0 {
		s.size.medias++
	}
}

// open begins an object or an array that is read.
func (s *PromptScan) open(bracket byte) {
	array, media := uint64(0), uint64(0)
	if bracket == '[' {
		array = 1
	}
	if s.kind == isMedia {
		media = 1
	}
	s.depth++
	s.arrays = s.arrays&^(1<<s.depth) | array<<s.depth
	s.media = s.media&^(1<<s.depth) | media<<s.depth
	if array == 1 {
		s.nextItem(atFirstItem)
		return
	}
	s.step = atFirstKey
	if s.isMessage() {
		s.beginMessage()
	}
}

// close ends the innermost object or array.
func (s *PromptScan) close() {
	if s.isMessage() {
		s.endMessage()
	}
	s.depth--
	s.step = atComma
	if s.depth == 0 {
		s.step = atEnd
	}
}

// isMessage reports whether the innermost object is a message: one in the array that is a field of the top level.
func (s *PromptScan) isMessage() bool {
	return s.depth == 3 && s.arrays&0b1110 == 0b0100 && s.api.hasMessages()
}

func (s *PromptScan) beginString(kind promptKind) {
	s.kind, s.step, s.from, s.fed = kind, inString, s.pos, s.pos
}

// readString takes as much of a string as there is.
func (s *PromptScan) readString(body []byte) {
	end, ok := stringEnd(body, s.from, s.pos)
	if !ok {
		end = len(body)
	}
	if s.kind == isText || s.kind == isMedia || s.kind == isInstructions {
		s.take(body[s.fed:end])
		s.fed = end
	}
	s.pos = end
	if ok {
		s.pos++
		s.endString(body[s.from:end])
	}
}

// endString takes note of a string that has come to its end.
func (s *PromptScan) endString(content []byte) {
	s.step = atComma
	switch s.kind {
	case isKey:
		s.step = atColon
		switch {
		case s.depth == 1:
			s.kind = s.api.topField(content)
		case s.media>>s.depth&1 == 1:
			s.kind = isMedia
		default:
			s.kind = promptKindOf(content)
		}
	case isText, isMedia:
		s.hash(endOfString)
		if s.depth == 1 && s.api == responsesAPI {
			s.size.messages++ // the whole input is one message
		}
	case isRole:
		if s.isMessage() {
			s.setRole(content)
		}
	case isInstructions:
		s.instructions, s.instructionsText = s.aside.sum(), int64(s.aside.length)
		s.aside = textHash{}
	case isModelName:
		s.model = hashOf(content)
	case isCacheSalt:
		s.cacheSalt = hashOf(content)
	case isCacheKey:
		s.cacheKey = hashOf(content)
	}
}

// readScalar takes a number, a literal or the part of one that is there.
func (s *PromptScan) readScalar(body []byte) {
	for s.pos < len(body) && scalar[body[s.pos]] {
		s.pos++
	}
	if s.pos == len(body) {
		return
	}
	s.step = atComma
	switch text := body[s.from:s.pos]; s.kind {
	case isStream:
		s.stream = string(text) == "true"
	case isMaxTokens:
		s.maxTokens = smallNumber(text)
	case isMaxCompletionTokens:
		s.maxCompletionTokens = smallNumber(text)
	}
}

// smallNumber returns the number that text is, 0 if it is not a whole number of up to 9 digits.
func smallNumber(text []byte) (n int64) {
	if len(text) > 9 {
		return 0
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0
		}
		n = 10*n + int64(c-'0')
	}
	return n
}

// readNumbers takes the rest of an array of token ids, whose commas are counted. Anything else in it ends the scan.
func (s *PromptScan) readNumbers(body []byte) {
	run := body[s.pos:]
	end := bytes.IndexByte(run, ']')
	if end < 0 {
		end = len(run)
	}
	run = run[:end]
	for _, c := range [...]byte{'"', '[', '{', '}', ':'} {
		if i := bytes.IndexByte(run, c); i >= 0 {
			run, s.step = run[:i], atEnd
		}
	}
	s.size.ids += int64(bytes.Count(run, []byte{','}))
	s.hash(run)
	s.pos += len(run)
	if s.step == inNumbers && s.pos < len(body) {
		s.step = atComma
	}
}

// skipNested passes over an object or array in which no text is looked for.
func (s *PromptScan) skipNested(body []byte) {
	next, depth, open := skipBrackets(body, s.pos, s.skipDepth)
	s.pos, s.skipDepth = next, depth
	switch {
	case open:
		s.step, s.from, s.pos = inNestedString, next, len(body)
	case depth == 0:
		s.step = atComma
	}
	s.takeNested(body)
}

// skipNestedString passes over the string that the body broke off in.
func (s *PromptScan) skipNestedString(body []byte) {
	end, ok := stringEnd(body, s.from, s.pos)
	s.pos = len(body)
	if ok {
		s.step, s.pos = inNested, end+1
	}
	s.takeNested(body)
}

// takeNested counts what was passed over, if it is tools.
func (s *PromptScan) takeNested(body []byte) {
	if s.kind != isTools {
		return
	}
	s.take(body[s.fed:s.pos])
	s.fed = s.pos
	if s.step == atComma {
		s.tools, s.toolsText = s.aside.sum(), int64(s.aside.length)
		s.aside = textHash{}
	}
}
