package mock

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// watch starts to watch a service, and receives its first status.
func (c *grpcClient) watch(service string) grpc.ServerStreamingClient[healthpb.HealthCheckResponse] {
	c.t.Helper()
	w, err := healthpb.NewHealthClient(c).Watch(c.ctx, &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		c.t.Fatal(err)
	}
	want := serving
	if service == "c" {
		want = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	}
	wantStatus(c.t, w, want)
	return w
}

func wantStatus(t *testing.T, w grpc.ServerStreamingClient[healthpb.HealthCheckResponse], want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	if r, err := w.Recv(); err != nil || r.GetStatus() != want {
		t.Errorf("the watch says %v, %v; want %v", r, err, want)
	}
}

func TestHealthService(t *testing.T) {
	f := start(t, Options{Models: []string{"a", "b"}})
	c := f.grpc()
	health := healthpb.NewHealthClient(c)
	check := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "a", "b"} {
			if r, err := health.Check(c.ctx, &healthpb.HealthCheckRequest{Service: service}); err != nil || r.GetStatus() != want {
				t.Errorf("%q is %v, %v; want %v", service, r, err, want)
			}
		}
		all, err := health.List(c.ctx, &healthpb.HealthListRequest{})
		if err != nil || len(all.GetStatuses()) != 3 || all.GetStatuses()["b"].GetStatus() != want {
			t.Errorf("list %v, %v", all, err)
		}
	}
	check(serving)
	_, err := health.Check(c.ctx, &healthpb.HealthCheckRequest{Service: "c"})
	wantCode(t, err, codes.NotFound)
	f.faults(`{"kind":"not-ready"},{"kind":"status","status":500},{"kind":"slow-start","delay":"1h"}`)
	check(notServing)
}

func TestHealthWatch(t *testing.T) {
	f := start(t, Options{Models: []string{"a", "b"}})
	c := f.grpc()
	server, model, unknown := c.watch(""), c.watch("b"), c.watch("c")
	f.faults(`{"kind":"not-ready"}`)
	wantStatus(t, server, notServing)
	wantStatus(t, model, notServing)
	f.faults(`{"kind":"not-ready","for":"1h"}`) // no change
	f.faults("")
	wantStatus(t, server, serving)
	f.faults(`{"kind":"not-ready","for":"20ms"}`)
	wantStatus(t, server, notServing)
	wantStatus(t, server, serving)
	ctx, cancel := context.WithTimeout(c.ctx, 50*time.Millisecond)
	defer cancel()
	w, err := healthpb.NewHealthClient(c).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, w, serving)
	_, err = w.Recv()
	wantCode(t, err, codes.DeadlineExceeded)
	f.faults(`{"kind":"death","for":"1h"}`)
	if m, err := unknown.Recv(); err == nil {
		t.Errorf("the status of an unknown service changed to %v", m)
	}
}
