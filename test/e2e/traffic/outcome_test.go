package traffic

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/bench/mock/inference"
)

// faultCase is a fault and what comes of it.
type faultCase struct {
	fault           mock.Fault
	direct, through Outcome // of all kinds
	rpcs            Outcome // through the gateway, where it is another one for RPCs
	status          map[Kind]string
	code            string
}

// TestFaults sends a request of each kind to a replica with a fault, once directly and once through a gateway, which answers for the replica
// where it can.
func TestFaults(t *testing.T) {
	for _, c := range []faultCase{
		{fault: mock.Fault{Kind: mock.ResetBeforeHeaders}, direct: Failed, through: Refused, rpcs: Failed, status: map[Kind]string{Unary: "502", SSE: "502"}},
		{fault: mock.Fault{Kind: mock.CloseBeforeHeaders}, direct: Failed, through: Refused, rpcs: Failed, status: map[Kind]string{Unary: "502", SSE: "502"}},
		{fault: mock.Fault{Kind: mock.ResetMidStream, AfterChunks: 3}, direct: Cut, through: Cut},
		{fault: mock.Fault{Kind: mock.CloseMidStream, AfterChunks: 3}, direct: Cut, through: Cut},
		{fault: mock.Fault{Kind: mock.StatusAnswer, Status: 429}, direct: Refused, through: Refused,
			status: map[Kind]string{Unary: "429", SSE: "429", GRPC: "ResourceExhausted", GRPCStream: "ResourceExhausted"}, code: "mock_fault"},
		{fault: mock.Fault{Kind: mock.StatusAnswer, Status: 503}, direct: Refused, through: Refused,
			status: map[Kind]string{Unary: "503", SSE: "503", GRPC: "Unavailable"}, code: "mock_fault"},
		{fault: mock.Fault{Kind: mock.GoAway}, direct: OK, through: OK},
		{fault: mock.Fault{Kind: mock.NotReady}, direct: OK, through: OK},
	} {
		t.Run(fmt.Sprint(c.fault.Kind, c.fault.Status), func(t *testing.T) {
			s := startMock(t, mock.Options{Label: "v1"})
			g := startGateway(t, fmt.Sprintf("pools: {main: {endpoints: [\"http://%s\"]}}\n", s.Addr()))
			if err := s.SetFaults([]mock.Fault{c.fault}); err != nil {
				t.Fatal(err)
			}
			wants := make(map[Kind]Outcome)
			for _, k := range Kinds {
				wants[k] = c.direct
			}
			c.check(t, s.Addr(), wants)
			for _, k := range Kinds {
				if wants[k] = c.through; c.rpcs != "" && (k == GRPC || k == GRPCStream) {
					wants[k] = c.rpcs
				}
			}
			c.check(t, g.Addr().String(), wants)
		})
	}
}

// check sends a request of each kind.
func (c *faultCase) check(t *testing.T, target string, wants map[Kind]Outcome) {
	t.Helper()
	d := newDriver(t, target, Options{MinTokens: 8, MaxTokens: 8})
	for _, k := range Kinds {
		e, want := d.one(k), wants[k]
		if e.outcome != want {
			t.Errorf("%s to %s is %s (status %s, %d pieces): %s; want %s", k, target, e.outcome, e.status, e.pieces, e.text, want)
		}
		if s := c.status[k]; want == Refused && s != "" && (e.status != s || e.text == "") {
			t.Errorf("%s to %s was refused with %s, want %s: %s", k, target, e.status, s, e.text)
		}
		if (k == Unary || k == SSE) && e.code != c.code && c.code != "" {
			t.Errorf("%s to %s has the code %q, want %q", k, target, e.code, c.code)
		}
		if streamed := k == SSE || k == GRPCStream; want == Cut && streamed && (e.pieces != 3 || e.server.label != "v1" || e.text == "") {
			t.Errorf("%s to %s: %+v", k, target, e)
		}
	}
	checkSamples(t, d.Report(), wants)
}

// checkSamples requires that a report counts each kind's request, and has a sample of those that are not well.
func checkSamples(t *testing.T, r *Report, wants map[Kind]Outcome) {
	t.Helper()
	samples := r.Samples
	for _, k := range Kinds {
		want := wants[k]
		if r.Count(want, k) != 1 || r.Kinds[k].Sent != 1 {
			t.Errorf("the report has %+v of kind %s, want one that is %s", r.Kinds[k], k, want)
		}
		if want == OK {
			continue
		}
		if len(samples) == 0 {
			t.Fatalf("there is no sample of kind %s", k)
		}
		s := samples[0]
		if s.Kind != k || s.Outcome != want || s.RequestID == "" || s.Error == "" || s.Sent.After(s.Ended) || s.Sent.IsZero() || s.Tokens != 8 {
			t.Errorf("sample %+v", s)
		}
		samples = samples[1:]
	}
	if len(samples) > 0 {
		t.Errorf("samples %+v", samples)
	}
}

// A replica that dies cuts what is underway and refuses what comes; the gateway says so in its own words.
func TestDeath(t *testing.T) {
	for _, k := range []Kind{SSE, GRPCStream} {
		t.Run(string(k), func(t *testing.T) {
			s := startMock(t, mock.Options{})
			g := startGateway(t, fmt.Sprintf("pools: {main: {endpoints: [\"http://%s\"]}}\n", s.Addr()))
			if err := s.SetFaults([]mock.Fault{{Kind: mock.StallMidStream, AfterChunks: 2}}); err != nil {
				t.Fatal(err)
			}
			d := newDriver(t, g.Addr().String(), Options{Rates: map[Kind]float64{k: 1000}, MaxInFlight: 1, MinTokens: 5, MaxTokens: 5})
			two := make(chan struct{})
			d.arrived = func(pieces int) {
				if pieces == 2 {
					close(two)
				}
			}
			if err := d.Start(); err != nil {
				t.Fatal(err)
			}
			<-two
			s.Close()
			if e := <-d.ends; e.outcome != Cut || e.pieces != 2 || e.server.endpoint != s.Addr() {
				t.Errorf("what was underway is %s after %d pieces from %+v: %s", e.outcome, e.pieces, e.server, e.text)
			}
			if e := <-d.ends; e.outcome != Refused {
				t.Errorf("what came later is %s: %s", e.outcome, e.text)
			}
			d.Stop(t.Context())
		})
	}
	d := newDriver(t, deadPort(t), Options{})
	for _, k := range Kinds {
		if e := d.one(k); e.outcome != Failed || e.status != "" || !strings.Contains(e.text, "refused") {
			t.Errorf("%s to a port that nobody listens on is %s %s: %s", k, e.outcome, e.status, e.text)
		}
	}
}

const (
	token    = `data: {"model":"llama-3-8b","choices":[{"delta":{"content":"the "},"finish_reason":null}]}` + "\n\n"
	lastOne  = `data: {"model":"llama-3-8b","choices":[{"delta":{"content":"the "},"finish_reason":"length"}]}` + "\n\n"
	usage2   = `data: {"model":"llama-3-8b","choices":[],"usage":{"completion_tokens":2}}` + "\n\n"
	usage3   = `data: {"model":"llama-3-8b","choices":[],"usage":{"completion_tokens":3}}` + "\n\n"
	theDone  = "data: [DONE]\n\n"
	whole    = `{"model":"llama-3-8b","choices":[{"message":{"content":"the the "},"finish_reason":"length"}],"usage":{"completion_tokens":2}}`
	stranger = `data: {"model":"gpt","choices":[{"delta":{"content":"the "}}]}` + "\n\n"
	failure  = `data: {"error":{"message":"out of memory"}}` + "\n\n"
	head     = "HTTP/1.1 200 OK\r\n"
	sse      = head + "Content-Type: text/event-stream\r\n"
)

// chunked is an answer in chunks that ends as it should.
func chunked(body string) string {
	if body == "" {
		return sse + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	}
	return fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", sse, len(body), body)
}

func sized(length int, body string) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, length, body)
}

// TestHTTPAnswers holds what servers write by hand against what a request for two tokens must get.
func TestHTTPAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   Kind
		answer string // bytes on the connection, which is closed then
		want   Outcome
		text   string
	}{
		{"right", SSE, chunked(token + lastOne + usage2 + theDone), OK, ""},
		{"comments and CRLF", SSE, chunked(": hi\r\n\r\n" + strings.ReplaceAll(token+lastOne+usage2+theDone, "\n", "\r\n")), OK, ""},
		{"no [DONE]", SSE, chunked(token + lastOne + usage2), Truncated, "ends without [DONE]"},
		{"no usage", SSE, chunked(token + lastOne + theDone), Truncated, "no usage"},
		{"wrong usage", SSE, chunked(token + lastOne + usage3 + theDone), Truncated, "2 tokens were asked for"},
		{"one token", SSE, chunked(token), Truncated, "1 tokens where 2 were asked for; [DONE]: false"},
		{"three tokens", SSE, chunked(token + token + lastOne + usage2 + theDone), Truncated, "3 tokens where 2"},
		{"no reason", SSE, chunked(token + token + usage2 + theDone), Truncated, "no chunk says why"},
		{"token after the end", SSE, chunked(lastOne + token + usage2 + theDone), Truncated, "chunk 2 has a text of 4 bytes, after the end: true"},
		{"more after [DONE]", SSE, chunked(token + lastOne + usage2 + theDone + theDone), Truncated, `follows [DONE]`},
		{"another model", SSE, chunked(stranger + lastOne + usage2 + theDone), Truncated, `model "gpt"`},
		{"half an event", SSE, chunked(token + lastOne[:40] + "\n" + usage2 + theDone), Truncated, "is no chunk"},
		{"an end within a line", SSE, chunked(token + lastOne + usage2 + "data: [DO"), Truncated, `within the line "data: [DO"`},
		{"something else", SSE, chunked("event: token\n" + token + lastOne + usage2 + theDone), Truncated, `a line is "event: token"`},
		{"no chunks", SSE, chunked(""), Truncated, "0 tokens"},
		{"a whole body", SSE, sized(len(whole), whole), Truncated, `content type is ""`},
		{"an error event", SSE, chunked(token + failure), Cut, "out of memory"},
		{"no last chunk", SSE, sse + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(token), token), Cut, "unexpected EOF"},
		{"short", SSE, sse + "Content-Length: 4000\r\n\r\n" + token, Cut, "unexpected EOF"},
		{"right", Unary, sized(len(whole), whole), OK, ""},
		{"short", Unary, sized(len(whole)+1, whole), Cut, "unexpected EOF"},
		{"half", Unary, sized(80, whole[:80]), Truncated, "the body is no answer"},
		{"half until the end", Unary, head + "\r\n" + whole[:80], Truncated, "the body is no answer"},
		{"empty", Unary, sized(0, ""), Truncated, "the body is no answer"},
		{"another model", Unary, sized(3, "{}\n"), Truncated, `of the model ""`},
		{"no choice", Unary, sized(22, `{"model":"llama-3-8b"}`), Truncated, "0 choices"},
		{"short text", Unary, sized(len(whole)-4, strings.Replace(whole, "the ", "", 1)), Truncated, "has 4 bytes, want 8"},
		{"no reason", Unary, sized(len(whole)-2, strings.Replace(whole, `"length"`, `"stop"`, 1)), Truncated, "ended by its length"},
		{"wrong usage", Unary, sized(len(whole), strings.Replace(whole, `:2}`, `:1}`, 1)), Truncated, "2 tokens were asked for"},
		{"204", Unary, "HTTP/1.1 204 No Content\r\n\r\n", Refused, ""},
		{"302", Unary, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", Refused, ""},
		{"an error that breaks off", Unary, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 9\r\n\r\noh", Refused, "oh, unexpected EOF"},
		{"nonsense", Unary, "hello\r\n\r\n", Failed, "malformed HTTP"},
		{"nothing", Unary, "", Failed, "EOF"},
		{"half a head", SSE, head, Failed, "EOF"},
	} {
		t.Run(fmt.Sprint(c.name, " ", c.kind), func(t *testing.T) {
			d := newDriver(t, answerWith(t, c.answer), Options{MinTokens: 2, MaxTokens: 2})
			if e := d.one(c.kind); e.outcome != c.want || !strings.Contains(e.text, c.text) || (e.text == "") != (c.want == OK) {
				t.Errorf("it is %s, want %s: %q, want %q", e.outcome, c.want, e.text, c.text)
			}
		})
	}
}

// answerWith answers the first request with these bytes and closes the connection.
func answerWith(t *testing.T, answer string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		request := make([]byte, 0, 4096)
		for !strings.HasSuffix(string(request), "}") { // the body's end
			n, err := c.Read(request[len(request):cap(request)])
			if request = request[:len(request)+n]; err != nil {
				return
			}
		}
		io.WriteString(c, answer)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// handmade answers RPCs as a test says.
type handmade struct {
	inference.KServe
	one    func(*inference.ModelInferRequest) (*inference.ModelInferResponse, error)
	stream func(*inference.ModelInferRequest, inference.InferStream) error
}

func (h handmade) ModelInfer(ctx context.Context, in *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	grpc.SetTrailer(ctx, metadata.Pairs(replicaHeader, "in-the-trailers"))
	return h.one(in)
}

func (h handmade) ModelStreamInfer(s inference.InferStream) error {
	in, err := s.Recv()
	if err != nil {
		return err
	}
	return h.stream(in, s)
}

// TestGRPCAnswers holds what servers send against what a request for two tokens must get.
func TestGRPCAnswers(t *testing.T) {
	two := []byte("the the ")
	answer := func(in *inference.ModelInferRequest, last bool) *inference.ModelStreamInferResponse {
		return in.StreamAnswer(two[:4], false, last)
	}
	type send = func(*inference.ModelInferRequest) []*inference.ModelStreamInferResponse
	both := func(in *inference.ModelInferRequest) []*inference.ModelStreamInferResponse {
		return []*inference.ModelStreamInferResponse{answer(in, false), answer(in, true)}
	}
	for _, c := range []struct {
		name string
		one  func(*inference.ModelInferRequest) (*inference.ModelInferResponse, error)
		send send // a stream, where one is nil
		err  error
		want Outcome
		text string
	}{
		{name: "right", one: func(in *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
			return in.Answer(two, true), nil
		}, want: OK},
		{name: "short", one: func(in *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
			return in.Answer(two[:4], false), nil
		}, want: Truncated, text: "text of 4 bytes, want 8"},
		{name: "another request", one: func(in *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
			in.Id = "x"
			return in.Answer(two, false), nil
		}, want: Truncated, text: `answers the request "x"`},
		{name: "another model", one: func(in *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
			in.ModelName = "x"
			return in.Answer(two, false), nil
		}, want: Truncated, text: `of the model "x"`},
		{name: "status", one: func(*inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
			return nil, status.Error(codes.ResourceExhausted, "full")
		}, want: Refused, text: "full"},
		{name: "right stream", send: both, want: OK},
		{name: "no message", send: func(*inference.ModelInferRequest) []*inference.ModelStreamInferResponse { return nil }, want: Truncated, text: "0 messages, want 2"},
		{name: "one message", send: func(in *inference.ModelInferRequest) []*inference.ModelStreamInferResponse { return both(in)[1:] }, want: Truncated, text: "1 messages, want 2"},
		{name: "three messages", send: func(in *inference.ModelInferRequest) []*inference.ModelStreamInferResponse {
			return append(both(in), answer(in, true))
		}, want: Truncated, text: "message 3 follows the last one"},
		{name: "no last one", send: func(in *inference.ModelInferRequest) []*inference.ModelStreamInferResponse {
			return []*inference.ModelStreamInferResponse{answer(in, false), answer(in, false)}
		}, want: Truncated, text: "no message says that it is the last"},
		{name: "an error message", send: func(in *inference.ModelInferRequest) []*inference.ModelStreamInferResponse {
			return []*inference.ModelStreamInferResponse{answer(in, false), {ErrorMessage: "out of memory"}}
		}, want: Cut, text: "out of memory"},
		{name: "status after a message", send: func(in *inference.ModelInferRequest) []*inference.ModelStreamInferResponse { return both(in)[:1] },
			err: status.Error(codes.Internal, "lost"), want: Cut, text: "lost"},
		{name: "status without one", send: func(*inference.ModelInferRequest) []*inference.ModelStreamInferResponse { return nil },
			err: status.Error(codes.Unavailable, "later"), want: Refused, text: "later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind, h := GRPC, handmade{one: c.one}
			if c.one == nil {
				kind = GRPCStream
				h.stream = func(in *inference.ModelInferRequest, s inference.InferStream) error {
					for _, m := range c.send(in) {
						if err := s.Send(m); err != nil {
							return err
						}
					}
					return c.err
				}
			}
			d := newDriver(t, serveGRPC(t, h), Options{MinTokens: 2, MaxTokens: 2})
			e := d.one(kind)
			if e.outcome != c.want || !strings.Contains(e.text, c.text) || (e.text == "") != (c.want == OK) {
				t.Errorf("it is %s, want %s: %q, want %q", e.outcome, c.want, e.text, c.text)
			}
			if kind == GRPC && e.server.replica != "in-the-trailers" {
				t.Errorf("it was answered by %+v", e.server)
			}
		})
	}
}

func serveGRPC(t *testing.T, h handmade) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.WaitForHandlers(true))
	s.RegisterService(&inference.KServeDesc, h)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

// TestBrokenHTTP2 has what grpc-go's server never does.
func TestBrokenHTTP2(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   Outcome
		text   string
	}{
		{"trailers within a message", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			w.Write([]byte("\x00\x00\x00\x00\x09half"))
		}, Truncated, "trailers came within a message"},
		{"a reset after the head", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, Cut, "INTERNAL_ERROR"},
		{"a reset before the head", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Failed, "INTERNAL_ERROR"},
		{"no gRPC", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }, Refused, "502"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(c.answer)
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Start()
			defer s.Close()
			d := newDriver(t, s.Listener.Addr().String(), Options{})
			for _, k := range []Kind{GRPC, GRPCStream} {
				if e := d.one(k); e.outcome != c.want || !strings.Contains(e.text, c.text) {
					t.Errorf("%s is %s, want %s: %q, want %q", k, e.outcome, c.want, e.text, c.text)
				}
			}
			d.Close()
		})
	}
}
