package conformance

import (
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/prototext"
)

// TestReflection asks a server about its services as grpcurl does, through the gateway and directly.
func TestReflection(t *testing.T) {
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	server := startGRPC(t, s)
	g := startGateway(t, penstock, quickStop+"pools: {only: {endpoints: ['h2c://"+server+"']}}")
	questions := []*reflectionpb.ServerReflectionRequest{
		{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"}},
		{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "grpc.health.v1.Health"}},
		{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "no.such.Thing"}},
	}
	direct, through := askReflection(t, server, questions), askReflection(t, g.addr, questions)
	for i := range questions {
		if got, want := prototext.Format(through[i]), prototext.Format(direct[i]); got != want {
			t.Errorf("%v: got %s, want %s", questions[i], got, want)
		}
	}
	services, files := through[0].GetListServicesResponse().GetService(), through[1].GetFileDescriptorResponse().GetFileDescriptorProto()
	if len(services) != 3 || services[0].GetName() != "grpc.health.v1.Health" || len(files) == 0 {
		t.Errorf("the server has said %v and %v; want three services, and the file of the first", through[0], through[1])
	}
}

// askReflection asks questions on one stream.
func askReflection(t *testing.T, addr string, questions []*reflectionpb.ServerReflectionRequest) (answers []*reflectionpb.ServerReflectionResponse) {
	t.Helper()
	ctx, _ := receiving(t.Context())
	stream, err := reflectionpb.NewServerReflectionClient(dial(t, addr)).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range questions {
		if err := stream.Send(q); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	stream.CloseSend()
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("the stream ended with %v, want OK", err)
	}
	return answers
}
