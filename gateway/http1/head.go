package http1

import (
	"bytes"
	"slices"

	"github.com/penstock/penstock/gateway/field"
)

// HeadLimits bounds a head. A zero field takes its value from DefaultHeadLimits.
type HeadLimits struct {
	// Bytes is the largest head, from its first byte to the end of its empty line.
	Bytes int
	// Fields is the largest number of field lines.
	Fields int
	// TargetBytes is the longest request target.
	TargetBytes int
}

// DefaultHeadLimits are the limits where none are given.
var DefaultHeadLimits = HeadLimits{Bytes: 64 << 10, Fields: 128, TargetBytes: 16 << 10}

// Offsets into a head have 32 bits, indexes of fields 16.
const (
	maxHeadBytes  = 1 << 30
	maxHeadFields = 1<<16 - 1
)

// resolve fills in what lim, which may be nil, leaves out.
func (lim *HeadLimits) resolve() (r HeadLimits) {
	r = DefaultHeadLimits
	if lim == nil {
		return r
	}
	if lim.Bytes > 0 {
		r.Bytes = min(lim.Bytes, maxHeadBytes)
	}
	if lim.Fields > 0 {
		r.Fields = min(lim.Fields, maxHeadFields)
	}
	if lim.TargetBytes > 0 {
		r.TargetBytes = lim.TargetBytes
	}
	return r
}

// head is what requests and responses share: the field section, and how far parsing went.
//
// Parsing is one pass over the lines, left to right, so that a head has the same first fault however it was cut up when it arrived.
// A line that is not all there is parsed when it is first seen and again from its start once its line feed has come, or the head is
// at its limit: each byte is looked at a few times at most, however slowly the head arrives.
type head struct {
	// Raw is the head's bytes, from the first one given to Parse to the end of the empty line.
	Raw []byte
	// Fields are the field lines in their order. The slice is reused by the next Parse.
	Fields []Field

	pos    int  // start of the first line that is not parsed
	sought int  // bytes in which the line feed of that line was looked for
	began  bool // the start line is parsed
	over   bool // the head is complete or refused

	seen  fieldMask  // fields that are there
	twice fieldMask  // fields that are there more than once
	index [64]uint16 // index of the first field of each id in seen
}

func (h *head) reset() {
	h.Raw, h.Fields = nil, h.Fields[:0]
	h.pos, h.sought, h.began, h.over = 0, 0, false, false
	h.seen, h.twice = 0, 0
}

// window cuts b to the limit, and reports whether it can hold another line.
func (h *head) window(b []byte, limit int) ([]byte, bool) {
	full := len(b) >= limit
	if full {
		b = b[:limit]
	}
	if h.sought <= h.pos {
		return b, true
	}
	if len(b) < h.sought {
		panic("BUG: a head is parsed on with fewer bytes than before")
	}
	if bytes.IndexByte(b[h.sought:], '\n') < 0 && !full {
		h.sought = len(b)
		return b, false
	}
	return b, true
}

// parseFields parses field lines from h.pos and returns the end of the section, its empty line included; 0 when b ends before that.
func (h *head) parseFields(b []byte, limit int) (int, fault) {
	pos, fields, seen, twice := h.pos, h.Fields, h.seen, h.twice
	for pos < len(b) {
		i := pos
		if b[i] == '\r' {
			if i+1 == len(b) {
				break
			}
			if b[i+1] != '\n' {
				return 0, faultBareCR
			}
			h.Fields, h.seen, h.twice = fields, seen, twice
			return i + 2, noFault
		}
		if len(fields) >= limit {
			return 0, faultTooManyFields
		}

		i = indexColon(b, pos)
		nameEnd := i
		id := field.Unknown
		if i < len(b) {
			id = field.Of(b[pos:i])
		}
		if id == field.Unknown {
			if f := checkName(b, pos, i); f != noFault {
				return 0, f
			}
			if i == len(b) {
				break
			}
		}

		i++
		for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
			i++
		}
		value := i
		i = field.SkipText(b, i)
		if i == len(b) {
			break
		}
		if b[i] != '\r' {
			return 0, textFault(b[i])
		}
		if i+1 == len(b) {
			break
		}
		if b[i+1] != '\n' {
			return 0, faultBareCR
		}
		valueEnd := i
		for valueEnd > value && (b[valueEnd-1] == ' ' || b[valueEnd-1] == '\t') {
			valueEnd--
		}

		bit := fieldMask(1) << (id & 63)
		if seen&bit == 0 {
			h.index[id&63] = uint16(len(fields))
		}
		twice |= seen & bit
		seen |= bit
		if len(fields) == cap(fields) {
			fields = slices.Grow(fields, 1)
			h.Fields = fields // kept even if the head is refused
		}
		fields = fields[:len(fields)+1]
		// Field by field, as a whole Field would be put together on the stack and copied, for a fifth of the time of all this.
		f := &fields[len(fields)-1]
		f.Line, f.LineEnd, f.NameEnd = uint32(pos), uint32(i+2), uint32(nameEnd)
		f.Value, f.ValueEnd = uint32(value), uint32(valueEnd)
		f.ID, f.Hop = id, id.IsHop()
		pos = i + 2
	}
	h.pos, h.Fields, h.seen, h.twice = pos, fields, seen, twice
	return 0, noFault
}

// checkName checks a name that begins at pos and ends at the colon at end, or at the end of b if that has no colon yet.
func checkName(b []byte, pos, end int) fault {
	var classes field.Class
	for i, c := range b[pos:end] {
		class := field.Classes[c]
		if class&field.ClassToken == 0 {
			return nameFault(c, i == 0)
		}
		classes |= class
	}
	switch {
	case end == len(b):
		return noFault
	case end == pos:
		return faultNameEmpty
	case classes&field.ClassUnderscore != 0 && field.Lookalike(b[pos:end]):
		return faultLookalike
	}
	return noFault
}

// Name is the name of one of h's fields, as it was sent.
func (h *head) Name(f *Field) []byte { return h.Raw[f.Line:f.NameEnd] }

// Value is the value of one of h's fields, without the whitespace around it.
func (h *head) Value(f *Field) []byte { return h.Raw[f.Value:f.ValueEnd] }

// Get returns the value of the first field with a known name, and whether there is one. field.Unknown has none.
func (h *head) Get(id field.ID) ([]byte, bool) {
	if id == field.Unknown || !h.has(id) {
		return nil, false
	}
	return h.value(id), true
}

// Lookup returns the value of the first field with a name, in any case, and whether there is one.
func (h *head) Lookup(name string) ([]byte, bool) {
	if id := field.Lookup(name); id != field.Unknown {
		return h.Get(id)
	}
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == field.Unknown && field.EqualFold(h.Name(f), name) {
			return h.Value(f), true
		}
	}
	return nil, false
}

// AppendFields appends the field lines that are to be forwarded, byte for byte and in their order: all but hop-by-hop ones and those
// in skip, which may be nil. The empty line is not appended.
func (h *head) AppendFields(dst []byte, skip *FieldSet) []byte {
	if skip == nil {
		skip = &noFields
	}
	// Lines follow one another without gaps, so each run of kept ones is one copy.
	var from, to uint32
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Hop || skip.Has(f.ID) || f.ID == field.Unknown && len(skip.names) > 0 && skip.hasName(h.Name(f)) {
			continue
		}
		if f.Line != to {
			dst = append(dst, h.Raw[from:to]...)
			from = f.Line
		}
		to = f.LineEnd
	}
	return append(dst, h.Raw[from:to]...)
}

var noFields FieldSet

func (h *head) has(id field.ID) bool { return h.seen>>(id&63)&1 != 0 }

// value is that of the first field of an id that is in h.seen.
func (h *head) value(id field.ID) []byte { return h.Value(&h.Fields[h.index[id&63]]) }
