package dispatch

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/penstock/penstock/config"
)

// Options is what a Dispatcher is handed by the gateway.
type Options struct {
	// NewUpstream makes the connection pool of an endpoint.
	NewUpstream func(EndpointConfig) Upstream
	// Observer is told of every finished exchange; nil is allowed.
	Observer Observer
	// Models answers GET /v1/models and may take a second; nil leaves the path to the routes.
	Models func(x *Exchange) *Reply
	// Logger takes ejections, recoveries and drains; nil drops them.
	Logger *slog.Logger
}

// EndpointConfig is what a protocol engine needs to know to connect to an endpoint.
type EndpointConfig struct {
	// Pool is the name of the endpoint's pool, for logs.
	Pool string
	// Address is the host:port to dial.
	Address string
	// Scheme is "http", "https" or "h2c".
	Scheme string
	// TLS is set for https only. It has no NextProtos: these are the engine's.
	TLS *tls.Config
	// ConnectTimeout is how long connecting, TLS included, may take; 0 is unlimited.
	ConnectTimeout time.Duration
	// IdleConnections is the most idle connections that are kept.
	IdleConnections int
	// IdleTimeout is how long an idle connection is kept; 0 is unlimited.
	IdleTimeout time.Duration
}

// Upstream is the connection pool of one endpoint, as a protocol engine keeps it.
type Upstream interface {
	// Close closes idle connections at once and busy ones when their exchange ends.
	Close()
}

// Observer is told what became of exchanges. Its methods run on the request's goroutine: they must not block and must not keep x.
type Observer interface {
	// Finished is called by Finish, once for each exchange but mirror copies.
	Finished(x *Exchange)
	// Retried is called when an attempt that failed as reason is tried again.
	Retried(p *Pool, reason Outcome)
	// MirrorDropped is called when a request that was to be mirrored to p was not, and why.
	MirrorDropped(p *Pool, reason string)
}

// Dispatcher owns the pools and the routing table.
type Dispatcher struct{ options Options }

// New returns a dispatcher without pools and routes; Apply gives it some.
func New(o Options) *Dispatcher { return &Dispatcher{options: o} }

// Apply makes c the configuration of all requests that start from now on.
func (d *Dispatcher) Apply(c *config.Config) error { return nil }

// SetEndpoints replaces the endpoints of a pool.
func (d *Dispatcher) SetEndpoints(pool string, urls []string) error { return nil }

// SetHealthy tells what an active probe found.
func (d *Dispatcher) SetHealthy(pool, address string, healthy bool, cause string) {}

// Pools returns the pools, sorted by name.
func (d *Dispatcher) Pools() []*Pool { return nil }

// Close stops timers, refuses waiters and closes upstreams.
func (d *Dispatcher) Close() {}
