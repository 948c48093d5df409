package field

import (
	"encoding/binary"
	"math/bits"
)

// Class says in which parts of a head a byte may stand.
type Class uint8

// The classes. A byte may be of several.
const (
	ClassToken      Class = 1 << iota // tchar, RFC 9110 5.6.2
	ClassUnderscore                   // _, a token character that some servers take for -
	ClassTarget                       // visible ASCII but #, which starts a fragment and so has no place in a target (RFC 9112 3.2)
	ClassHost                         // unreserved, RFC 3986 2.3: names and IPv4 addresses; no %-escapes and no sub-delims
	ClassHex                          // HEXDIG in either case
	ClassText                         // visible ASCII, space and tab
)

// Classes are the classes of each byte. It must not be changed.
var Classes = makeClasses()

func makeClasses() (t [256]Class) {
	mark := func(chars string, c Class) {
		for i := range len(chars) {
			t[chars[i]] |= c
		}
	}
	for c := byte('a'); c <= 'z'; c++ {
		mark(string(rune(c))+string(rune(c-'a'+'A')), ClassToken|ClassHost)
	}
	mark("0123456789", ClassToken|ClassHost|ClassHex)
	mark("abcdefABCDEF", ClassHex)
	mark("!#$%&'*+-.^_`|~", ClassToken)
	mark("-._~", ClassHost)
	mark("_", ClassUnderscore)
	mark(" \t", ClassText)
	for c := '!'; c <= '~'; c++ {
		t[c] |= ClassText
		if c != '#' {
			t[c] |= ClassTarget
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

// EqualFold reports whether a and b are the same but for the case of ASCII letters.
func EqualFold[T []byte | string](a []byte, b T) bool {
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

// IsToken reports whether b is a token (RFC 9110 5.6.2).
func IsToken(b []byte) bool {
	for _, c := range b {
		if Classes[c]&ClassToken == 0 {
			return false
		}
	}
	return len(b) > 0
}

const (
	onesWord  = 0x0101010101010101
	highsWord = 0x80 * onesWord
)

// SkipText returns the index, at or after i, of the first control character (0x00-0x1f but tab, and 0x7f) in b, or len(b). Bytes
// from 0x80 are obs-text and pass.
func SkipText(b []byte, i int) int {
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

// ValidValue reports whether b, which has no whitespace around it, can be a field's value.
func ValidValue(b []byte) bool { return SkipText(b, 0) == len(b) }
