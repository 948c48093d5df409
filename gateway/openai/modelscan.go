// Package openai knows what the gateway needs of OpenAI's HTTP API, and of its relatives, without decoding: the model that a
// request names, what its prompt is like, the token counts that a response carries, model lists, and the shape of errors. Bodies are
// scanned where they lie and never changed but for a model's name; what is scanned for every request does not allocate.
package openai

import "bytes"

// State says how far a ModelScan is.
type State uint8

const (
	// NeedMore: the body so far does not tell; scan again when there is more of it.
	NeedMore State = iota
	// Found: the model's name lies from Start to End.
	Found
	// Absent: the body names no model, or is neither a JSON object nor a form.
	Absent
	// Invalid: the body is malformed.
	Invalid
)

// ModelScan finds the model's name in a request body as it arrives: the string under the key "model" at the top level of a JSON
// object, or the field "model" of a multipart/form-data body (the audio routes). It is resumable, looks at every byte about
// once, and its memory does not grow with the body.
//
// It is no validator: of JSON only the top level is checked, and only up to the name. The first "model" counts, and if it is not a
// string the body names no model. A body that names two is the endpoint's to refuse; many take the last.
//
// The zero value scans JSON. A ModelScan is used again after Reset.
type ModelScan struct {
	// Start and End are the offsets of the name in the body, without its quotes, once it is Found.
	Start, End int

	pos     int // the next byte to look at
	from    int // first byte of the string, header block or form field that is being read
	depth   int // open brackets below the top level
	step    step
	state   State
	isModel bool // the key just read is "model"
	escaped bool // the name has escapes

	delimiterLen uint8 // 0: the body is not a form
	delimiter    [len(delimiterStart) + maxBoundary]byte
}

// step is what a scan expects at pos.
type step uint8

const (
	atStart step = iota
	// JSON
	atFirstKey
	atKey
	inKey
	atColon
	atValue
	inScalar
	inString
	inModel
	inNested
	inNestedString
	atComma
	// JSON, in a PromptScan
	atFirstItem
	inNumbers
	atEnd
	// forms
	inContent
	atDelimiter
	inHeaders
	inField
)

// Reset makes s ready for a new body with that Content-Type, which may be empty and is not kept. A body that begins with "{" is
// taken for JSON whatever its type says, unless it is multipart/form-data.
func (s *ModelScan) Reset(contentType []byte) {
	s.Start, s.End, s.pos, s.from, s.depth = 0, 0, 0, 0, 0
	s.step, s.state, s.isModel, s.escaped = atStart, NeedMore, false, false
	s.delimiterLen = uint8(formDelimiter(&s.delimiter, contentType))
}

// Scan looks at body, which is all of the body that has arrived: what earlier calls saw, perhaps at another address, and what has
// come since. Once the state is not NeedMore it stays, until Reset.
func (s *ModelScan) Scan(body []byte) State {
	if s.state != NeedMore {
		return s.state
	}
	if s.delimiterLen > 0 {
		s.state = s.scanForm(body)
	} else {
		s.state = s.scanObject(body)
	}
	return s.state
}

// Finish is Scan for a body that has arrived to its end, so that NeedMore becomes Invalid, or Absent if body is blank.
func (s *ModelScan) Finish(body []byte) State {
	if s.Scan(body) == NeedMore {
		s.state = Invalid
		if len(bytes.TrimLeft(body, jsonSpace)) == 0 {
			s.state = Absent
		}
	}
	return s.state
}

// Model returns the name that was found, unescaped. It aliases body if the name has no escapes, and otherwise scratch, which is
// overwritten; a scratch with a capacity of End-Start is always large enough. body may have grown since the scan.
func (s *ModelScan) Model(body, scratch []byte) []byte {
	name := body[s.Start:s.End]
	if !s.escaped {
		return name
	}
	return appendUnescaped(scratch[:0], name)
}

// Encoded returns model as it has to stand in this body, between the name's quotes: escaped in JSON, as it is in a form.
func (s *ModelScan) Encoded(model string) string {
	if s.delimiterLen > 0 {
		return model
	}
	return Escaped(model)
}

// Delta returns by how many bytes the body grows if model replaces the name that was found.
func (s *ModelScan) Delta(model string) int { return len(s.Encoded(model)) - (s.End - s.Start) }

// AppendReplaced appends body to dst with model in place of the name that was found. All other bytes are kept as they are.
func (s *ModelScan) AppendReplaced(dst, body []byte, model string) []byte {
	dst = append(dst, body[:s.Start]...)
	dst = append(dst, s.Encoded(model)...)
	return append(dst, body[s.End:]...)
}
