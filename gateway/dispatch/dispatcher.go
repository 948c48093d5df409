package dispatch

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
)

// Options is what a Dispatcher is handed by the gateway.
type Options struct {
	// NewUpstream makes the connection pool of an endpoint.
	NewUpstream func(EndpointConfig) Upstream
	// NewEjector makes the ejector of a pool; nil turns ejection off.
	NewEjector func(config.Eject) Ejector
	// Observer is told of every finished exchange; nil is allowed.
	Observer Observer
	// Tracer is told of every exchange but those of mirror copies; nil traces nothing.
	Tracer Tracer
	// Models answers GET /v1/models and GET /v1/models/ID and may take a second; nil leaves these paths to the routes.
	Models func(x *Exchange) *Reply
	// Changed is called after the set of ready endpoints of some pool, or the configuration, has changed, and maybe when it has not; nil is
	// allowed. Locks are held: it must not block, and leaves looking at the Dispatcher and its Pools to somebody else.
	Changed func()
	// Report takes a load report that came with a response of e at now, on Now's scale: the value of endpoint-load-metrics or, if binary
	// is set, of endpoint-load-metrics-bin. It must not keep value, which may be anything. Nil drops reports.
	Report func(e *balancer.Endpoint, value []byte, binary bool, now int64)
	// Services names the gRPC services that the gateway itself serves, but for those that a route names.
	Services []string
	// WrapPolicy is given each policy that a pool is to have and returns the one that it gets, so that what policies do can be watched; nil
	// leaves them as they are.
	WrapPolicy func(balancer.Policy) balancer.Policy
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
	// IdleTimeout is how long an idle connection is kept.
	IdleTimeout time.Duration
}

// Upstream is the connection pool of one endpoint, as a protocol engine keeps it.
type Upstream interface {
	// Close closes idle connections at once and busy ones when their exchange ends.
	Close()
}

// Observer is told what became of exchanges. Its methods run on the request's goroutine: they must not block and must not keep x.
type Observer interface {
	// Finished is called by Finish, once for each exchange but those of mirror copies.
	Finished(x *Exchange)
	// Retried is called when an attempt failed as reason and the request asks for another endpoint.
	Retried(p *Pool, reason Outcome)
	// MirrorDropped is called when a request that was to be mirrored to p was not, and why.
	MirrorDropped(p *Pool, reason string)
}

// Dispatcher owns the pools and the routing table. Its methods may be called from any goroutine.
type Dispatcher struct {
	options Options
	logger  *slog.Logger
	table   atomic.Pointer[table]
	listed  atomic.Pointer[[]*Pool] // the configured pools, by name

	underway underway

	mu     sync.Mutex
	pools  map[string]*Pool // removed ones too, until they have drained
	closed bool
}

// New returns a dispatcher without pools and routes; Apply gives it some.
func New(o Options) *Dispatcher {
	d := &Dispatcher{options: o, logger: o.Logger, pools: make(map[string]*Pool)}
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	d.table.Store(emptyTable())
	d.listed.Store(new([]*Pool))
	return d
}

// Apply makes c, which config.Parse or Validate found valid, the configuration of all requests that start from now on. It reads the
// files that TLS settings name. On error nothing has changed.
//
// Pools live on under their names, endpoints under their addresses as long as nothing about how they are connected to changes, files
// included. The endpoints of a pool are set where its configuration lists them and the list is not what it was; else they stay what
// SetEndpoints made them. What is no longer configured drains.
func (d *Dispatcher) Apply(c *config.Config) error {
	routes, err := newRoutes(c)
	if err != nil {
		return err
	}
	prepared := make(map[string]*settings, len(c.Pools))
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		prepared[name], err = newSettings(name, c.Pools[name], &c.Timeouts)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("cannot apply a configuration: the gateway is closing")
	}
	for name, s := range prepared {
		p := d.pools[name]
		if p == nil {
			p = newPool(d, name, s)
			d.pools[name] = p
		}
		p.configure(s)
	}
	d.table.Store(newTable(routes, d.pools))
	d.removePools(func(p *Pool) bool { return prepared[p.Name] == nil })
	return nil
}

// removePools takes pools out of service and lists the others. The lock is held.
func (d *Dispatcher) removePools(chosen func(*Pool) bool) {
	listed := make([]*Pool, 0, len(d.pools))
	for name, p := range d.pools {
		switch {
		case !chosen(p):
			listed = append(listed, p)
		case !p.Removed():
			d.logger.Info("pool is removed", "pool", name, "queued", p.QueueLen(), "inFlight", p.InFlight())
			if p.remove() {
				delete(d.pools, name)
			}
		}
	}
	slices.SortFunc(listed, func(a, b *Pool) int { return strings.Compare(a.Name, b.Name) })
	d.listed.Store(&listed)
	d.changed()
}

// changed tells of a change of ready endpoints or of the configuration.
func (d *Dispatcher) changed() {
	if d.options.Changed != nil {
		d.options.Changed()
	}
}

// forget drops a removed pool that has drained.
func (d *Dispatcher) forget(p *Pool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isGone() && d.pools[p.Name] == p {
		delete(d.pools, p.Name)
		d.logger.Info("removed pool has drained", "pool", p.Name)
	}
}

// SetEndpoints makes a pool's endpoints the given ones, which must not change afterwards; nil is none. Those that were there and are not given
// drain. On error, for a pool that is not configured or members in disorder, nothing has changed.
func (d *Dispatcher) SetEndpoints(pool string, given Members) error {
	if given == nil {
		given = MemberList(nil)
	}
	if err := check(given); err != nil {
		return fmt.Errorf("cannot set the endpoints of pool %q: %w", pool, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pools[pool]
	if p == nil || p.Removed() {
		return fmt.Errorf("cannot set the endpoints of pool %q: there is no such pool", pool)
	}
	p.setEndpoints(given)
	return nil
}

// Between calls look while no configuration is being applied, so that what it finds of pools and routes belongs together. look must not call
// Apply, SetEndpoints, SetHealthy or Close.
func (d *Dispatcher) Between(look func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	look()
}

// SetHealthy tells what an active probe found of a pool's endpoint at address (host:port); cause says why it is unhealthy. Until the
// first call, an endpoint of a pool that is probed counts as unhealthy, and one of a pool that is not as healthy. Endpoints that are not there
// are ignored.
func (d *Dispatcher) SetHealthy(pool, address string, healthy bool, cause string) {
	d.mu.Lock()
	p := d.pools[pool]
	d.mu.Unlock()
	if p != nil {
		p.setHealthy(address, healthy, cause)
	}
}

// Pools returns the configured pools, sorted by name. The slice must not be changed.
func (d *Dispatcher) Pools() []*Pool { return *d.listed.Load() }

// Pool returns a configured pool, nil if there is none of that name.
func (d *Dispatcher) Pool(name string) *Pool {
	for _, p := range d.Pools() {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Routes returns the routes in force, in their order.
func (d *Dispatcher) Routes() []*Route {
	t := d.table.Load()
	routes := make([]*Route, 0, len(t.of))
	for _, compiled := range t.routes.Routes() {
		routes = append(routes, t.of[compiled])
	}
	return routes
}

// MirrorDropped tells the observer that a request that was to be mirrored to p was not, and why.
func (d *Dispatcher) MirrorDropped(p *Pool, reason string) {
	if d.options.Observer != nil {
		d.options.Observer.MirrorDropped(p, reason)
	}
}

// Close stops timers, refuses the requests that wait and those that come, and closes upstreams. Exchanges that hold an endpoint may
// finish.
func (d *Dispatcher) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.closed = true
	all := slices.Collect(maps.Values(d.pools))
	d.removePools(func(*Pool) bool { return true })
	for _, p := range all {
		p.close()
	}
}
