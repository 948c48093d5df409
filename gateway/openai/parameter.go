package openai

import "bytes"

// parameter returns the value of the parameter called name of a header field's value: "; name=token" or "; name="quoted string""
// (RFC 9110, section 5.6.6). It is put, unquoted, in buf; a value that is longer than buf is cut to nothing, with ok set.
func parameter(field []byte, name string, buf []byte) (value []byte, ok bool) {
	_, rest, _ := cutParameter(field)
	for len(rest) > 0 {
		var one []byte
		one, rest, _ = cutParameter(rest)
		key, value, has := bytes.Cut(one, []byte{'='})
		if has && bytes.EqualFold(bytes.Trim(key, " \t"), []byte(name)) {
			return unquoted(bytes.Trim(value, " \t"), buf), true
		}
	}
	return nil, false
}

// cutParameter cuts field at the first semicolon that is not in a quoted string.
func cutParameter(field []byte) (before, after []byte, found bool) {
	quoted := false
	for i := 0; i < len(field); i++ {
		switch {
		case field[i] == '"':
			quoted = !quoted
		case field[i] == '\\' && quoted:
			i++
		case field[i] == ';' && !quoted:
			return field[:i], field[i+1:], true
		}
	}
	return field, nil, false
}

// unquoted puts value in buf without its quotes and escapes, and returns that part of buf; nothing if it does not fit.
func unquoted(value, buf []byte) []byte {
	quoted := len(value) > 0 && value[0] == '"'
	if quoted {
		value = value[1:]
	}
	n := 0
	for i := 0; i < len(value) && !(quoted && value[i] == '"'); i++ {
		if quoted && value[i] == '\\' && i+1 < len(value) {
			i++
		}
		if n == len(buf) {
			return nil
		}
		buf[n] = value[i]
		n++
	}
	return buf[:n]
}
