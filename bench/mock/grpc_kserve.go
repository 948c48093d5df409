package mock

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
)

// kserveService is KServe v2 over gRPC: what kserve.go is over HTTP, and ModelStreamInfer (grpc_stream.go).
type kserveService struct{ *Server }

var _ inference.KServe = kserveService{}

func (kserveService) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

func (s kserveService) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: s.Ready()}, nil
}

func (s kserveService) ModelReady(_ context.Context, in *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	if !s.serves(in.GetName()) {
		return nil, noSuchModel(in.GetName())
	}
	return &inference.ModelReadyResponse{Ready: s.Ready()}, nil
}

func (kserveService) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return &inference.ServerMetadataResponse{Name: "penstock-mock", Version: "1"}, nil
}

func (s kserveService) ModelMetadata(_ context.Context, in *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	if !s.serves(in.GetName()) {
		return nil, noSuchModel(in.GetName())
	}
	return inference.Metadata(in.GetName()), nil
}

func (s kserveService) ModelInfer(ctx context.Context, in *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	c := callOf(ctx)
	if !c.begin() || !c.knows(in.GetModelName()) {
		return nil, c.refused
	}
	ask, err := in.Ask()
	if err != nil {
		return nil, invalid(err)
	}
	text, ok := c.generate(in.GetModelName(), &ask)
	if !ok {
		return nil, c.refused
	}
	return in.Answer(text, ask.Raw), nil
}

func noSuchModel(name string) error {
	return status.Error(codes.NotFound, unknownModel(name).message)
}
