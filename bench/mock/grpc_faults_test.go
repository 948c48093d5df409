package mock

import (
	"context"
	"io"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
)

func TestGRPCFaultsBeforeHeaders(t *testing.T) {
	for _, kind := range []FaultKind{ResetBeforeHeaders, CloseBeforeHeaders} {
		t.Run(string(kind), func(t *testing.T) {
			f := start(t, Options{})
			c := f.grpc()
			f.faults(`{"kind":"` + string(kind) + `","next":2}`)
			var header metadata.MD
			err := c.invoke(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse), grpc.Header(&header))
			// INTERNAL is what RST_STREAM with INTERNAL_ERROR means.
			if wantCode(t, err, codes.Internal); len(header) != 0 {
				t.Errorf("headers %v", header)
			}
			f.awaitOutcome(inference.ModelInferMethod, failed)
			s := c.ask(c.ctx, inferRequest("Hello", 5))
			_, err = s.Recv()
			wantCode(t, err, codes.Internal)
			f.awaitOutcome(inference.ModelStreamInferMethod, failed)
			c.must(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse))
			if s := f.State(); s.Engine.Finished != 1 || s.Requests.Failed != 2 || s.Requests.Finished != 1 {
				t.Errorf("state %+v", s)
			}
		})
	}
}

func TestGRPCFaultsMidStream(t *testing.T) {
	for _, kind := range []FaultKind{ResetMidStream, CloseMidStream} {
		t.Run(string(kind), func(t *testing.T) {
			f := start(t, Options{})
			c := f.grpc()
			other := c.ask(c.ctx, inferRequest("Hello", 100_000))
			next(t, other)
			for _, chunks := range []int{0, 3, 8} {
				f.faults(`{"kind":"` + string(kind) + `","afterChunks":` + strconv.Itoa(chunks) + `}`)
				s := c.ask(c.ctx, inferRequest("Hello", 5), inferRequest("Hello again", 3))
				for range chunks {
					next(t, s)
				}
				_, err := s.Recv()
				wantCode(t, err, codes.Internal)
				if h, err := s.Header(); err != nil || len(h) == 0 {
					t.Errorf("after %d chunks: no headers, %v", chunks, err)
				}
				f.awaitOutcome(inference.ModelStreamInferMethod, failed)
			}
			next(t, other) // the connection's other streams are spared
			if s := f.State(); s.Engine.Running != 1 {
				t.Errorf("engine %+v", s.Engine)
			}
		})
	}
}

func TestGRPCFaultsWithinAMessage(t *testing.T) {
	f := start(t, Options{})
	c := f.grpc()
	f.faults(`{"kind":"reset-mid-stream","next":1}`)
	var header metadata.MD
	err := c.invoke(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse), grpc.Header(&header))
	if wantCode(t, err, codes.Internal); len(header) == 0 {
		t.Error("the headers did not come")
	}
	f.awaitOutcome(inference.ModelInferMethod, failed)
	f.faults(`{"kind":"stall-mid-stream","for":"30ms"}`)
	began := time.Now()
	c.must(inference.PredictMethod, predictRequest("Hello"), new(inference.PredictResponse))
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestGRPCStalls(t *testing.T) {
	for _, fault := range []string{
		`{"kind":"stall-before-headers"}`, `{"kind":"stall-mid-stream","afterChunks":2}`, `{"kind":"slow-start","delay":"1h"}`,
	} {
		t.Run(fault, func(t *testing.T) {
			f := start(t, Options{})
			c := f.grpc()
			f.faults(fault)
			ctx, leave := context.WithCancel(c.ctx)
			defer leave()
			s := c.ask(ctx, inferRequest("Hello", 5))
			f.await("it is stalled", func(s State) bool { return s.Requests.Running == 1 })
			if f.Faults()[0].Kind == StallMidStream {
				next(t, s)
				next(t, s)
			}
			leave()
			f.awaitOutcome(inference.ModelStreamInferMethod, cancelled)
		})
	}
	for _, fault := range []string{
		`{"kind":"stall-before-headers","for":"60ms"}`, `{"kind":"stall-mid-stream","afterChunks":5,"for":"60ms"}`, `{"kind":"slow-start","delay":"60ms"}`,
	} {
		t.Run(fault, func(t *testing.T) {
			f := start(t, Options{})
			c := f.grpc()
			f.faults(fault)
			began := time.Now()
			s := c.ask(c.ctx, inferRequest("Hello", 5))
			for range 5 {
				next(t, s)
			}
			s.CloseSend()
			if _, err := s.Recv(); err != io.EOF {
				t.Errorf("the stream ends with %v", err)
			}
			if took := time.Since(began); took < 60*time.Millisecond {
				t.Errorf("took %v", took)
			}
			f.awaitOutcome(inference.ModelStreamInferMethod, finished)
		})
	}
	t.Run("until the deadline", func(t *testing.T) {
		f := start(t, Options{})
		c := f.grpc()
		f.faults(`{"kind":"stall-before-headers"}`)
		ctx, cancel := context.WithTimeout(c.ctx, 50*time.Millisecond)
		defer cancel()
		wantCode(t, c.Invoke(ctx, inference.PredictMethod, predictRequest("Hello"), new(inference.PredictResponse)), codes.DeadlineExceeded)
		f.awaitOutcome(inference.PredictMethod, cancelled)
	})
}

func TestGRPCStatusAnswers(t *testing.T) {
	f := start(t, Options{})
	c := f.grpc()
	for httpStatus, want := range map[int]codes.Code{
		400: codes.InvalidArgument, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.NotFound, 408: codes.DeadlineExceeded,
		409: codes.Aborted, 413: codes.ResourceExhausted, 418: codes.InvalidArgument, 429: codes.ResourceExhausted, 500: codes.Internal,
		501: codes.Unimplemented, 502: codes.Unavailable, 503: codes.Unavailable, 504: codes.DeadlineExceeded, 599: codes.Internal,
	} {
		f.faults(`{"kind":"status","status":` + strconv.Itoa(httpStatus) + `,"retryAfter":2,"next":2,"path":"` + inference.ModelInferMethod + `"}`)
		for range 2 {
			var trailer metadata.MD
			err := c.invoke(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse), grpc.Trailer(&trailer))
			if status.Code(err) != want {
				t.Errorf("%d became %v, want %v", httpStatus, err, want)
			}
			if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "2000" {
				t.Errorf("trailers %v", trailer)
			}
		}
		c.must(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse))
	}
	f.faults(`{"kind":"status","status":503}`)
	s := c.ask(c.ctx, inferRequest("Hello", 5))
	_, err := s.Recv()
	wantCode(t, err, codes.Unavailable)
	if s := f.State(); s.Requests.Failed != 0 || s.Requests.Running != 0 {
		t.Errorf("counts %+v", s.Requests)
	}
}

func TestGRPCDeath(t *testing.T) {
	f := start(t, Options{Speed: 1})
	c := f.grpc()
	s := c.ask(c.ctx, inferRequest("Hello", 20_000))
	next(t, s)
	f.faults(`{"kind":"death","for":"100ms"}`)
	for {
		if _, err := s.Recv(); err != nil {
			wantCode(t, err, codes.Unavailable)
			break
		}
	}
	f.awaitOutcome(inference.ModelStreamInferMethod, failed)
	f.awaitPort()
	c.must(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse), grpc.WaitForReady(true))
}
