package http1

// parseVersion parses the end of a request line, HTTP/1.1 or HTTP/1.0 and CRLF, and returns the minor version; -1 when b ends before
// the line does.
func parseVersion(b []byte) (minor int, _ fault) {
	const line = len("HTTP/1.1\r\n")
	if len(b) >= line && string(b[:7]) == "HTTP/1." && (b[7] == '1' || b[7] == '0') && b[8] == '\r' && b[9] == '\n' {
		return int(b[7] - '0'), noFault
	}
	return -1, versionFault(b)
}

// versionFault names what is wrong with the end of a request line, noFault if it only ends too early to tell. It looks at the same
// bytes, up to the first line feed and ten at most, however many have arrived.
func versionFault(b []byte) fault {
	const version = len("HTTP/1.1")
	for i, c := range b {
		switch {
		case c == '\n':
			if i == version && isVersion(b[:i]) {
				return faultBareLF
			}
			if i == version+1 && b[i-1] == '\r' && isVersion(b[:version]) && b[5] != '0' {
				return faultVersion
			}
			return faultVersionSyntax
		case i == version+1:
			return faultVersionSyntax
		}
	}
	return noFault
}

// isVersion reports whether b, of eight bytes, is an HTTP version of any number (RFC 9112 2.3).
func isVersion(b []byte) bool {
	return string(b[:5]) == "HTTP/" && b[6] == '.' && b[5]-'0' <= 9 && b[7]-'0' <= 9
}
