package http1

import (
	"encoding/binary"
	"math/bits"
)

// byteClass says in which parts of a head a byte may stand.
type byteClass uint8

const (
	classToken  byteClass = 1 << iota // tchar, RFC 9110 5.6.2
	classScore                        // _, a token character that some servers take for -
	classTarget                       // visible ASCII but #, which starts a fragment and so has no place in a target (RFC 9112 3.2)
	classHost                         // unreserved, RFC 3986 2.3: names and IPv4 addresses; no %-escapes and no sub-delims
	classHex                          // HEXDIG in either case
	classText                         // visible ASCII, space and tab
)

var byteClasses = makeByteClasses()

func makeByteClasses() (t [256]byteClass) {
	mark := func(chars string, c byteClass) {
		for i := range len(chars) {
			t[chars[i]] |= c
		}
	}
	for c := byte('a'); c <= 'z'; c++ {
		mark(string(rune(c))+string(rune(c-'a'+'A')), classToken|classHost)
	}
	mark("0123456789", classToken|classHost|classHex)
	mark("abcdefABCDEF", classHex)
	mark("!#$%&'*+-.^_`|~", classToken)
	mark("-._~", classHost)
	mark("_", classScore)
	mark(" \t", classText)
	for c := '!'; c <= '~'; c++ {
		t[c] |= classText
		if c != '#' {
			t[c] |= classTarget
		}
	}
	return t
}

// lowerCase maps A to Z to a to z and every other byte to itself.
var lowerCase = makeLowerCase()

func makeLowerCase() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}

// equalFold reports whether a and b are the same but for the case of ASCII letters.
func equalFold[T []byte | string](a []byte, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lowerCase[c] != lowerCase[b[i]] {
			return false
		}
	}
	return true
}

// isToken reports whether b is a token (RFC 9110 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if byteClasses[c]&classToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

const (
	onesWord  = 0x0101010101010101
	highsWord = 0x80 * onesWord
)

// skipText returns the index, at or after i, of the first control character (0x00-0x1f but tab, and 0x7f) in b, or len(b). Bytes
// from 0x80 are obs-text and pass.
func skipText(b []byte, i int) int {
	// Eight bytes at a time: subtracting borrows into a byte's high bit if the byte is below what is subtracted. A borrow reaches the
	// byte above only from a hit, so the lowest hit is exact.
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		del := w ^ 0x7f*onesWord
		hits := ((w - 0x20*onesWord) | (del - onesWord)) &^ w & highsWord
		if hits == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(hits) >> 3
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) {
		if c := b[i]; (c < 0x20 && c != '\t') || c == 0x7f {
			break
		}
		i++
	}
	return i
}

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
