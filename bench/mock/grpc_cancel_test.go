package mock

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
)

func TestClientOfGRPCThatLeavesFreesTheEngine(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		leave  func(c *grpcClient, cancel context.CancelFunc)
	}{
		"unary cancelled":              {inference.ModelInferMethod, func(_ *grpcClient, cancel context.CancelFunc) { cancel() }},
		"unary connection closed":      {inference.ModelInferMethod, func(c *grpcClient, _ context.CancelFunc) { c.Close() }},
		"stream cancelled":             {inference.ModelStreamInferMethod, func(_ *grpcClient, cancel context.CancelFunc) { cancel() }},
		"stream connection closed":     {inference.ModelStreamInferMethod, func(c *grpcClient, _ context.CancelFunc) { c.Close() }},
		"prediction cancelled":         {inference.PredictMethod, func(_ *grpcClient, cancel context.CancelFunc) { cancel() }},
		"prediction connection closed": {inference.PredictMethod, func(c *grpcClient, _ context.CancelFunc) { c.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, Options{Speed: 1})
			c := f.grpc()
			ctx, cancel := context.WithCancel(c.ctx)
			defer cancel()
			ended := make(chan error, 1)
			switch test.method {
			case inference.ModelStreamInferMethod:
				s := c.ask(ctx, inferRequest("Tell me everything.", 20_000), inferRequest("And more.", 20_000))
				f.await("both run", running(2))
				next(t, s)
				ended <- nil
			case inference.ModelInferMethod:
				go func() {
					ended <- c.Invoke(ctx, test.method, inferRequest("Hello", 20_000), new(inference.ModelInferResponse))
				}()
				f.await("it runs", running(1))
			default:
				in := predictRequest("Hello")
				in.Inputs["max_tokens"] = inference.Int32Tensor(20_000)
				go func() { ended <- c.Invoke(ctx, test.method, in, new(inference.PredictResponse)) }()
				f.await("it runs", running(1))
			}
			left := time.Now()
			test.leave(c, cancel)
			f.awaitOutcome(test.method, cancelled)
			if took := time.Since(left); took > atOnce {
				t.Errorf("the cancel took %v", took)
			}
			s := f.State()
			if s.Engine.Running != 0 || s.Engine.KVUsage != 0 || s.Engine.Cancelled == 0 {
				t.Errorf("engine %+v", s.Engine)
			}
			if want := (RequestCounts{Started: 1, Cancelled: 1}); s.Requests != want || s.Endpoints[test.method] != want {
				t.Errorf("counts %+v", s)
			}
			<-ended
		})
	}
}

func TestDeadlineOfGRPCFreesTheEngine(t *testing.T) {
	f := start(t, Options{Speed: 1})
	for name, call := range map[string]func(c *grpcClient, ctx context.Context) (string, error){
		"unary": func(c *grpcClient, ctx context.Context) (string, error) {
			return inference.ModelInferMethod, c.Invoke(ctx, inference.ModelInferMethod, inferRequest("Hello", 20_000), new(inference.ModelInferResponse))
		},
		"stream": func(c *grpcClient, ctx context.Context) (string, error) {
			s := c.ask(ctx, inferRequest("Hello", 20_000))
			for {
				if _, err := s.Recv(); err != nil {
					return inference.ModelStreamInferMethod, err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := f.grpc()
			began := time.Now()
			ctx, cancel := context.WithTimeout(c.ctx, 100*time.Millisecond)
			defer cancel()
			method, err := call(c, ctx)
			wantCode(t, err, codes.DeadlineExceeded)
			f.awaitOutcome(method, cancelled)
			if took := time.Since(began); took < 100*time.Millisecond || took > 100*time.Millisecond+atOnce {
				t.Errorf("it took %v", took)
			}
			if s := f.State(); s.Engine.Running != 0 || s.Engine.KVUsage != 0 {
				t.Errorf("engine %+v", s.Engine)
			}
		})
	}
}

// A client that does not reset what it gave up on is answered, and its work is given up all the same.
func TestDeadlineIsKeptWithoutTheClient(t *testing.T) {
	f := start(t, Options{Speed: 1})
	w := f.frameWire()
	timeout := [2]string{"grpc-timeout", "50m"}
	w.rpc(1, inference.ModelInferMethod, inferRequest("Hello", 20_000), timeout)
	if code := w.status(1); code != "4" {
		t.Errorf("a long call ends with status %s", code)
	}
	f.awaitOutcome(inference.ModelInferMethod, cancelled)
	for i, method := range []string{inference.ModelInferMethod, inference.ModelStreamInferMethod} {
		stream := uint32(3 + 2*i)
		w.request(stream, method, "application/grpc", nil, timeout)
		if code := w.status(stream); code != "4" {
			t.Errorf("a call of %s without a message ends with status %s", method, code)
		}
		f.awaitOutcome(method, cancelled)
	}
	if s := f.State(); s.Engine.Running != 0 || s.Engine.KVUsage != 0 || s.Engine.Cancelled != 1 {
		t.Errorf("engine %+v", s.Engine)
	}
}

func TestCloseCutsRPCs(t *testing.T) {
	f := start(t, Options{Speed: 1})
	c := f.grpc()
	s := c.ask(c.ctx, inferRequest("Hello", 20_000))
	next(t, s)
	watch := c.watch("")
	f.Close()
	f.awaitOutcome(inference.ModelStreamInferMethod, failed)
	for {
		_, err := s.Recv()
		if err == nil {
			continue
		}
		// The reset of the stream may come before that of its connection.
		if code := status.Code(err); code != codes.Unavailable && code != codes.Internal {
			t.Errorf("the stream ends with %v", err)
		}
		break
	}
	if _, err := watch.Recv(); err == nil {
		t.Error("a watch goes on after Close")
	}
}
