package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// connectionBuffer is what a connection for health calls reads and writes at once, in bytes. Its messages have a few, and one may be open
// to each of thousands of endpoints.
const connectionBuffer = 4 << 10

// connections makes connections to endpoints for health calls.
type connections struct {
	configOf func(target string) *tls.Config
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// connection is one connection to an endpoint. Unlike gRPC's own, which dials whenever a call finds it closed, it dials once.
type connection struct {
	*grpc.ClientConn
	client  grpc_health_v1.HealthClient
	dials   atomic.Int32
	changed func() bool // there are other TLS settings now
}

var errDialledOnce = errors.New("the connection was closed")

// open returns a connection that is made by its first call. It has nothing of a client's comforts: no proxy, no service configuration, no
// retries, no names to resolve beyond the dialler's.
func (s *connections) open(t Target) (*connection, error) {
	scheme, host, err := t.parts()
	if err != nil {
		return nil, err
	}
	c := &connection{changed: func() bool { return false }}
	secured := insecure.NewCredentials()
	if scheme == "https" {
		config := s.configOf(t.Name)
		secured = credentials.NewTLS(config)
		c.changed = func() bool { return s.configOf(t.Name) != config }
	}
	c.ClientConn, err = grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(secured),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			if c.dials.Add(1) > 1 {
				return nil, errDialledOnce
			}
			return s.dial(ctx, "tcp", address)
		}),
		grpc.WithUserAgent(userAgent),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithDisableHealthCheck(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxBody)),
		grpc.WithMaxHeaderListSize(maxBody),
		grpc.WithReadBufferSize(connectionBuffer),
		grpc.WithWriteBufferSize(connectionBuffer),
	)
	if err != nil {
		return nil, fmt.Errorf("cannot probe %s: %w", t.Name, err)
	}
	c.client = grpc_health_v1.NewHealthClient(c.ClientConn)
	return c, nil
}

// spent says whether new calls would go another way: the endpoint has told that it will close the connection, or has closed it, or TLS
// settings have changed.
func (c *connection) spent() bool {
	return c.GetState() != connectivity.Ready || c.dials.Load() > 1 || c.changed()
}
