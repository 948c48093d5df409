package conformance

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A call whose server dies in its middle ends as an error, and as the same one that a client gets who is connected to the server itself.
func TestServerDiesAmidCalls(t *testing.T) {
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		message := []byte("the first of many")
		if err := s.SendMsg(&message); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}))
	server := startGRPC(t, s)
	g := startGateway(t, penstock, quickStop+"pools: {only: {endpoints: ['h2c://"+server+"']}}")
	streams := make(map[string]grpc.ClientStream)
	for name, addr := range map[string]string{"through the gateway": g.addr, "directly": server} {
		ctx, _ := receiving(t.Context())
		both := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
		stream, err := dial(t, addr).NewStream(ctx, both, "/models.Generator/Stream", grpc.ForceCodecV2(rawCodec{}))
		if err != nil {
			t.Fatal(err)
		}
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		streams[name] = stream
	}
	s.Stop()
	for name, stream := range streams {
		var message []byte
		if err := stream.RecvMsg(&message); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: the call ended with %v, want %v", name, err, codes.Unavailable)
		}
	}
}
