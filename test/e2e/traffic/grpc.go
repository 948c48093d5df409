package traffic

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
)

// grpcClient is one connection of HTTP/2, of grpc-go, without retries that a service configuration could ask for. What cannot be switched off
// are its transparent retries: it sends an RPC again that it knows no server has seen, because it never left, or because REFUSED_STREAM or
// GOAWAY says so. Every user of grpc-go has these.
type grpcClient struct{ conn *grpc.ClientConn }

func newGRPCClient(target string) (*grpcClient, error) {
	c, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(), grpc.WithStatsHandler(watcher{}))
	if err != nil {
		return nil, fmt.Errorf("cannot send gRPC to %s: %w", target, err)
	}
	return &grpcClient{c}, nil
}

func (c *grpcClient) close() { c.conn.Close() }

// seen is what came of one RPC, as grpc-go's transport tells it.
type seen struct {
	mu              sync.Mutex
	header, trailer metadata.MD // nil if it did not come
	known           time.Time   // when the first of them came
	bytes           int
}

type seenKey struct{}

// watcher notes what comes in the seen of the RPC's context.
type watcher struct{}

var _ stats.Handler = watcher{}

// TagRPC leaves the context as it is.
func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC notes what came.
func (watcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	n, ok := ctx.Value(seenKey{}).(*seen)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch s := s.(type) {
	case *stats.InHeader:
		n.header, n.known = s.Header, time.Now()
	case *stats.InTrailer:
		n.trailer = s.Trailer
		if n.known.IsZero() {
			n.known = time.Now()
		}
	case *stats.InPayload:
		n.bytes += s.Length
	}
}

// TagConn leaves the context as it is.
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn does nothing.
func (watcher) HandleConn(context.Context, stats.ConnStats) {}

// one and stream are the methods. Both are called as streams, so that an OK without a message can be told from other errors.
var (
	one    = &grpc.StreamDesc{StreamName: "ModelInfer", ServerStreams: true}
	stream = &inference.KServeDesc.Streams[0]
)

func inferRequest(o *Options, e *exchange) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: o.Model, Id: e.id,
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{
				BytesContents: [][]byte{fmt.Appendf(nil, "This is request %d.", e.number)}}},
			{Name: inference.MaxTokensInput, Datatype: "INT32", Shape: []int64{1}, Contents: &inference.InferTensorContents{IntContents: []int32{int32(e.tokens)}}},
		},
	}
}

func outgoing(h http.Header, e *exchange) metadata.MD {
	md := metadata.MD{"x-request-id": {e.id}}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		md.Append(name, h[name]...)
	}
	if e.user != "" {
		md.Set("x-user-id", e.user)
	}
	return md
}

// send makes an RPC and receives all of its answer.
func (c *grpcClient) send(ctx context.Context, o *Options, e *exchange) {
	n := &seen{}
	ctx = metadata.NewOutgoingContext(context.WithValue(ctx, seenKey{}, n), outgoing(o.Header, e))
	v := messages{model: o.Model, id: e.id, want: e.tokens, streamed: e.kind == GRPCStream}
	err := c.exchange(ctx, inferRequest(o, e), e, &v)
	n.mu.Lock()
	defer n.mu.Unlock()
	e.bytes = n.bytes
	e.known = n.known
	e.server = serverOf(func(name string) string {
		if values := append(n.header.Get(name), n.trailer.Get(name)...); len(values) > 0 {
			return values[0]
		}
		return ""
	})
	e.judge(ctx, n, err, &v)
}

// exchange sends one request and receives messages up to the end, whose error is nil if the status is OK.
func (c *grpcClient) exchange(ctx context.Context, in *inference.ModelInferRequest, e *exchange, v *messages) error {
	desc, method := one, inference.ModelInferMethod
	if v.streamed {
		desc, method = stream, inference.ModelStreamInferMethod
	}
	s, err := c.conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	if err := s.SendMsg(in); err == nil { // io.EOF says that receiving tells the error
		err = s.CloseSend()
		if err != nil {
			return err
		}
	} else if err != io.EOF {
		return err
	}
	for {
		var out any = new(inference.ModelInferResponse)
		if v.streamed {
			out = new(inference.ModelStreamInferResponse)
		}
		switch err := s.RecvMsg(out); err {
		case nil:
			e.piece(time.Now())
			v.message(out)
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// judge says how an RPC ended.
func (e *exchange) judge(ctx context.Context, n *seen, err error, v *messages) {
	e.status = status.Code(err).String()
	text := status.Convert(err).Message()
	switch {
	case err == nil && v.refusal != "":
		e.ends(Cut, "an error came as a message: %s", v.refusal)
	case err == nil:
		if err := v.check(); err != nil {
			e.ends(Truncated, "%v", err)
			return
		}
		e.outcome = OK
	case n.trailer != nil && status.Code(err) == codes.Internal && strings.Contains(text, io.ErrUnexpectedEOF.Error()):
		// grpc-go does not tell which status the trailers had, so this may have been no clean end: better too bad than too good.
		e.ends(Truncated, "trailers came within a message: %s", text)
	case e.pieces > 0:
		e.ends(Cut, "%v", because(ctx, err))
	case n.trailer != nil, strings.Contains(text, "unexpected HTTP status code received from server"):
		e.ends(Refused, "%s", text)
	case n.header != nil:
		e.ends(Cut, "%v", because(ctx, err))
	default:
		e.status = "" // grpc-go's own
		e.ends(Failed, "%v", because(ctx, err))
	}
}

// messages verifies the answer of an RPC.
type messages struct {
	model, id string
	streamed  bool
	want      int // tokens
	count     int
	last      bool // Triton's mark of the last message came
	wrong     error
	refusal   string // an error that came as a message
}

func (v *messages) fail(format string, args ...any) {
	if v.wrong == nil {
		v.wrong = fmt.Errorf(format, args...)
	}
}

// message takes the next message.
func (v *messages) message(m any) {
	v.count++
	tokens := v.want
	out, whole := m.(*inference.ModelInferResponse)
	if !whole {
		s := m.(*inference.ModelStreamInferResponse)
		if s.GetErrorMessage() != "" {
			v.refusal = s.GetErrorMessage()
			return
		}
		out, tokens = s.GetInferResponse(), 1
		if v.last {
			v.fail("message %d follows the last one", v.count)
		}
		v.last = out.GetParameters()["triton_final_response"].GetBoolParam()
	}
	switch text := out.Text(); {
	case out.GetModelName() != v.model:
		v.fail("message %d is of the model %q", v.count, out.GetModelName())
	case out.GetId() != v.id:
		v.fail("message %d answers the request %q", v.count, out.GetId())
	case len(text) != tokens*tokenBytes:
		v.fail("message %d has a text of %d bytes, want %d", v.count, len(text), tokens*tokenBytes)
	}
}

// check says what is wrong with an answer whose status is OK.
func (v *messages) check() error {
	want := 1
	if v.streamed {
		want = v.want
	}
	switch {
	case v.wrong != nil:
		return v.wrong
	case v.count != want:
		return fmt.Errorf("the answer has %d messages, want %d", v.count, want)
	case v.streamed && !v.last:
		return fmt.Errorf("no message says that it is the last")
	}
	return nil
}
