package instant

import (
	"context"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
	"github.com/penstock/penstock/bench/mock/lifecycle"
)

// newGRPC makes the server of the connections that speak HTTP/2.
func (s *Server) newGRPC() *grpc.Server {
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(s.MaxBodyBytes), grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (out any, err error) {
			err = s.around(ctx, info.FullMethod, func() error {
				out, err = handle(ctx, in)
				return err
			})
			return out, err
		}),
		grpc.StreamInterceptor(func(impl any, st grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			return s.around(st.Context(), info.FullMethod, func() error { return handle(impl, st) })
		}),
	)
	g.RegisterService(&inference.KServeDesc, service{s})
	g.RegisterService(&inference.PredictionsDesc, service{s})
	grpc_health_v1.RegisterHealthServer(g, &lifecycle.Health{Life: s.Life, Models: s.Models})
	reflection.Register(g)
	return g
}

// around names the replica in an RPC's headers, and counts the RPC if it runs a model.
func (s *Server) around(ctx context.Context, method string, handle func() error) error {
	name := s.Replica
	if p, ok := peer.FromContext(ctx); ok && name == "" {
		name = p.LocalAddr.String()
	}
	header := metadata.Pairs("x-mock-replica", name)
	if s.Label != "" {
		header.Set("x-mock-label", s.Label)
	}
	if err := grpc.SetHeader(ctx, header); err != nil {
		return err
	}
	switch method {
	case inference.ModelInferMethod, inference.ModelStreamInferMethod, inference.PredictMethod:
	default:
		return handle()
	}
	if s.Life.Loading() {
		return status.Error(codes.Unavailable, lifecycle.LoadingMessage)
	}
	s.started.Add(1)
	err := handle()
	if ctx.Err() != nil {
		s.cancelled.Add(1)
	} else {
		s.finished.Add(1)
	}
	return err
}

// service is KServe v2 and TensorFlow Serving's prediction service.
type service struct{ server *Server }

func (service) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

func (s service) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: s.server.Life.Ready()}, nil
}

func (s service) ModelReady(context.Context, *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	return &inference.ModelReadyResponse{Ready: s.server.Life.Ready()}, nil
}

func (service) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return &inference.ServerMetadataResponse{Name: "penstock-mock", Version: "1"}, nil
}

func (service) ModelMetadata(_ context.Context, in *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	return inference.Metadata(in.GetName()), nil
}

// ModelInfer answers with as many tokens as are asked for.
func (s service) ModelInfer(_ context.Context, in *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	ask, err := in.Ask()
	if err != nil {
		return nil, invalid(err)
	}
	tokens, err := s.tokens(&ask, s.server.MaxTokens)
	if err != nil {
		return nil, err
	}
	return in.Answer(text(tokens), ask.Raw), nil
}

// ModelStreamInfer answers one request after the other, each with a response for every token: at once, or at the interval that the
// metadata x-mock-interval gives.
func (s service) ModelStreamInfer(st inference.InferStream) error {
	interval, err := intervalOf(st.Context())
	if err != nil {
		return err
	}
	for {
		in, err := st.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.answer(in, interval, st); err != nil {
			return err
		}
	}
}

func (s service) answer(in *inference.ModelInferRequest, interval time.Duration, st inference.InferStream) error {
	ask, err := in.Ask()
	if err != nil {
		return st.Send(refused(in, err))
	}
	tokens, err := s.tokens(&ask, s.server.MaxTokens)
	if err != nil {
		return st.Send(refused(in, err))
	}
	if ask.Whole {
		return st.Send(in.StreamAnswer(text(tokens), ask.Raw, true))
	}
	token, start := in.StreamAnswer(text(1), ask.Raw, false), time.Now()
	for i := range tokens {
		if interval > 0 && i > 0 {
			if err := sleep(st.Context(), time.Until(start.Add(time.Duration(i)*interval))); err != nil {
				return err
			}
		}
		if i+1 == tokens {
			token = in.StreamAnswer(text(1), ask.Raw, true)
		}
		if err := st.Send(token); err != nil {
			return err
		}
	}
	return nil
}

// refused is the response to a request of a stream that goes on.
func refused(in *inference.ModelInferRequest, err error) *inference.ModelStreamInferResponse {
	return &inference.ModelStreamInferResponse{
		ErrorMessage: status.Convert(err).Message(), InferResponse: &inference.ModelInferResponse{ModelName: in.GetModelName(), Id: in.GetId()},
	}
}

// Predict answers with one token, or as many as the input max_tokens says.
func (s service) Predict(_ context.Context, in *inference.PredictRequest) (*inference.PredictResponse, error) {
	ask, err := in.Ask()
	if err != nil {
		return nil, invalid(err)
	}
	tokens, err := s.tokens(&ask, 1)
	if err != nil {
		return nil, err
	}
	return in.Answer(text(tokens)), nil
}

func (service) GetModelMetadata(_ context.Context, in *inference.GetModelMetadataRequest) (*inference.GetModelMetadataResponse, error) {
	return in.Answer(), nil
}

func (service) tokens(ask *inference.Ask, unsaid int) (int, error) {
	n := unsaid
	if ask.MaxTokens != nil {
		n = *ask.MaxTokens
	}
	if n < 1 || n > maxTokens {
		return 0, status.Errorf(codes.InvalidArgument, "cannot answer with %d tokens: max_tokens must be 1 to %d", n, maxTokens)
	}
	return n, nil
}

func text(tokens int) []byte { return []byte(strings.Repeat(word, tokens)) }

func invalid(err error) error {
	return status.Errorf(codes.InvalidArgument, "cannot use the request: %v", err)
}

// intervalOf reads the metadata x-mock-interval.
func intervalOf(ctx context.Context) (time.Duration, error) {
	values := metadata.ValueFromIncomingContext(ctx, "x-mock-interval")
	if len(values) == 0 {
		return 0, nil
	}
	d, err := parseInterval(values[0])
	if err != nil {
		return 0, status.Error(codes.InvalidArgument, err.Error())
	}
	return d, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
