// Package externalscaler has the gRPC service by which KEDA asks a scaler that is not its own.
//
// The messages are generated and kept, so that a build needs only Go. After a change to the .proto file, with protoc installed, in the
// repository's root:
//
//	go build -o bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
//	protoc --plugin=bin/protoc-gen-go --go_out=. --go_opt=module=github.com/penstock/penstock autoscale/externalscaler/*.proto
package externalscaler

import (
	"context"

	"google.golang.org/grpc"
)

// Name is the service's name.
const Name = "externalscaler.ExternalScaler"

// Scaler is the service.
type Scaler interface {
	IsActive(context.Context, *ScaledObjectRef) (*IsActiveResponse, error)
	StreamIsActive(*ScaledObjectRef, ActiveStream) error
	GetMetricSpec(context.Context, *ScaledObjectRef) (*GetMetricSpecResponse, error)
	GetMetrics(context.Context, *GetMetricsRequest) (*GetMetricsResponse, error)
}

// ActiveStream is the server's side of a StreamIsActive.
type ActiveStream = grpc.ServerStreamingServer[IsActiveResponse]

// Desc registers a Scaler.
var Desc = grpc.ServiceDesc{
	ServiceName: Name,
	HandlerType: (*Scaler)(nil),
	Methods: []grpc.MethodDesc{
		unary("IsActive", Scaler.IsActive),
		unary("GetMetricSpec", Scaler.GetMetricSpec),
		unary("GetMetrics", Scaler.GetMetrics),
	},
	Streams: []grpc.StreamDesc{{
		StreamName: "StreamIsActive", ServerStreams: true,
		Handler: func(service any, s grpc.ServerStream) error {
			ref := new(ScaledObjectRef)
			if err := s.RecvMsg(ref); err != nil {
				return err
			}
			return service.(Scaler).StreamIsActive(ref, &grpc.GenericServerStream[ScaledObjectRef, IsActiveResponse]{ServerStream: s})
		},
	}},
	Metadata: "autoscale/externalscaler/externalscaler.proto",
}

// unary describes a method that takes one message and gives one.
func unary[Request, Response any](name string, method func(Scaler, context.Context, *Request) (*Response, error)) grpc.MethodDesc {
	handler := func(impl any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(Request)
		if err := decode(in); err != nil {
			return nil, err
		}
		if intercept == nil {
			return method(impl.(Scaler), ctx, in)
		}
		info := &grpc.UnaryServerInfo{Server: impl, FullMethod: "/" + Name + "/" + name}
		return intercept(ctx, in, info, func(ctx context.Context, in any) (any, error) { return method(impl.(Scaler), ctx, in.(*Request)) })
	}
	return grpc.MethodDesc{MethodName: name, Handler: handler}
}
