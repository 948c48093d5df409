package field

import "encoding/binary"

// key packs a name of 2 to 24 bytes: its first and last eight bytes, and those between if it has more than 16. Shorter names
// have words that overlap or are zero. Names of the same length with the same key are the same.
type key struct{ first, last, middle uint64 }

// makeKey returns the key of a name of 2 to 24 bytes.
func makeKey(name []byte) (k key) {
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

// slot is the key's place in index, the same for a letter's upper and lower case: they differ in bit 0x20, which is set in all
// bytes. The multiplier is one for which no two known names share a place.
func (k *key) slot() uint8 {
	return uint8(((k.first | foldBits) + (k.last|foldBits)*31) * multiplier >> 56)
}

const (
	multiplier = 0x96bb859c9deb0e5d
	foldBits   = 0x20 * onesWord

	shortestKnown = 2
	longestKeyed  = 24

	// LongestKnown is the length of the longest known name in bytes, which is EndpointLoadMetricsBin's: the only one that has no key.
	LongestKnown = 25
)

// known is what a name must match to be a known one: its length, and its key once the bits 0x20 of the known name's letters are
// set. No byte but the letter's two cases becomes that letter so, and the other bytes must be equal.
type known struct {
	length       int
	key, letters key
}

var (
	index  [256]ID   // by slot
	knowns [64]known // by id
)

func init() {
	for id := Unknown + 1; id < ids; id++ {
		name := names[id]
		if len(name) > longestKeyed {
			continue
		}
		letters := make([]byte, len(name))
		for i := range len(name) {
			if name[i] >= 'a' {
				letters[i] = 0x20
			}
		}
		key := makeKey([]byte(name))
		if other := index[key.slot()]; other != Unknown {
			panic("BUG: two known field names share a slot: " + name + ", " + other.String())
		}
		index[key.slot()] = id
		knowns[id] = known{len(name), key, makeKey(letters)}
	}
}

// Of returns the id of a name of any bytes and in any case, Unknown if it is not a known one.
func Of(name []byte) ID {
	if len(name) < shortestKnown || len(name) > longestKeyed {
		return ofUnkeyed(name)
	}
	key := makeKey(name)
	id := index[key.slot()]
	want := &knowns[id&63]
	if want.length != len(name) || key.first|want.letters.first != want.key.first || key.last|want.letters.last != want.key.last ||
		key.middle|want.letters.middle != want.key.middle {
		return Unknown
	}
	return id
}

// ofUnkeyed is Of for a name of a length that has no key.
func ofUnkeyed(name []byte) ID {
	if len(name) == LongestKnown && EqualFold(name, names[EndpointLoadMetricsBin]) {
		return EndpointLoadMetricsBin
	}
	return Unknown
}

// Lookup is Of for a string.
func Lookup(name string) ID {
	if len(name) > LongestKnown {
		return Unknown
	}
	var buf [LongestKnown]byte
	return Of(buf[:copy(buf[:], name)])
}
