package instant

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
)

// dialGRPC connects a client of grpc-go.
func dialGRPC(t testing.TB, address string) (c *grpc.ClientConn, ctx context.Context) {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() {
		cancel()
		c.Close()
	})
	return c, ctx
}

func infer(tokens int32) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: "m", Id: "7", Inputs: []*inference.ModelInferRequest_InferInputTensor{
		{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("Hello")}}},
		{Name: "max_tokens", Datatype: "INT32", Shape: []int64{1}, Contents: &inference.InferTensorContents{IntContents: []int32{tokens}}},
	}}
}

func stream(t *testing.T, c *grpc.ClientConn, ctx context.Context, requests ...*inference.ModelInferRequest) grpc.BidiStreamingClient[inference.ModelInferRequest, inference.ModelStreamInferResponse] {
	t.Helper()
	s, err := c.NewStream(ctx, &inference.KServeDesc.Streams[0], inference.ModelStreamInferMethod)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if err := s.SendMsg(r); err != nil && err != io.EOF { // which is for a stream that has ended; Recv says how
			t.Fatal(err)
		}
	}
	return &grpc.GenericClientStream[inference.ModelInferRequest, inference.ModelStreamInferResponse]{ClientStream: s}
}

func TestGRPCAnswers(t *testing.T) {
	s, address := start(t)
	c, ctx := dialGRPC(t, address)
	var out inference.ModelInferResponse
	var header metadata.MD
	if err := c.Invoke(ctx, inference.ModelInferMethod, infer(5), &out, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	if out.Text() != strings.Repeat(word, 5) || out.GetId() != "7" || header.Get("x-mock-replica")[0] != "replica-1" {
		t.Errorf("answer %v, headers %v", &out, header)
	}
	in := &inference.PredictRequest{ModelSpec: &inference.ModelSpec{Name: "m"}, Inputs: map[string]*inference.TensorProto{"x": inference.TextTensor([]byte("x"))}}
	var predicted inference.PredictResponse
	if err := c.Invoke(ctx, inference.PredictMethod, in, &predicted); err != nil || string(predicted.GetOutputs()["text_output"].GetStringVal()[0]) != word {
		t.Errorf("prediction %v, %v", &predicted, err)
	}
	for method, in := range map[string]any{
		inference.ModelInferMethod: infer(0), inference.PredictMethod: &inference.PredictRequest{},
	} {
		if err := c.Invoke(ctx, method, in, new(inference.ModelInferResponse)); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", method, err)
		}
	}
	if err := c.Invoke(ctx, inference.ModelInferMethod, &inference.ModelInferRequest{Id: strings.Repeat("x", 2<<20)}, &out); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large message: %v", err)
	}
	for name, want := range map[string]codes.Code{"": codes.OK, "llama-3-8b": codes.OK, "other": codes.NotFound} {
		if _, err := healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{Service: name}); status.Code(err) != want {
			t.Errorf("health of %q: %v", name, err)
		}
	}
	var ready inference.ModelReadyResponse
	if err := c.Invoke(ctx, "/"+inference.KServeName+"/ModelReady", &inference.ModelReadyRequest{Name: "m"}, &ready); err != nil || !ready.GetReady() {
		t.Errorf("ready %v, %v", &ready, err)
	}
	// The same port still speaks HTTP/1.1, and counts together.
	w := dial(t, address)
	w.send(post(chat, "", whole5))
	w.response()
	s.Close() // an exchange is counted after its answer was sent
	if n := s.Counts(); n != (Counts{Started: 5, Finished: 5}) {
		t.Errorf("counts %+v", n)
	}
}

func TestGRPCStreams(t *testing.T) {
	_, address := start(t)
	c, ctx := dialGRPC(t, address)
	s := stream(t, c, ctx, infer(5), infer(0), &inference.ModelInferRequest{}, infer(2000))
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	tokens, errors, finals := 0, 0, 0
	for {
		r, err := s.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.GetErrorMessage() != "" {
			errors++
			continue
		}
		if tokens++; r.GetInferResponse().Text() != word || r.GetInferResponse().GetId() != "7" {
			t.Errorf("response %v", r)
		}
		if r.GetInferResponse().GetParameters()["triton_final_response"].GetBoolParam() {
			finals++
		}
	}
	if tokens != 2005 || errors != 2 || finals != 2 {
		t.Errorf("%d tokens, %d of them final, and %d errors", tokens, finals, errors)
	}
	whole := infer(3)
	whole.Inputs = append(whole.Inputs, &inference.ModelInferRequest_InferInputTensor{
		Name: "stream", Datatype: "BOOL", Shape: []int64{1}, Contents: &inference.InferTensorContents{BoolContents: []bool{false}},
	})
	if r, err := stream(t, c, ctx, whole).Recv(); err != nil || r.GetInferResponse().Text() != strings.Repeat(word, 3) {
		t.Errorf("response %v, %v", r, err)
	}
}

func TestGRPCPacedStream(t *testing.T) {
	s, address := start(t)
	c, ctx := dialGRPC(t, address)
	const interval = 15 * time.Millisecond
	began := time.Now()
	paced := stream(t, c, metadata.AppendToOutgoingContext(ctx, "x-mock-interval", interval.String()), infer(5))
	for range 5 {
		if _, err := paced.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 4*interval {
		t.Errorf("5 tokens took %v, want at least %v", took, 4*interval)
	}
	paced.CloseSend()
	if _, err := paced.Recv(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
	if _, err := stream(t, c, metadata.AppendToOutgoingContext(ctx, "x-mock-interval", "soon"), infer(5)).Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a wrong interval: %v", err)
	}
	ctx, leave := context.WithCancel(ctx)
	left := stream(t, c, metadata.AppendToOutgoingContext(ctx, "x-mock-interval", "1h"), infer(5))
	if _, err := left.Recv(); err != nil {
		t.Fatal(err)
	}
	leave()
	for deadline := time.Now().Add(patience); s.Counts() != (Counts{Started: 3, Finished: 2, Cancelled: 1}); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counts %+v", s.Counts())
		}
	}
}

func TestCloseCutsGRPC(t *testing.T) {
	s, address := start(t)
	c, ctx := dialGRPC(t, address)
	paced := stream(t, c, metadata.AppendToOutgoingContext(ctx, "x-mock-interval", "1h"), infer(5))
	if _, err := paced.Recv(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := paced.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ends with %v", err)
	}
}

func TestProtocolsAreToldApartByteByByte(t *testing.T) {
	_, address := start(t)
	w := dial(t, address)
	for _, b := range []byte(preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00") {
		w.send(string(b))
	}
	header := make([]byte, 9)
	if _, err := io.ReadFull(w.r, header); err != nil || header[3] != 4 { // SETTINGS
		t.Errorf("got %q, %v", header, err)
	}
	w = dial(t, address)
	w.send("PRI") // and no more: the server must not wait for it when it closes
}
