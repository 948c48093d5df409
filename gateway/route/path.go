package route

import (
	"bytes"
	"fmt"
	"strings"
)

// withoutQuery cuts the query off a request target.
func withoutQuery(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i]
	}
	return target
}

// hasPathPrefix reports whether path lies at or below prefix, which has no trailing slash; an empty prefix is the root.
func hasPathPrefix(path []byte, prefix string) bool {
	n := len(prefix)
	return len(path) > 0 && path[0] == '/' && len(path) >= n && string(path[:n]) == prefix && (len(path) == n || path[n] == '/')
}

// hasDotSegment reports whether path has a segment "." or "..", in which "%2e" counts as a dot, "%2f", "%5c" and the backslash
// as a slash, and ";" as a segment's end: whatever some server takes for a step out of the directory.
func hasDotSegment(path []byte) bool {
	if bytes.IndexByte(path, '.') < 0 && bytes.IndexByte(path, '%') < 0 {
		return false
	}
	dots, only := 0, false // dots of the segment so far; only: nothing else was in it
	for i := 0; i < len(path); {
		c, n := decodeSeparator(path[i:])
		i += n
		switch {
		case c == '/' || c == ';':
			if only && (dots == 1 || dots == 2) {
				return true
			}
			dots, only = 0, c == '/'
		case c == '.':
			dots++
		default:
			only = false
		}
	}
	return only && (dots == 1 || dots == 2)
}

// decodeSeparator returns the first character of path and how many bytes it takes: '.' and '/' also from their encodings, a
// backslash as '/'.
func decodeSeparator(path []byte) (c byte, n int) {
	switch path[0] {
	case '\\':
		return '/', 1
	case '%':
		if len(path) < 3 {
			return '%', 1
		}
		switch [2]byte{path[1], path[2] | 0x20} {
		case [2]byte{'2', 'e'}:
			return '.', 3
		case [2]byte{'2', 'f'}, [2]byte{'5', 'c'}:
			return '/', 3
		case [2]byte{'3', 'b'}:
			return ';', 3
		}
	}
	return path[0], 1
}

// checkPath checks a rule's path or rewrite prefix; what names it in errors.
func checkPath(what, path string) error {
	switch {
	case path == "":
		return nil
	case path[0] != '/':
		return fmt.Errorf(`%s %q does not begin with "/"; write %q`, what, path, "/"+path)
	case strings.ContainsAny(path, "?#"):
		return fmt.Errorf("%s %q has a query or fragment; remove it", what, path)
	case strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return fmt.Errorf("%s %q has a character that no request path has; percent-encode it", what, path)
	case hasDotSegment([]byte(path)):
		return fmt.Errorf("%s %q has a dot segment; write the path without it", what, path)
	}
	return nil
}

// AppendPath appends the request target that the endpoint is sent: target with the matched prefix replaced by RewritePrefix.
// All other bytes, the query among them, are kept as they are. With an empty RewritePrefix the prefix is removed.
func (rt *Route) AppendPath(dst, target []byte) []byte {
	if rt.RewritePrefix == nil || !hasPathPrefix(withoutQuery(target), rt.prefix) {
		return append(dst, target...)
	}
	rest := target[len(rt.prefix):]
	replacement := strings.TrimSuffix(*rt.RewritePrefix, "/")
	dst = append(dst, replacement...)
	if replacement == "" && (len(rest) == 0 || rest[0] != '/') {
		dst = append(dst, '/')
	}
	return append(dst, rest...)
}
