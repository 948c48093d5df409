package gateway

import (
	"strconv"
	"unicode/utf8"
)

// jsonLine builds a JSON object on one line by appending fields. It never allocates once its buffer has grown, which
// encoding/json and log/slog's JSON handler cannot offer for fractional numbers.
type jsonLine []byte

func (l *jsonLine) begin() { *l = append((*l)[:0], '{') }

func (l *jsonLine) end() { *l = append(*l, '}', '\n') }

// name appends a field's name, which must need no escaping.
func (l *jsonLine) name(name string) {
	b := *l
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	*l = append(b, '"', ':')
}

func (l *jsonLine) integer(name string, v int64) {
	l.name(name)
	*l = strconv.AppendInt(*l, v, 10)
}

// milliseconds appends a duration in nanoseconds as milliseconds, to the microsecond.
func (l *jsonLine) milliseconds(name string, ns int64) {
	l.name(name)
	*l = strconv.AppendFloat(*l, float64(ns/1000)/1000, 'f', -1, 64)
}

func (l *jsonLine) string(name, v string) {
	l.name(name)
	*l = appendQuoted(*l, v)
}

func (l *jsonLine) bytes(name string, v []byte) {
	l.name(name)
	*l = appendQuoted(*l, v)
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends v as a JSON string (RFC 8259, section 7). Bytes that are not UTF-8 become U+FFFD, as in encoding/json.
// DEL and the line separators U+2028 and U+2029 are escaped as well, so that no value can break a line or hide text on a terminal.
func appendQuoted[T string | []byte](b []byte, v T) []byte {
	b = append(b, '"')
	plain := 0 // start of the run that needs no escaping
	for i := 0; i < len(v); {
		c := v[i]
		if c >= ' ' && c < utf8.RuneSelf-1 && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = decodeRune(v[i:])
			if r != utf8.RuneError && r != '\u2028' && r != '\u2029' {
				i += size
				continue
			}
			b = append(b, v[plain:i]...)
			b = appendUnicodeEscape(b, r)
		} else {
			b = append(b, v[plain:i]...)
			b = appendEscape(b, c)
		}
		i += size
		plain = i
	}
	b = append(b, v[plain:]...)
	return append(b, '"')
}

// decodeRune decodes the first rune without converting v, which would allocate for long values.
func decodeRune[T string | []byte](v T) (rune, int) {
	var buf [utf8.UTFMax]byte
	return utf8.DecodeRune(buf[:copy(buf[:], v)])
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return appendUnicodeEscape(b, rune(c))
}

func appendUnicodeEscape(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
