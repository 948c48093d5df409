package load

import (
	"bytes"
	"encoding/json"
)

// readJSON reads an object of numbers, and of objects of numbers: protobuf's JSON, whose numbers may stand in quotes. What else is in it is
// passed over.
func (r *Report) readJSON(text []byte) error {
	if !json.Valid(text) {
		return malformed("the JSON is broken", text)
	}
	text = trimJSON(text)
	if text[0] != '{' {
		return malformed("the JSON is no object", text)
	}
	return r.readObject(top, text)
}

// readObject reads the object that text begins with, which is known to be valid.
func (r *Report) readObject(g group, text []byte) error {
	for rest := text[1:]; ; {
		rest = bytes.TrimLeft(rest, jsonSpace+",")
		if rest[0] == '}' {
			return nil
		}
		end := quotedEnd(rest)
		name := rest[1:end]
		rest = bytes.TrimLeft(rest[end+1:], jsonSpace+":")
		end = jsonEnd(rest)
		value := rest[:end]
		rest = rest[end:]
		if err := r.readMember(g, name, value); err != nil {
			return err
		}
	}
}

// readMember takes in a name and its value.
func (r *Report) readMember(g group, name, value []byte) error {
	switch c := value[0]; {
	case c == '{' && g == top:
		return r.readObject(groupOf(name), value)
	case c == '"':
		value = value[1 : len(value)-1]
	case c != '-' && (c < '0' || c > '9'):
		return nil
	}
	if _, known := metricOf(g, name); !known {
		return nil
	}
	number, ok := parseNumber(value)
	if !ok {
		return malformed("a value is no number", value)
	}
	return r.set(g, name, number)
}

// jsonSpace is what JSON takes for blanks.
const jsonSpace = " \t\r\n"

func trimJSON(text []byte) []byte { return bytes.Trim(text, jsonSpace) }

// jsonEnd returns where the value ends that valid JSON begins with.
func jsonEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += quotedEnd(text[i:])
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}
