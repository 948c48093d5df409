package grpc

import "math"

// Code is a gRPC status code, the number in grpc-status. Numbers without a name here are legal.
type Code uint32

// The codes and what they mean are gRPC's (doc/statuscodes.md in its repository).
const (
	OK Code = iota
	Cancelled
	Unknown
	InvalidArgument
	DeadlineExceeded
	NotFound
	AlreadyExists
	PermissionDenied
	ResourceExhausted
	FailedPrecondition
	Aborted
	OutOfRange
	Unimplemented
	Internal
	Unavailable
	DataLoss
	Unauthenticated
)

// codeTable has each code's name, and the HTTP status that goes with it by google/rpc/code.proto.
var codeTable = [...]struct {
	name string
	http int
}{
	OK:                 {"OK", 200},
	Cancelled:          {"CANCELLED", 499},
	Unknown:            {"UNKNOWN", 500},
	InvalidArgument:    {"INVALID_ARGUMENT", 400},
	DeadlineExceeded:   {"DEADLINE_EXCEEDED", 504},
	NotFound:           {"NOT_FOUND", 404},
	AlreadyExists:      {"ALREADY_EXISTS", 409},
	PermissionDenied:   {"PERMISSION_DENIED", 403},
	ResourceExhausted:  {"RESOURCE_EXHAUSTED", 429},
	FailedPrecondition: {"FAILED_PRECONDITION", 400},
	Aborted:            {"ABORTED", 409},
	OutOfRange:         {"OUT_OF_RANGE", 400},
	Unimplemented:      {"UNIMPLEMENTED", 501},
	Internal:           {"INTERNAL", 500},
	Unavailable:        {"UNAVAILABLE", 503},
	DataLoss:           {"DATA_LOSS", 500},
	Unauthenticated:    {"UNAUTHENTICATED", 401},
}

// String returns the code's name as gRPC writes it, such as "NOT_FOUND". All numbers without a name are "OTHER", so that a metric's label
// takes few values whatever endpoints send.
func (c Code) String() string {
	if int64(c) < int64(len(codeTable)) {
		return codeTable[c].name
	}
	return "OTHER"
}

// ParseCode reads the value of a grpc-status field, a decimal number. ok is false if s is none or does not fit.
func ParseCode(s string) (c Code, ok bool) {
	if s == "" {
		return 0, false
	}
	value := uint64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		value = 10*value + uint64(s[i]-'0')
		if value > math.MaxUint32 {
			return 0, false
		}
	}
	return Code(value), true
}

// HTTPStatus returns the HTTP status that goes with c, 500 for a number without a name.
func HTTPStatus(c Code) int {
	if int64(c) < int64(len(codeTable)) {
		return codeTable[c].http
	}
	return 500
}
