package gateway

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// calls is a gRPC server that answers each call of any method with what answer returns, and what it was told of traces.
func calls(t *testing.T, answer func() error) (address string, told chan metadata.MD) {
	t.Helper()
	told = make(chan metadata.MD, 8)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(stream.Context())
		told <- md
		if err := answer(); err != nil {
			return err
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String(), told
}

func TestTraceOfACall(t *testing.T) {
	for _, test := range []struct {
		code             codes.Code
		status           string
		kind             string // the error.type of the attempt
		server           otlp.Status_StatusCode
		serverKind       string
		attemptIsAnError bool
	}{
		{codes.OK, "OK", "-", otlp.Status_STATUS_CODE_UNSET, "-", false},
		{codes.ResourceExhausted, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", otlp.Status_STATUS_CODE_UNSET, "-", true},
		{codes.DeadlineExceeded, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", otlp.Status_STATUS_CODE_ERROR, "DEADLINE_EXCEEDED", true},
		{codes.DataLoss, "DATA_LOSS", "DATA_LOSS", otlp.Status_STATUS_CODE_ERROR, "DATA_LOSS", true},
	} {
		t.Run(test.code.String(), func(t *testing.T) {
			c := collect(t, "grpc")
			endpoint, told := calls(t, func() error { return grpcstatus.Error(test.code, "the secret message") })
			g := start(t, pool(endpoint))
			conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx := metadata.AppendToOutgoingContext(context.Background(), "traceparent", sampledBy)
			err = conn.Invoke(ctx, "/inference.Service/Infer", &emptypb.Empty{}, &emptypb.Empty{})
			if grpcstatus.Code(err) != test.code {
				t.Fatalf("the call ended with %v", err)
			}
			r := c.one()
			if got := (<-told).Get("traceparent"); !slices.Equal(got, []string{parentOf(r.attempts[0])}) {
				t.Errorf("the endpoint was told %q", got)
			}
			call := map[string]any{"rpc.system.name": "grpc", "rpc.method": "inference.Service/Infer", "rpc.response.status_code": test.status, "url.full": "-",
				"http.response.status_code": "-", "error.type": test.serverKind}
			check(t, r.server, call)
			call["error.type"] = test.kind
			check(t, r.attempts[0], call)
			if r.server.Name != "inference.Service/Infer" || r.attempts[0].Name != r.server.Name {
				t.Errorf("the spans are called %q and %q", r.server.Name, r.attempts[0].Name)
			}
			isError := r.attempts[0].Status.GetCode() == otlp.Status_STATUS_CODE_ERROR
			if r.server.Status.GetCode() != test.server || isError != test.attemptIsAnError {
				t.Errorf("the request has the status %v and its attempt %v", r.server.Status, r.attempts[0].Status)
			}
		})
	}
}

func TestCallsThatAreRefusedOrServedHere(t *testing.T) {
	c := collect(t, "grpc")
	endpoint, _ := calls(t, func() error { return errors.New("never asked") })
	g := start(t, pool(endpoint)+"routes:\n  - {match: {grpcService: a.B}, split: [{pool: main}]}\n")
	conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Invoke(context.Background(), "/unknown.Service/Infer", &emptypb.Empty{}, &emptypb.Empty{}); grpcstatus.Code(err) != codes.Unimplemented {
		t.Fatalf("the call ended with %v", err)
	}
	if err := conn.Invoke(context.Background(), "/grpc.health.v1.Health/Check", &emptypb.Empty{}, &emptypb.Empty{}); err != nil {
		t.Fatal(err)
	}
	list := c.await(2)
	check(t, list[0].server, map[string]any{"rpc.response.status_code": "UNIMPLEMENTED", "rpc.method": "_OTHER", "rpc.method_original": "unknown.Service/Infer", "error.type": "route_not_found", "penstock.outcome": "refused"})
	check(t, list[1].server, map[string]any{"rpc.response.status_code": "OK", "error.type": "-", "rpc.method": "grpc.health.v1.Health/Check"})
	if list[0].server.Name != "grpc" || len(list[0].attempts)+len(list[1].attempts) != 0 {
		t.Errorf("the refused call is called %q, and there were attempts: %v, %v", list[0].server.Name, list[0].attempts, list[1].attempts)
	}
}

func TestClientThatCancelsACall(t *testing.T) {
	c := collect(t, "grpc")
	release := make(chan struct{})
	endpoint, told := calls(t, func() error { <-release; return nil })
	defer close(release)
	g := start(t, pool(endpoint))
	conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-told; leave() }()
	if err := conn.Invoke(ctx, "/a.B/C", &emptypb.Empty{}, &emptypb.Empty{}); grpcstatus.Code(err) != codes.Canceled {
		t.Fatalf("the call ended with %v", err)
	}
	r := c.one()
	for _, s := range []*otlp.Span{r.server, r.attempts[0]} {
		check(t, s, map[string]any{"error.type": "client_gone", "rpc.response.status_code": "-", "http.response.status_code": "-"})
	}
}
