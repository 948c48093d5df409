package gateway

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// healthServer runs a gRPC server that has nothing but health, and returns its host:port. watches counts the calls that watch it.
func healthServer(t testing.TB, options ...grpc.ServerOption) (address string, h *grpchealth.Server, watches *atomic.Int64) {
	t.Helper()
	h, watches = grpchealth.NewServer(), new(atomic.Int64)
	options = append(options, grpc.StreamInterceptor(func(s any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		watches.Add(1)
		return next(s, stream)
	}))
	s := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(s, h)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { s.Serve(l); close(served) }()
	t.Cleanup(func() { s.Stop(); <-served })
	return l.Addr().String(), h, watches
}

// An endpoint takes requests while it says that it serves; what it says counts at once, whatever the thresholds.
func TestEndpointsAreWatchedOverGRPC(t *testing.T) {
	address, h, watches := healthServer(t)
	h.SetServingStatus("llama", notServing)
	yaml := fmt.Sprintf("pools:\n  main:\n    endpoints: [\"h2c://%s\"]\n    probe: {grpc: {service: llama}, interval: 1h, healthyAfter: 5, unhealthyAfter: 5}\n", address)
	r := start(t, yaml)
	w := watchHealth(t, r, "main")
	w.expect("at first", notServing)
	for range 3 {
		h.SetServingStatus("llama", serving)
		w.expect("while it serves", serving)
		h.SetServingStatus("llama", notServing)
		w.expect("while it does not", notServing)
	}
	r.configure(yaml + "debugHeaders: true\n")
	r.logs.await(t, "configuration applied", 1)
	h.SetServingStatus("llama", serving)
	w.expect("after a reload of something else", serving)
	if n := watches.Load(); n != 1 {
		t.Errorf("Watch was called %d times, want once: a reload leaves probes that stay as they are alone", n)
	}
	r.configure(yaml[:len(yaml)-len("unhealthyAfter: 5}\n")] + "unhealthyAfter: 4}\n")
	r.logs.await(t, "configuration applied", 2)
	h.SetServingStatus("llama", notServing)
	w.expect("after a reload of the probe", notServing)
	r.configure(fmt.Sprintf("pools:\n  main:\n    endpoints: [\"h2c://%s\"]\n", address))
	w.expect("without probes", serving)
}

// The endpoint's TLS settings are those of the pool.
func TestGRPCProbesOverTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	pair := ca.files(t, "a.test", "a.test")
	secured, err := credentials.NewServerTLSFromFile(pair.CertFile, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := healthServer(t, grpc.Creds(secured))
	caFile := t.TempDir() + "/ca.crt"
	writeFile(t, caFile, ca.pem)
	r := start(t, fmt.Sprintf("pools:\n  main:\n    endpoints: [\"https://%s\"]\n    tls: {ca: %s, serverName: a.test}\n    probe: {grpc: {}}\n", address, caFile))
	r.logs.await(t, "endpoint is healthy endpoint="+address, 1)
}
