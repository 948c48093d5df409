package mock

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
)

// grpcClient is a client of grpc-go on one connection, without retries of its own.
type grpcClient struct {
	*grpc.ClientConn
	t   *testing.T
	ctx context.Context // ends when a test takes too long
}

func (f *fixture) grpc(o ...grpc.DialOption) *grpcClient {
	f.t.Helper()
	o = append(o, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	c, err := grpc.NewClient("passthrough:///"+f.Addr(), o...)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.t.Cleanup(func() {
		cancel()
		c.Close()
	})
	return &grpcClient{ClientConn: c, t: f.t, ctx: ctx}
}

// invoke calls a method that takes one message and gives one.
func (c *grpcClient) invoke(method string, in, out any, o ...grpc.CallOption) error {
	return c.Invoke(c.ctx, method, in, out, o...)
}

// must expects OK.
func (c *grpcClient) must(method string, in, out any, o ...grpc.CallOption) {
	c.t.Helper()
	if err := c.invoke(method, in, out, o...); err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
}

type inferClient = grpc.BidiStreamingClient[inference.ModelInferRequest, inference.ModelStreamInferResponse]

// stream opens a ModelStreamInfer.
func (c *grpcClient) stream(ctx context.Context) inferClient {
	c.t.Helper()
	s, err := c.NewStream(ctx, &inference.KServeDesc.Streams[0], inference.ModelStreamInferMethod)
	if err != nil {
		c.t.Fatal(err)
	}
	return &grpc.GenericClientStream[inference.ModelInferRequest, inference.ModelStreamInferResponse]{ClientStream: s}
}

// ask opens a ModelStreamInfer and sends requests.
func (c *grpcClient) ask(ctx context.Context, requests ...*inference.ModelInferRequest) inferClient {
	c.t.Helper()
	s := c.stream(ctx)
	for _, r := range requests {
		if err := s.Send(r); err != nil {
			c.t.Fatal(err)
		}
	}
	return s
}

// next receives a response.
func next(t *testing.T, s inferClient) *inference.ModelStreamInferResponse {
	t.Helper()
	r, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inferRequest asks for a number of tokens, in typed contents.
func inferRequest(text string, tokens int) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: "llama-3-8b", Id: text,
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte(text)}}},
			{Name: "max_tokens", Datatype: "INT32", Shape: []int64{1}, Contents: &inference.InferTensorContents{IntContents: []int32{int32(tokens)}}},
		},
	}
}

func predictRequest(text string) *inference.PredictRequest {
	return &inference.PredictRequest{
		ModelSpec: &inference.ModelSpec{Name: "llama-3-8b"}, Inputs: map[string]*inference.TensorProto{"text_input": inference.TextTensor([]byte(text))},
	}
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("status %v, want %v: %v", got, want, err)
	}
}

// awaitOutcome waits for the end of one RPC.
func (f *fixture) awaitOutcome(method string, want outcome) {
	f.t.Helper()
	if e := f.ending(); e != (ending{method, want}) {
		f.t.Errorf("ended as %+v, want %+v", e, ending{method, want})
	}
}

// atOnce is more time than anything takes that happens at once.
const atOnce = time.Second
