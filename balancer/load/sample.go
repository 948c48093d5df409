package load

import (
	"bytes"
	"strconv"
)

// A line of a page in Prometheus's text format is blank, a comment, or a sample:
//
//	name{label="value",...} value timestamp
//
// of which the labels and the timestamp may be absent. Blanks may stand between all parts. In newer pages a name may also stand in quotes
// as the first thing between the braces. What is no sample is passed over.

// cutName returns the name of the sample that a line holds, and what follows it; an empty name if it holds no sample. It may write into
// the line.
func cutName(line []byte) (name, rest []byte) {
	line = skipBlanks(line)
	for i, c := range line {
		switch c {
		case '{':
			if i == 0 {
				return cutQuotedName(line)
			}
			return line[:i], line[i:]
		case ' ', '\t':
			return line[:i], line[i:]
		case '#':
			return nil, nil // a comment, as no name has it
		}
	}
	return nil, nil
}

// cutQuotedName cuts a name off that stands between the braces: {"name",label="value"} becomes name and {label="value"}, or what is equal.
func cutQuotedName(line []byte) (name, rest []byte) {
	quoted := skipBlanks(line[1:])
	if len(quoted) == 0 || quoted[0] != '"' {
		return nil, nil
	}
	end := quotedEnd(quoted)
	if end < 0 {
		return nil, nil
	}
	name, rest = quoted[1:end], skipBlanks(quoted[end+1:])
	if len(rest) == 0 || rest[0] != ',' && rest[0] != '}' {
		return nil, nil
	}
	if rest[0] == '}' {
		return name, rest[1:] // as without braces
	}
	rest[0] = '{' // a comma is where the brace has to be
	return name, rest
}

// cutLabels returns what stands between the braces at the beginning of b, if they are there, and what follows them. It is false for
// braces that have no end.
func cutLabels(b []byte) (labels, rest []byte, ok bool) {
	b = skipBlanks(b)
	if len(b) == 0 || b[0] != '{' {
		return nil, b, true
	}
	b = b[1:]
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '}':
			return b[:i], b[i+1:], true
		case '"':
			end := quotedEnd(b[i:])
			if end < 0 {
				return nil, nil, false
			}
			i += end
		}
	}
	return nil, nil, false
}

// quotedEnd returns where the quotes end that b begins with, -1 if they do not.
func quotedEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// cutValue reads the value of a sample from what follows its labels. It is false if there is none.
func cutValue(b []byte) (value float64, ok bool) {
	b = skipBlanks(b)
	if end := bytes.IndexAny(b, " \t\r"); end >= 0 {
		b = b[:end]
	}
	return parseNumber(b)
}

// parseNumber reads a number as Prometheus writes it: decimal, or NaN, or an infinity. Go's hexadecimal numbers and underscores are none.
func parseNumber(b []byte) (float64, bool) {
	if bytes.ContainsAny(b, "_xX") {
		return 0, false
	}
	value, err := strconv.ParseFloat(string(b), 64)
	return value, err == nil
}

// labelOf returns the value of a label, as it was escaped, and whether it is there.
func labelOf(labels []byte, name string) (value []byte, ok bool) {
	for rest := labels; len(rest) > 0; {
		var label []byte
		if label, value, rest, ok = cutLabel(rest); !ok {
			return nil, false
		}
		if string(label) == name {
			return value, true
		}
	}
	return nil, false
}

// cutLabel cuts the first label off: its name, its value as it was escaped, and the labels after it.
func cutLabel(labels []byte) (name, value, rest []byte, ok bool) {
	labels = skipBlanks(labels)
	nameEnd := bytes.IndexByte(labels, '=')
	if len(labels) > 0 && labels[0] == '"' {
		if nameEnd = quotedEnd(labels); nameEnd < 0 {
			return nil, nil, nil, false
		}
		name, rest = labels[1:nameEnd], skipBlanks(labels[nameEnd+1:])
	} else if nameEnd >= 0 {
		name, rest = bytes.TrimRight(labels[:nameEnd], " \t"), labels[nameEnd:]
	}
	if len(rest) == 0 || rest[0] != '=' {
		return nil, nil, nil, false
	}
	rest = skipBlanks(rest[1:])
	if len(rest) == 0 || rest[0] != '"' {
		return nil, nil, nil, false
	}
	end := quotedEnd(rest)
	if end < 0 {
		return nil, nil, nil, false
	}
	value, rest = rest[1:end], skipBlanks(rest[end+1:])
	if len(rest) > 0 && rest[0] == ',' {
		rest = skipBlanks(rest[1:])
	}
	return name, value, rest, true
}

// unescaped is the value of a label without its escapes.
func unescaped(value []byte) string {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value)
	}
	plain := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '\\' && i+1 < len(value) {
			i++
			if c = value[i]; c == 'n' {
				c = '\n'
			}
		}
		plain = append(plain, c)
	}
	return string(plain)
}

func skipBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}
