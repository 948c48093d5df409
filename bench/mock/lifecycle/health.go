package lifecycle

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Health is grpc.health.v1: the server is the service "", and every model is a service of its name. They are serving when the replica is
// ready.
type Health struct {
	grpc_health_v1.UnimplementedHealthServer
	Life   *Life
	Models []string
}

func servingStatus(ready bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if ready {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}

func (h *Health) knows(service string) bool {
	return service == "" || slices.Contains(h.Models, service)
}

// Check answers for one service; NOT_FOUND for one that does not exist.
func (h *Health) Check(_ context.Context, in *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !h.knows(in.GetService()) {
		return nil, status.Errorf(codes.NotFound, "cannot check %q: it is neither empty nor a model", in.GetService())
	}
	return &grpc_health_v1.HealthCheckResponse{Status: servingStatus(h.Life.Ready())}, nil
}

// List answers for every service.
func (h *Health) List(context.Context, *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	now := &grpc_health_v1.HealthCheckResponse{Status: servingStatus(h.Life.Ready())}
	all := map[string]*grpc_health_v1.HealthCheckResponse{"": now}
	for _, m := range h.Models {
		all[m] = now
	}
	return &grpc_health_v1.HealthListResponse{Statuses: all}, nil
}

// Watch sends the status of a service now and whenever it changes. A service that does not exist never will.
func (h *Health) Watch(in *grpc_health_v1.HealthCheckRequest, out grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	last := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		ready, until, changed := h.Life.Watch()
		now := servingStatus(ready)
		if !h.knows(in.GetService()) {
			now = grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if now != last {
			if err := out.Send(&grpc_health_v1.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		timer := time.NewTimer(until)
		select {
		case <-timer.C:
		case <-changed:
		case <-out.Context().Done():
			timer.Stop()
			return status.FromContextError(out.Context().Err()).Err()
		}
		timer.Stop()
	}
}
