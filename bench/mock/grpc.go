package mock

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
	"github.com/penstock/penstock/bench/mock/lifecycle"
	"github.com/penstock/penstock/bench/mock/rpc"
)

// newRPC makes the gRPC side of a replica.
func (s *Server) newRPC() *rpc.Server {
	r := &rpc.Server{MaxMessageBytes: s.options.MaxBodyBytes, Around: s.aroundRPC}
	for _, method := range []string{inference.ModelInferMethod, inference.ModelStreamInferMethod, inference.PredictMethod} {
		s.counts[method] = &counts{}
	}
	r.RegisterService(&inference.KServeDesc, kserveService{s})
	r.RegisterService(&inference.PredictionsDesc, predictionService{s})
	r.RegisterService(&grpc_health_v1.Health_ServiceDesc, &lifecycle.Health{Life: &s.life, Models: s.options.Models})
	reflection.Register(r)
	return r
}

// callKey is the context key of the call of a method that runs a model.
type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// aroundRPC makes a call of every RPC that runs a model, and counts it.
func (s *Server) aroundRPC(st *rpc.Stream, method func() error) (err error) {
	if s.counts[st.Method()] == nil {
		return method()
	}
	c := &call{server: s, r: st.Request(), ctx: st.Context(), header: st.Header(), life: s.lives.Load(), rpc: st}
	c.refuse = c.refuseRPC
	st.SetContext(context.WithValue(c.ctx, callKey{}, c))
	defer c.count(st.Method())()
	c.arrive()
	defer func() {
		switch p := recover(); p {
		case nil:
		case errDeadline:
			err = status.FromContextError(context.DeadlineExceeded).Err()
		default:
			panic(p)
		}
	}()
	err = method()
	if st.Broken() || c.ctx.Err() != nil && err != nil {
		c.abandon()
	}
	return err
}

// refuseRPC keeps a refusal's status for the method to return.
func (c *call) refuseRPC(e *refusal) {
	if e.retryAfter > 0 {
		c.rpc.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", strconv.Itoa(e.retryAfter*1000)))
	}
	c.refused = status.Error(grpcCode(e.status), e.message)
}

// grpcCode is the code that says what an HTTP status says.
func grpcCode(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return codes.DeadlineExceeded
	case http.StatusConflict:
		return codes.Aborted
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusNotImplemented:
		return codes.Unimplemented
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	if httpStatus >= http.StatusInternalServerError {
		return codes.Internal
	}
	return codes.InvalidArgument
}

// generate runs a request to its end and returns its text.
func (c *call) generate(model string, ask *inference.Ask) (text []byte, ok bool) {
	output, ok := c.outputTokens(ask.MaxTokens)
	if !ok {
		return nil, false
	}
	g, ok := c.submit(model, &prompt{text: ask.Prompt}, output, false)
	if !ok {
		return nil, false
	}
	defer c.end(g)
	c.await(g, 0)
	if c.interrupted() {
		c.rpc.Halfway = c.halfway
	}
	return g.text, true
}

// invalid is the status of a request that cannot be understood.
func invalid(err error) error {
	return status.Error(codes.InvalidArgument, fmt.Sprintf("cannot use the request: %v", err))
}
