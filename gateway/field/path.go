package field

import "bytes"

// ValidPath reports whether b is a path with an optional query in origin form: it begins with a slash, has only bytes that a target may
// have, and is sound as ValidEscapes has it.
func ValidPath(b []byte) bool {
	if len(b) == 0 || b[0] != '/' {
		return false
	}
	for _, c := range b {
		if Classes[c]&ClassTarget == 0 {
			return false
		}
	}
	return ValidEscapes(b)
}

// ValidEscapes reports whether in a path, up to its query, two hexadecimal digits follow each percent sign (RFC 3986 2.1). Queries are
// full of lone percent signs, and nothing is routed by them.
func ValidEscapes(path []byte) bool {
	i := bytes.IndexByte(path, '%')
	if i < 0 {
		return true
	}
	if query := bytes.IndexByte(path, '?'); query >= 0 {
		path = path[:query]
	}
	for ; i < len(path); i++ {
		if path[i] != '%' {
			continue
		}
		if i+2 >= len(path) || Classes[path[i+1]]&Classes[path[i+2]]&ClassHex == 0 {
			return false
		}
		i += 2
	}
	return true
}
