package http1

import (
	"encoding/binary"
	"math/bits"
)

const (
	onesWord  = 0x0101010101010101
	highsWord = 0x80 * onesWord
)

// indexColon returns the index, at or after i, of the first colon in b, or len(b). Names are too short for bytes.IndexByte to win.
func indexColon(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:]) ^ ':'*onesWord
		if hits := (w - onesWord) &^ w & highsWord; hits != 0 {
			return i + bits.TrailingZeros64(hits)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] != ':' {
		i++
	}
	return i
}

// textFault names what is wrong with control character c in a value.
func textFault(c byte) fault {
	switch c {
	case '\n':
		return faultBareLF
	case 0:
		return faultNUL
	}
	return faultControl
}

// nameFault names what is wrong with a field line whose name ends before byte c, which is not the colon of a name; first says that
// c is the line's first byte.
func nameFault(c byte, first bool) fault {
	switch {
	case c == ' ' || c == '\t':
		if first {
			return faultFold
		}
		return faultNameSpace
	case c == ':':
		return faultNameEmpty
	case c == '\r':
		return faultNoColon
	case c == '\n':
		return faultBareLF
	}
	return faultNameByte
}
