package grpc

import (
	"encoding/base64"
	"time"
	"unicode/utf8"
)

// errorDomain says in google.rpc.ErrorInfo whose reasons these are.
const errorDomain = "penstock"

const (
	errorInfoType = "type.googleapis.com/google.rpc.ErrorInfo"
	retryInfoType = "type.googleapis.com/google.rpc.RetryInfo"
)

// AppendDetails appends a google.rpc.Status in protobuf's encoding. Its details are a google.rpc.ErrorInfo with the reason in upper case,
// unless reason is empty, and a google.rpc.RetryInfo if retryAfter is positive. The message is cut where AppendMessage cuts it, and its
// bytes that are no UTF-8 become U+FFFD: clients cannot decode a status whose strings have others.
func AppendDetails(dst []byte, c Code, message, reason string, retryAfter time.Duration) []byte {
	dst = appendNumber(dst, 1, uint64(c))
	dst = appendText(dst, 2, clip(message))
	if reason != "" {
		dst = appendErrorInfo(dst, reason)
	}
	if retryAfter > 0 {
		dst = appendRetryInfo(dst, retryAfter)
	}
	return dst
}

// detailsSize is enough for the details of a refusal whose message is valid UTF-8; others may take three times as much.
const detailsSize = maxMessage + 512

// AppendDetailsBin appends the value of a grpc-status-details-bin field: what AppendDetails appends, in base64 without padding.
func AppendDetailsBin(dst []byte, c Code, message, reason string, retryAfter time.Duration) []byte {
	var raw [detailsSize]byte
	return base64.RawStdEncoding.AppendEncode(dst, AppendDetails(raw[:0], c, message, reason, retryAfter))
}

// appendErrorInfo appends google.protobuf.Any as a detail, with an ErrorInfo in it: reason = 1, domain = 2.
func appendErrorInfo(dst []byte, reason string) []byte {
	value := textSize(reason) + textSize(errorDomain)
	dst = appendAny(dst, errorInfoType, value)
	dst = appendText(dst, 1, reason)
	for i := len(dst) - validLen(reason); i < len(dst); i++ {
		if c := dst[i]; 'a' <= c && c <= 'z' {
			dst[i] = c - 'a' + 'A'
		}
	}
	return appendText(dst, 2, errorDomain)
}

// appendRetryInfo appends google.protobuf.Any as a detail, with a RetryInfo in it: retry_delay = 1, which is a google.protobuf.Duration of
// seconds = 1 and nanos = 2.
func appendRetryInfo(dst []byte, after time.Duration) []byte {
	seconds, nanos := uint64(after/time.Second), uint64(after%time.Second)
	delay := numberSize(seconds) + numberSize(nanos)
	dst = appendAny(dst, retryInfoType, 1+varintSize(uint64(delay))+delay)
	dst = appendHeader(dst, 1, delay)
	dst = appendNumber(dst, 1, seconds)
	return appendNumber(dst, 2, nanos)
}

// appendAny appends what stands before the value of a google.protobuf.Any as an element of Status.details, field 3: type_url = 1,
// value = 2. valueSize is the length of that value, which is to follow.
func appendAny(dst []byte, typeURL string, valueSize int) []byte {
	dst = appendHeader(dst, 3, textSize(typeURL)+1+varintSize(uint64(valueSize))+valueSize)
	dst = appendText(dst, 1, typeURL)
	return appendHeader(dst, 2, valueSize)
}

// appendHeader appends the tag of a length-delimited field, whose number is below 16, and its length.
func appendHeader(dst []byte, number byte, size int) []byte {
	return appendVarint(append(dst, number<<3|wireBytes), uint64(size))
}

// appendText appends a string field. An empty one is left out: it is the default.
func appendText(dst []byte, number byte, s string) []byte {
	if s == "" {
		return dst
	}
	dst = appendHeader(dst, number, validLen(s))
	if utf8.ValidString(s) {
		return append(dst, s...)
	}
	for _, r := range s {
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func textSize(s string) int {
	if s == "" {
		return 0
	}
	n := validLen(s)
	return 1 + varintSize(uint64(n)) + n
}

// validLen returns the length of s with what is no UTF-8 replaced.
func validLen(s string) int {
	if utf8.ValidString(s) {
		return len(s)
	}
	n := 0
	for _, r := range s {
		n += utf8.RuneLen(r)
	}
	return n
}

// appendNumber appends a varint field. 0 is left out: it is the default.
func appendNumber(dst []byte, number byte, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return appendVarint(append(dst, number<<3|wireVarint), v)
}

func numberSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + varintSize(v)
}
