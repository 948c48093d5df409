package openai

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Escaped returns s as it stands between the quotes of a JSON string. Only what must be escaped is (RFC 8259, section 7), so that
// most names come back as they are, without allocating. Bytes that are not UTF-8 become U+FFFD, since JSON has no way to write
// them.
func Escaped(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return r < utf8.RuneSelf && mustEscape(byte(r)) }) < 0 {
		return s
	}
	return string(appendEscaped(nil, s))
}

func mustEscape(c byte) bool { return c < ' ' || c == '"' || c == '\\' }

// appendEscaped appends s as Escaped returns it.
func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
		switch {
		case !mustEscape(c):
			dst = append(dst, c)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// checkString reports whether s, the content of a JSON string, is well-formed, and whether it has escapes. Bytes beyond ASCII are
// not looked at.
func checkString(s []byte) (escaped, valid bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' {
			return escaped, false
		}
		if s[i] != '\\' {
			continue
		}
		escaped = true
		i++
		if i == len(s) {
			return true, false
		}
		if s[i] == 'u' {
			if _, ok := hex4(s[i+1:]); !ok {
				return true, false
			}
			i += 4
		} else if unescape(s[i]) == 0 {
			return true, false
		}
	}
	return escaped, true
}

// appendUnescaped appends the text of s, the content of a JSON string that checkString found valid. Half of a surrogate pair
// becomes U+FFFD, as in encoding/json. The text is never longer than s.
func appendUnescaped(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		if s[i+1] != 'u' {
			dst = append(dst, unescape(s[i+1]))
			s = s[i+2:]
			continue
		}
		r, _ := hex4(s[i+2:])
		s = s[i+6:]
		if utf16.IsSurrogate(r) {
			low, ok := rune(0), false
			if len(s) > 1 && s[0] == '\\' && s[1] == 'u' {
				low, ok = hex4(s[2:])
			}
			if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
				s = s[6:]
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
}

// unescape returns what a backslash and c stand for, 0 if nothing (RFC 8259, section 7).
func unescape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// hex4 reads the four hexadecimal digits at the beginning of s.
func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		i := strings.IndexByte(hexDigits, c|0x20)
		if i < 0 || c < '0' {
			return 0, false
		}
		r = r<<4 | rune(i)
	}
	return r, true
}
