package mock

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthService is grpc.health.v1: the server is the service "", and every model is a service of its name. They are serving when
// GET /health succeeds.
type healthService struct {
	grpc_health_v1.UnimplementedHealthServer
	server *Server
}

func servingStatus(ready bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if ready {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}

func (h healthService) knows(service string) bool { return service == "" || h.server.serves(service) }

// Check answers for one service; NOT_FOUND for one that does not exist.
func (h healthService) Check(_ context.Context, in *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !h.knows(in.GetService()) {
		return nil, status.Errorf(codes.NotFound, "cannot check %q: it is neither empty nor a model", in.GetService())
	}
	return &grpc_health_v1.HealthCheckResponse{Status: servingStatus(h.server.Ready())}, nil
}

// List answers for every service.
func (h healthService) List(context.Context, *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	now := &grpc_health_v1.HealthCheckResponse{Status: servingStatus(h.server.Ready())}
	all := map[string]*grpc_health_v1.HealthCheckResponse{"": now}
	for _, m := range h.server.options.Models {
		all[m] = now
	}
	return &grpc_health_v1.HealthListResponse{Statuses: all}, nil
}

// Watch sends the status of a service now and whenever it changes. A service that does not exist never will.
func (h healthService) Watch(in *grpc_health_v1.HealthCheckRequest, out grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	last := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		ready, until, changed := h.server.faults.watch()
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
