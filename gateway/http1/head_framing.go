package http1

import "github.com/penstock/penstock/gateway/field"

// framing returns the Content-Length, -1 if there is none, and whether the body is chunked (RFC 9112 6). It refuses whatever two
// parsers could take for different lengths: repeated or listed lengths, even equal ones, a length beside a coding, a coding that is
// not exactly chunked, a coding in HTTP/1.0.
func (h *head) framing(minor uint8) (length int64, chunked bool, _ fault) {
	if h.seen&maskFraming&^(1<<field.Host) == 0 {
		return -1, false, noFault
	}
	switch {
	case h.twice>>field.ContentLength&1 != 0:
		return 0, false, faultLengthTwice
	case h.twice>>field.TransferEncoding&1 != 0:
		return 0, false, faultCodingTwice
	case !h.has(field.TransferEncoding):
		length, f := parseLength(h.value(field.ContentLength))
		return length, false, f
	case h.has(field.ContentLength):
		return 0, false, faultLengthAndCoding
	case minor == 0:
		return 0, false, faultCodingVersion
	}
	coding := h.value(field.TransferEncoding)
	switch {
	case field.EqualFold(coding, "chunked"):
		return -1, true, noFault
	case field.IsToken(coding):
		return 0, false, faultCoding
	}
	return 0, false, faultCodingSyntax
}

// parseLength reads a Content-Length: decimal digits only (RFC 9110 8.6), at most 19 with leading zeros, at most the largest int64.
func parseLength(b []byte) (int64, fault) {
	if len(b) == 0 {
		return 0, faultLength
	}
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return 0, faultLength
		}
		// Nineteen digits fit into 64 bits; longer ones wrap around, which does no harm as they are refused.
		n = n*10 + d
	}
	if len(b) > 19 || n > 1<<63-1 {
		return 0, faultLengthOverflow
	}
	return int64(n), noFault
}
