// Package inference has the gRPC services that model servers offer, as far as the mock answers them: KServe v2 with Triton's stream,
// and TensorFlow Serving's predictions. Messages and services have their upstream names, so that any client works with them.
//
// The messages are generated and kept, so that a build needs only Go. After a change to a .proto file, with protoc installed, in the
// repository's root:
//
//	go build -o bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
//	protoc --plugin=bin/protoc-gen-go --go_out=. --go_opt=module=github.com/penstock/penstock bench/mock/inference/*.proto
package inference

import (
	"context"

	"google.golang.org/grpc"
)

// Names of the services, and full names of the methods that run a model.
const (
	KServeName  = "inference.GRPCInferenceService"
	PredictName = "tensorflow.serving.PredictionService"

	ModelInferMethod       = "/" + KServeName + "/ModelInfer"
	ModelStreamInferMethod = "/" + KServeName + "/ModelStreamInfer"
	PredictMethod          = "/" + PredictName + "/Predict"
)

// KServe is the service of KServe v2 with Triton's stream.
type KServe interface {
	ServerLive(context.Context, *ServerLiveRequest) (*ServerLiveResponse, error)
	ServerReady(context.Context, *ServerReadyRequest) (*ServerReadyResponse, error)
	ModelReady(context.Context, *ModelReadyRequest) (*ModelReadyResponse, error)
	ServerMetadata(context.Context, *ServerMetadataRequest) (*ServerMetadataResponse, error)
	ModelMetadata(context.Context, *ModelMetadataRequest) (*ModelMetadataResponse, error)
	ModelInfer(context.Context, *ModelInferRequest) (*ModelInferResponse, error)
	ModelStreamInfer(InferStream) error
}

// InferStream is the server's side of a ModelStreamInfer.
type InferStream = grpc.BidiStreamingServer[ModelInferRequest, ModelStreamInferResponse]

// Predictions is TensorFlow Serving's prediction service.
type Predictions interface {
	Predict(context.Context, *PredictRequest) (*PredictResponse, error)
	GetModelMetadata(context.Context, *GetModelMetadataRequest) (*GetModelMetadataResponse, error)
}

// KServeDesc registers a KServe.
var KServeDesc = grpc.ServiceDesc{
	ServiceName: KServeName,
	HandlerType: (*KServe)(nil),
	Methods: []grpc.MethodDesc{
		unary(KServeName, "ServerLive", KServe.ServerLive),
		unary(KServeName, "ServerReady", KServe.ServerReady),
		unary(KServeName, "ModelReady", KServe.ModelReady),
		unary(KServeName, "ServerMetadata", KServe.ServerMetadata),
		unary(KServeName, "ModelMetadata", KServe.ModelMetadata),
		unary(KServeName, "ModelInfer", KServe.ModelInfer),
	},
	Streams: []grpc.StreamDesc{{
		StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true,
		Handler: func(service any, s grpc.ServerStream) error {
			return service.(KServe).ModelStreamInfer(&grpc.GenericServerStream[ModelInferRequest, ModelStreamInferResponse]{ServerStream: s})
		},
	}},
	Metadata: "bench/mock/inference/kserve.proto",
}

// PredictionsDesc registers a Predictions.
var PredictionsDesc = grpc.ServiceDesc{
	ServiceName: PredictName,
	HandlerType: (*Predictions)(nil),
	Methods: []grpc.MethodDesc{
		unary(PredictName, "Predict", Predictions.Predict),
		unary(PredictName, "GetModelMetadata", Predictions.GetModelMetadata),
	},
	Metadata: "bench/mock/inference/predict.proto",
}

// unary describes a method of service S that takes one message and gives one.
func unary[S, Request, Response any](service, name string, method func(S, context.Context, *Request) (*Response, error)) grpc.MethodDesc {
	handler := func(impl any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(Request)
		if err := decode(in); err != nil {
			return nil, err
		}
		if intercept == nil {
			return method(impl.(S), ctx, in)
		}
		info := &grpc.UnaryServerInfo{Server: impl, FullMethod: "/" + service + "/" + name}
		return intercept(ctx, in, info, func(ctx context.Context, in any) (any, error) { return method(impl.(S), ctx, in.(*Request)) })
	}
	return grpc.MethodDesc{MethodName: name, Handler: handler}
}
