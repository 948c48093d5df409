package http1

import "github.com/penstock/penstock/gateway/field"

// Field is one field line of a head. Its offsets are into the head's Raw.
type Field struct {
	// Line and LineEnd bound the whole line, its CRLF included. The name is Raw[Line:NameEnd].
	Line, LineEnd uint32
	// NameEnd is where the colon stands.
	NameEnd uint32
	// Value and ValueEnd bound the value without the whitespace around it.
	Value, ValueEnd uint32
	// ID is the name's, field.Unknown if it is not a known one.
	ID field.ID
	// Hop says that the field is for this connection only and is not to be forwarded as it is: one of the fixed hop-by-hop set, or
	// nominated by Connection (RFC 9110 7.6.1).
	Hop bool
}

// fieldMask has the bit 1<<id set for each id in it.
type fieldMask uint64

const (
	maskFraming     = 1<<field.Host | 1<<field.ContentLength | 1<<field.TransferEncoding
	maskTrailer     = 1 << field.Trailer
	maskLoadReports = 1<<field.EndpointLoadMetrics | 1<<field.EndpointLoadMetricsBin
)

// FieldSet is a set of field names, known or not. The zero value is empty. Making one allocates, using one does not: sets are made
// when a configuration is read.
type FieldSet struct {
	ids   fieldMask
	names []string
}

// NewFieldSet returns a set of known names.
func NewFieldSet(ids ...field.ID) *FieldSet {
	s := new(FieldSet)
	for _, id := range ids {
		s.Add(id)
	}
	return s
}

// Add puts a known name into the set. field.Unknown stands for no name and is ignored.
func (s *FieldSet) Add(id field.ID) {
	if id != field.Unknown {
		s.ids |= 1 << (id & 63)
	}
}

// AddName puts a name, in any case, into the set.
func (s *FieldSet) AddName(name string) {
	if id := field.Lookup(name); id != field.Unknown {
		s.Add(id)
		return
	}
	s.names = append(s.names, name)
}

// Has reports whether a known name is in the set.
func (s *FieldSet) Has(id field.ID) bool { return s.ids&^1>>(id&63)&1 != 0 }

// hasName reports whether a name that is not known is in the set.
func (s *FieldSet) hasName(name []byte) bool {
	for _, n := range s.names {
		if field.EqualFold(name, n) {
			return true
		}
	}
	return false
}
