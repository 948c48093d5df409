package grpc

import (
	"testing"

	"google.golang.org/grpc/codes"
)

func TestCodesAreThoseOfGRPC(t *testing.T) {
	for c, want := range published {
		if uint32(c) != uint32(want.code) || c.String() != want.name || HTTPStatus(c) != want.http {
			t.Errorf("code %d is %v with status %d; want %d, %s and %d", uint32(c), c, HTTPStatus(c), want.code, want.name, want.http)
		}
		var parsed codes.Code
		if err := parsed.UnmarshalJSON([]byte(`"` + c.String() + `"`)); err != nil || uint32(parsed) != uint32(c) {
			t.Errorf("grpc-go reads %v as %v, %v", c, parsed, err)
		}
	}
	for _, c := range []Code{17, 1 << 31, 1<<32 - 1} {
		if c.String() != "OTHER" || HTTPStatus(c) != 500 {
			t.Errorf("code %d is %v with status %d", uint32(c), c, HTTPStatus(c))
		}
	}
}

// published are the statuses that google/rpc/code.proto gives in its comments.
var published = map[Code]struct {
	code codes.Code
	name string
	http int
}{
	OK:                 {codes.OK, "OK", 200},
	Cancelled:          {codes.Canceled, "CANCELLED", 499},
	Unknown:            {codes.Unknown, "UNKNOWN", 500},
	InvalidArgument:    {codes.InvalidArgument, "INVALID_ARGUMENT", 400},
	DeadlineExceeded:   {codes.DeadlineExceeded, "DEADLINE_EXCEEDED", 504},
	NotFound:           {codes.NotFound, "NOT_FOUND", 404},
	AlreadyExists:      {codes.AlreadyExists, "ALREADY_EXISTS", 409},
	PermissionDenied:   {codes.PermissionDenied, "PERMISSION_DENIED", 403},
	ResourceExhausted:  {codes.ResourceExhausted, "RESOURCE_EXHAUSTED", 429},
	FailedPrecondition: {codes.FailedPrecondition, "FAILED_PRECONDITION", 400},
	Aborted:            {codes.Aborted, "ABORTED", 409},
	OutOfRange:         {codes.OutOfRange, "OUT_OF_RANGE", 400},
	Unimplemented:      {codes.Unimplemented, "UNIMPLEMENTED", 501},
	Internal:           {codes.Internal, "INTERNAL", 500},
	Unavailable:        {codes.Unavailable, "UNAVAILABLE", 503},
	DataLoss:           {codes.DataLoss, "DATA_LOSS", 500},
	Unauthenticated:    {codes.Unauthenticated, "UNAUTHENTICATED", 401},
}

func TestParseCode(t *testing.T) {
	for _, c := range []struct {
		s    string
		want Code
		ok   bool
	}{
		{"0", OK, true},
		{"5", NotFound, true},
		{"16", Unauthenticated, true},
		{"17", 17, true},
		{"007", PermissionDenied, true},
		{"4294967295", 1<<32 - 1, true},
		{"4294967296", 0, false},
		{"99999999999999999999999999", 0, false},
		{"", 0, false},
		{"-1", 0, false},
		{"+1", 0, false},
		{" 1", 0, false},
		{"1 ", 0, false},
		{"0x1", 0, false},
		{"OK", 0, false},
	} {
		if got, ok := ParseCode(c.s); got != c.want || ok != c.ok {
			t.Errorf("ParseCode(%q) = %d, %v", c.s, uint32(got), ok)
		}
	}
}

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		status int
		reason string
		want   Code
	}{
		{400, "model_required", InvalidArgument},
		{400, "path_not_normalized", InvalidArgument},
		{401, "", Unauthenticated},
		{403, "", PermissionDenied},
		{404, "model_not_found", NotFound},
		{404, "route_not_found", Unimplemented},
		{404, "", Unimplemented},
		{405, "", Unimplemented},
		{408, "request_timeout", DeadlineExceeded},
		{413, "model_not_found_in_body", ResourceExhausted},
		{414, "target_too_long", ResourceExhausted},
		{415, "", Unimplemented},
		{417, "unknown_expectation", Unknown},
		{429, "queue_full", ResourceExhausted},
		{431, "head_too_large", ResourceExhausted},
		{499, "client_left", Cancelled},
		{500, "", Internal},
		{501, "", Unimplemented},
		{502, "connect_failed", Unavailable},
		{502, "upstream_reset", Unavailable},
		{503, "no_endpoint", Unavailable},
		{504, "queue_timeout", DeadlineExceeded},
		{504, "upstream_timeout", DeadlineExceeded},
		{505, "", Internal},
		{200, "", Unknown},
		{0, "", Unknown},
	} {
		if got := CodeOf(c.status, c.reason); got != c.want {
			t.Errorf("CodeOf(%d, %q) = %v; want %v", c.status, c.reason, got, c.want)
		}
	}
}

func TestFromHTTP(t *testing.T) {
	for status, want := range map[int]Code{
		400: Internal, 401: Unauthenticated, 403: PermissionDenied, 404: Unimplemented, 429: Unavailable, 502: Unavailable,
		503: Unavailable, 504: Unavailable, 200: Unknown, 302: Unknown, 409: Unknown, 500: Unknown, 501: Unknown, 0: Unknown,
	} {
		if got := FromHTTP(status); got != want {
			t.Errorf("FromHTTP(%d) = %v; want %v", status, got, want)
		}
	}
}
