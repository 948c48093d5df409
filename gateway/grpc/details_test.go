package grpc

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// statusOf builds with generated types what AppendDetails encodes by hand.
func statusOf(t *testing.T, c Code, message, reason string, after time.Duration) *status.Status {
	t.Helper()
	s := &status.Status{Code: int32(c), Message: message}
	add := func(m proto.Message) {
		detail, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		s.Details = append(s.Details, detail)
	}
	if reason != "" {
		add(&errdetails.ErrorInfo{Reason: strings.ToUpper(reason), Domain: "penstock"})
	}
	if after > 0 {
		add(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	return s
}

var detailsTests = []struct {
	code            Code
	message, reason string
	after           time.Duration
}{
	{Unavailable, "the pool has no endpoint that is ready", "no_endpoint", 5 * time.Second},
	{NotFound, "the model \"é\" is not served here", "model_not_found", 0},
	{ResourceExhausted, "full", "queue_full", 30*time.Second + 1},
	{ResourceExhausted, "full", "queue_full", 300 * time.Millisecond},
	{ResourceExhausted, "full", "", 1},
	{Internal, strings.Repeat("long ", 200), strings.Repeat("r", 200), 1000 * time.Hour},
	{OK, "", "", 0},
	{1000, "", "x", -1},
}

func TestAppendDetails(t *testing.T) {
	for _, c := range detailsTests {
		want := statusOf(t, c.code, c.message, c.reason, c.after)
		raw := AppendDetails([]byte("x"), c.code, c.message, c.reason, c.after)
		checkStatus(t, raw[1:], want)
		value := AppendDetailsBin([]byte("x"), c.code, c.message, c.reason, c.after)
		decoded, err := base64.RawStdEncoding.DecodeString(string(value[1:]))
		if err != nil || string(decoded) != string(raw[1:]) {
			t.Errorf("%s is no base64 of the details: %v", value[1:], err)
		}
	}
}

func checkStatus(t *testing.T, raw []byte, want *status.Status) {
	t.Helper()
	var got status.Status
	if err := proto.Unmarshal(raw, &got); err != nil {
		t.Fatalf("cannot decode %x: %v", raw, err)
	}
	if !proto.Equal(&got, want) {
		t.Errorf("details are\n%v\nwant\n%v", &got, want)
	}
}

func FuzzAppendDetails(f *testing.F) {
	for _, c := range detailsTests {
		f.Add(uint32(c.code), c.message, c.reason, int64(c.after))
	}
	f.Add(uint32(1<<31-1), "a\xffb", "a\xffb", int64(1)<<62)
	f.Add(uint32(5), strings.Repeat("é", 1000), "\xff", int64(0))
	f.Fuzz(func(t *testing.T, code uint32, message, reason string, after int64) {
		code &= 1<<31 - 1 // Status.code is an int32
		upper := strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, reason)
		want := statusOf(t, Code(code), string([]rune(clip(message))), "", time.Duration(after))
		if reason != "" {
			info, err := anypb.New(&errdetails.ErrorInfo{Reason: upper, Domain: "penstock"})
			if err != nil {
				t.Fatal(err)
			}
			want.Details = append([]*anypb.Any{info}, want.Details...)
		}
		checkStatus(t, AppendDetails(nil, Code(code), message, reason, time.Duration(after)), want)
	})
}
