package rpc

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a service of health checks: what it answers is in the request's service.
type echo struct {
	healthpb.UnimplementedHealthServer
}

func (echo) Check(_ context.Context, in *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	switch in.GetService() {
	case "plain error":
		return nil, io.ErrNoProgress
	case "deadline":
		return nil, context.DeadlineExceeded
	case "details":
		st, err := status.New(codes.Aborted, "50 % \n é").WithDetails(in)
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func (echo) Watch(in *healthpb.HealthCheckRequest, out grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	if err := out.SetHeader(metadata.Pairs("x-key", "value", "x-key-bin", "\x00\xff")); err != nil {
		return err
	}
	for range 3 {
		if err := out.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}); err != nil {
			return err
		}
	}
	if out.SetHeader(metadata.Pairs("late", "x")) == nil || out.SendHeader(nil) == nil {
		return status.Error(codes.Internal, "headers can be set when they were sent")
	}
	out.SetTrailer(metadata.Pairs("x-trailer", "last"))
	return nil
}

func newServer() *Server {
	s := &Server{MaxMessageBytes: 1000}
	s.RegisterService(&healthpb.Health_ServiceDesc, echo{})
	return s
}

const check = "/grpc.health.v1.Health/Check"

// message is a message with its prefix.
func message(compressed byte, b []byte) string {
	return string([]byte{compressed, 0, 0, byte(len(b) >> 8), byte(len(b))}) + string(b)
}

func ask(service string) []byte {
	b, err := proto.Marshal(&healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		panic(err)
	}
	return b
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// request is a request as net/http hands it over.
func request(path, body string, header ...string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// serve returns the answer and its status, wherever that stands.
func serve(t *testing.T, r *http.Request) (w *http.Response, code codes.Code, text string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	newServer().ServeHTTP(recorder, r)
	w = recorder.Result()
	h := w.Header
	if h.Get("Grpc-Status") == "" {
		h = w.Trailer
	}
	n, err := strconv.Atoi(h.Get("Grpc-Status"))
	if err != nil || w.StatusCode != http.StatusOK || w.Header.Get("Content-Type") != contentType {
		t.Fatalf("no answer of gRPC: %+v", w)
	}
	return w, codes.Code(n), h.Get("Grpc-Message")
}

func TestStatuses(t *testing.T) {
	get := request(check, message(0, ask("")))
	get.Method = "GET"
	for name, c := range map[string]struct {
		r    *http.Request
		code codes.Code
		text string
	}{
		"fine":                {request(check, message(0, ask(""))), codes.OK, ""},
		"identity":            {request(check, message(0, ask("")), "grpc-encoding", "identity"), codes.OK, ""},
		"gzip":                {request(check, message(1, zipped(ask(""))), "grpc-encoding", "gzip"), codes.OK, ""},
		"gzip, not used":      {request(check, message(0, ask("")), "grpc-encoding", "gzip"), codes.OK, ""},
		"empty":               {request(check, message(0, nil)), codes.OK, ""},
		"error":               {request(check, message(0, ask("plain error"))), codes.Unknown, io.ErrNoProgress.Error()},
		"error of a context":  {request(check, message(0, ask("deadline"))), codes.DeadlineExceeded, "context deadline exceeded"},
		"GET":                 {get, codes.Internal, "cannot call a method with GET"},
		"service":             {request("/a.B/C", ""), codes.Unimplemented, "unknown service a.B"},
		"method":              {request("/grpc.health.v1.Health/Kill", ""), codes.Unimplemented, "unknown method Kill"},
		"path":                {request("/x", ""), codes.Unimplemented, "malformed method name"},
		"timeout":             {request(check, message(0, ask("")), "grpc-timeout", "5"), codes.Internal, `cannot read grpc-timeout "5"`},
		"encoding":            {request(check, message(0, ask("")), "grpc-encoding", "zstd"), codes.Unimplemented, `grpc-encoding "zstd"`},
		"no encoding":         {request(check, message(1, ask(""))), codes.Internal, "has no grpc-encoding"},
		"flag":                {request(check, message(2, ask(""))), codes.Internal, "flag is 2"},
		"no gzip":             {request(check, message(1, ask("")), "grpc-encoding", "gzip"), codes.Internal, "cannot decompress"},
		"no message":          {request(check, ""), codes.Internal, "without a message"},
		"two messages":        {request(check, message(0, nil)+message(0, nil)), codes.Internal, "more than one message"},
		"ends in a prefix":    {request(check, "\x00\x00"), codes.Internal, "ends within it"},
		"ends in a message":   {request(check, "\x00\x00\x00\x00\x09ab"), codes.Internal, "ends within it"},
		"malformed message":   {request(check, message(0, []byte("\xff\xff"))), codes.Internal, "cannot decode"},
		"too large":           {request(check, message(0, make([]byte, 1001))), codes.ResourceExhausted, "larger than 1000 bytes"},
		"promises too much":   {request(check, "\x00\xff\xff\xff\xff"), codes.ResourceExhausted, "larger than 1000 bytes"},
		"too large, unzipped": {request(check, message(1, zipped(make([]byte, 1001))), "grpc-encoding", "gzip"), codes.ResourceExhausted, "larger than 1000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			w, code, text := serve(t, c.r)
			if code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("status %v %q, want %v %q", code, text, c.code, c.text)
			}
			if trailersOnly := w.Header.Get("Grpc-Status") != ""; trailersOnly != (code != codes.OK) {
				t.Errorf("headers %v", w.Header)
			}
		})
	}
}

func TestStatusDetailsAndEscapes(t *testing.T) {
	w, code, text := serve(t, request(check, message(0, ask("details"))))
	if code != codes.Aborted || text != "50 %25 %0A %C3%A9" {
		t.Errorf("%v %q", code, text)
	}
	b, err := base64.RawStdEncoding.DecodeString(w.Header.Get("Grpc-Status-Details-Bin"))
	if err != nil || !bytes.Contains(b, []byte("HealthCheckRequest")) {
		t.Errorf("details %q, %v", b, err)
	}
}

func TestStreamsAndMetadata(t *testing.T) {
	w, code, text := serve(t, request("/grpc.health.v1.Health/Watch", message(0, nil)))
	body, err := io.ReadAll(w.Body)
	if err != nil || code != codes.OK || string(body) != strings.Repeat("\x00\x00\x00\x00\x02\x08\x02", 3) {
		t.Errorf("%v %q: %q, %v", code, text, body, err)
	}
	if w.Header.Get("x-key") != "value" || w.Header.Get("x-key-bin") != "AP8" || w.Trailer.Get("x-trailer") != "last" {
		t.Errorf("headers %v, trailers %v", w.Header, w.Trailer)
	}
}

func TestAround(t *testing.T) {
	s := newServer()
	s.Around = func(st *Stream, method func() error) error {
		if st.Method() != check {
			return status.Error(codes.PermissionDenied, "no")
		}
		st.Halfway = func() { panic(http.ErrAbortHandler) }
		return method()
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, request("/grpc.health.v1.Health/List", message(0, nil)))
	if got := w.Result().Header.Get("Grpc-Status"); got != "7" {
		t.Errorf("status %q", got)
	}
	w = httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("panic %v", p)
			}
		}()
		s.ServeHTTP(w, request(check, message(0, nil)))
	}()
	if b := w.Body.String(); b != "\x00\x00\x00" || w.Result().Trailer.Get("Grpc-Status") != "" {
		t.Errorf("half a message is %q", b)
	}
}

func TestRegisteringTwicePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	newServer().RegisterService(&healthpb.Health_ServiceDesc, echo{})
}

func TestWants(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;x=y": true,
		"application/grpc-web": false, "application/json": false, "": false,
	} {
		if got := Wants(request("/x", "", "Content-Type", kind)); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
	r := request("/x", "")
	if r.ProtoMajor = 1; Wants(r) {
		t.Error("gRPC over HTTP/1.1")
	}
}

func TestTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "99999999m": 99999999 * time.Millisecond, "5u": 5 * time.Microsecond,
		"00000007n": 7, "99999999H": 100 * 365 * 24 * time.Hour, "0S": 0,
	} {
		if got, ok := parseTimeout(text); !ok || got != want {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", " 1S", "1 S"} {
		if got, ok := parseTimeout(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzTimeout(f *testing.F) {
	f.Add("99999999H")
	f.Fuzz(func(t *testing.T, text string) {
		if d, ok := parseTimeout(text); ok && (d < 0 || d > math.MaxInt64/2 || len(text) > 9) {
			t.Errorf("%q: %v", text, d)
		}
	})
}

// Whatever a client sends, there is a status, and no message is larger than it may be.
func FuzzRequest(f *testing.F) {
	f.Add(message(0, ask("x")), "", "1S")
	f.Add(message(1, zipped(ask("x"))), "gzip", "")
	f.Add("\x00\xff\xff\xff\xff", "identity", "0n")
	f.Fuzz(func(t *testing.T, body, encoding, timeout string) {
		serve(t, request(check, body, "grpc-encoding", encoding, "grpc-timeout", timeout))
	})
}
