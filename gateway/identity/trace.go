package identity

// traceIDLen is how many hexadecimal digits a trace has for its id.
const traceIDLen = 32

// SetTrace sets dst to the id of the trace that a traceparent field names (W3C, "Trace Context", section 3.2), in hexadecimal, or to zeros if the field is
// malformed.
func SetTrace(dst *[traceIDLen]byte, traceparent []byte) {
	*dst = [traceIDLen]byte{}
	if isTraceparent(traceparent) {
		copy(dst[:], traceparent[3:])
	}
}

// isTraceparent says whether a field reads VERSION-TRACE-PARENT-FLAGS. Versions after 00 may have more behind it.
func isTraceparent(v []byte) bool {
	const length = 2 + 1 + traceIDLen + 1 + 16 + 1 + 2
	if len(v) < length || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return false
	}
	version, trace, parent, flags := v[:2], v[3:35], v[36:52], v[53:length]
	if _, ok := lowerHex(version); !ok || string(version) == "ff" {
		return false
	}
	if len(v) > length && (string(version) == "00" || v[length] != '-') {
		return false
	}
	_, flagsOK := lowerHex(flags)
	traceSet, traceOK := lowerHex(trace)
	parentSet, parentOK := lowerHex(parent)
	return flagsOK && traceOK && traceSet && parentOK && parentSet
}

// lowerHex says whether v consists of hexadecimal digits in lower case, and whether any of them is not 0.
func lowerHex(v []byte) (nonzero, ok bool) {
	for _, b := range v {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false, false
		}
		nonzero = nonzero || b != '0'
	}
	return nonzero, true
}
