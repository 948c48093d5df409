package http1

import "encoding/binary"

// fieldKey packs a name of 2 to 24 bytes: its first and last eight bytes, and those between if it has more than 16. Shorter names
// have words that overlap or are zero. Names of the same length with the same key are the same.
type fieldKey struct{ first, last, middle uint64 }

// makeFieldKey returns the key of a name of 2 to 24 bytes.
func makeFieldKey(name []byte) (k fieldKey) {
	n := len(name)
	switch {
	case n >= 8:
		k.first = binary.LittleEndian.Uint64(name)
		k.last = binary.LittleEndian.Uint64(name[n-8:])
		if n > 16 {
			k.middle = binary.LittleEndian.Uint64(name[8:])
		}
	case n >= 4:
		k.first = uint64(binary.LittleEndian.Uint32(name))
		k.last = uint64(binary.LittleEndian.Uint32(name[n-4:]))
	default:
		k.first = uint64(name[0])<<16 | uint64(name[1])<<8 | uint64(name[n-1])
	}
	return k
}

// slot is the key's place in fieldIndex, the same for a letter's upper and lower case: they differ in bit 0x20, which is set in all
// bytes. The multiplier is one for which no two known names share a place.
func (k *fieldKey) slot() uint8 {
	return uint8(((k.first | foldBits) + (k.last|foldBits)*31) * fieldMultiplier >> 56)
}

const (
	fieldMultiplier = 0x96bb859c9deb0e5d
	foldBits        = 0x20 * onesWord

	minFieldName = 2
	maxFieldName = 24
)

// knownField is what a name must match to be a known one: its length, and its key once the bits 0x20 of the known name's letters are
// set. No byte but the letter's two cases becomes that letter so, and the other bytes must be equal.
type knownField struct {
	length       int
	key, letters fieldKey
}

var (
	fieldIndex  [256]FieldID // by slot
	knownFields [64]knownField
)

func init() {
	for id := FieldUnknown + 1; id < fieldIDs; id++ {
		name := fieldNames[id]
		letters := make([]byte, len(name))
		for i := range len(name) {
			if name[i] >= 'a' {
				letters[i] = 0x20
			}
		}
		key := makeFieldKey([]byte(name))
		if other := fieldIndex[key.slot()]; other != FieldUnknown {
			panic("BUG: two known field names share a slot: " + name + ", " + other.String())
		}
		fieldIndex[key.slot()] = id
		knownFields[id] = knownField{len(name), key, makeFieldKey(letters)}
	}
}

// fieldID returns the id of a name of any bytes.
func fieldID(name []byte) FieldID {
	if len(name) < minFieldName || len(name) > maxFieldName {
		return FieldUnknown
	}
	key := makeFieldKey(name)
	id := fieldIndex[key.slot()]
	known := &knownFields[id&63]
	if known.length != len(name) || key.first|known.letters.first != known.key.first || key.last|known.letters.last != known.key.last ||
		key.middle|known.letters.middle != known.key.middle {
		return FieldUnknown
	}
	return id
}

// LookupField returns the id of a name in any case, FieldUnknown if it is not a known one.
func LookupField(name string) FieldID {
	if len(name) > maxFieldName {
		return FieldUnknown
	}
	var buf [maxFieldName]byte
	return fieldID(buf[:copy(buf[:], name)])
}

// isLookalike reports whether a name with an underscore in it is that of a field in maskLookalike with
// underscores for hyphens.
func isLookalike(name []byte) bool {
	if len(name) > maxFieldName {
		return false
	}
	var buf [maxFieldName]byte
	b := buf[:copy(buf[:], name)]
	for i, c := range b {
		if c == '_' {
			b[i] = '-'
		}
	}
	return maskLookalike>>fieldID(b)&1 != 0
}
