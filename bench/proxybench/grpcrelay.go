package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// relayGRPC is the gRPC proxy that grpc-go's own means give: a handler of unknown services that hands messages on as the bytes that
// they are, until the listener is closed.
func relayGRPC(listener net.Listener, backend string) error {
	upstream, err := grpc.NewClient("passthrough:///"+backend, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		return fmt.Errorf("cannot make a client of %s: %w", backend, err)
	}
	defer upstream.Close()
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, downstream grpc.ServerStream) error {
		return relayCall(downstream, upstream)
	}))
	defer server.Stop()
	if err := server.Serve(listener); err != nil {
		return fmt.Errorf("cannot serve: %w", err)
	}
	return nil
}

// relayCall hands one call on.
func relayCall(downstream grpc.ServerStream, upstream *grpc.ClientConn) error {
	method, ok := grpc.MethodFromServerStream(downstream)
	if !ok {
		return status.Error(codes.Internal, "the call has no method")
	}
	fields, _ := metadata.FromIncomingContext(downstream.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(downstream.Context(), fields.Copy()))
	defer cancel()
	call, err := upstream.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		// Receiving ends with the handler at the latest.
		if relayRequests(call, downstream) != nil {
			cancel()
		}
	}()
	defer func() { downstream.SetTrailer(call.Trailer()) }()
	return relayResponses(downstream, call)
}

func relayRequests(call grpc.ClientStream, downstream grpc.ServerStream) error {
	for {
		var m rawMessage
		if err := downstream.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return call.CloseSend()
			}
			return err
		}
		if err := call.SendMsg(&m); err != nil {
			return err
		}
	}
}

func relayResponses(downstream grpc.ServerStream, call grpc.ClientStream) error {
	fields, err := call.Header()
	if err != nil {
		return err
	}
	if err := downstream.SendHeader(fields); err != nil {
		return err
	}
	for {
		var m rawMessage
		if err := call.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := downstream.SendMsg(&m); err != nil {
			return err
		}
	}
}

// rawMessage is a message that nobody looks into.
type rawMessage struct {
	bytes mem.BufferSlice
}

// rawCodec passes messages through.
type rawCodec struct{}

// Marshal implements encoding.CodecV2. The buffers go to the transport.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return v.(*rawMessage).bytes, nil
}

// Unmarshal implements encoding.CodecV2. The caller frees its buffers on return, so they are referenced once more.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	data.Ref()
	v.(*rawMessage).bytes = data
	return nil
}

// Name implements encoding.CodecV2. Without a name the content type stays application/grpc.
func (rawCodec) Name() string { return "" }
