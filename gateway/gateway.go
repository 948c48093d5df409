// Package gateway is the process around the protocol engines: the listener that accepts connections and finds out what they speak,
// TLS, configuration and its reloads, the graceful stop, the admin port, metrics and the access log.
package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/penstock/penstock/autoscale"
	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/discovery/kube"
	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/http1"
	"github.com/penstock/penstock/gateway/http2"
	"github.com/penstock/penstock/gateway/live"
	"github.com/penstock/penstock/gateway/telemetry"
	"github.com/penstock/penstock/health"
)

// Options is what a Gateway gets from its caller rather than from the configuration. The zero value is usable.
type Options struct {
	// Logger takes everything but access-log lines; nil drops it.
	Logger *slog.Logger
	// Stdout takes access-log lines; nil drops them.
	Stdout io.Writer
	// ConfigPath is the file that the configuration came from. It is read again when it changes and at SIGHUP; empty means that the
	// configuration stays as it is.
	ConfigPath string
	// Override changes a configuration that was read from ConfigPath before it is applied, as flags do; nil changes nothing.
	Override func(*config.Config)
	// Configure makes the configuration anew where there is no file, for settings of pools that come from their Services; nil ignores those.
	Configure func(settings map[string]*config.Pool) (*config.Config, error)
	// Signals tells Run what to do: SIGHUP reads the configuration and the certificates again, any other signal stops the gateway
	// gracefully, and a second one at once. nil leaves stopping to Run's context.
	Signals <-chan os.Signal
	// ConfigInterval and CertificateInterval are how often the files are looked at for changes. 0 is 1 s and 2 s.
	ConfigInterval, CertificateInterval time.Duration
	// WrapPolicy is given each policy that a pool is to have and returns the one that it gets, so that tests can watch what policies do; nil
	// leaves them as they are.
	WrapPolicy func(balancer.Policy) balancer.Policy
	// Kube connects to the Kubernetes cluster; nil finds it by the pod's service account or a kubeconfig file. It is called only where the
	// configuration needs a cluster.
	Kube func() (*kube.Client, error)
}

// Gateway is one gateway. Its life is New, Listen, Run.
type Gateway struct {
	options Options
	logger  *slog.Logger
	started time.Time
	state   atomic.Uint32 // a phase; enter changes it
	after   func(time.Duration) <-chan time.Time

	config     atomic.Pointer[config.Config] // in force
	generation atomic.Int64
	fileSum    contentSum              // of the configuration file when it was last looked at
	content    []byte                  // of the configuration file when it was last taken; nil until it was read again
	later      *later                  // what waits for its time; nil if nothing does
	activation *time.Timer             // looks whether that has come
	settings   map[string]*config.Pool // that pools have from where their endpoints are discovered
	used       map[string]*config.Pool // what is in force of that

	dispatcher *dispatch.Dispatcher
	http1      *http1.Server
	http2      *http2.Server
	mirrors    *bridge.Mirrors
	models     *modelLister
	probes     *probes
	polls      *polls
	finder     discovery.Finder
	sources    *sources
	known      atomic.Bool     // every source has spoken once
	health     *health.Service // what clients of the traffic port may ask over gRPC
	telemetry  *telemetry.Telemetry
	hurried    atomic.Bool       // a second signal came
	autoscale  *autoscale.Server // nil: autoscalers are not answered

	tls          atomic.Pointer[tlsSettings] // nil: plaintext only
	certificates *certificates               // what tls was made of; Run's goroutine alone uses it
	opening      connSet                     // connections that no engine has got yet

	slots   *slots
	traffic *listener
	adminAt net.Listener
	admin   *http.Server

	adminAccess      atomic.Pointer[adminAccess] // who may read the admin port
	adminCredentials *adminCredentials           // what adminAccess was made of; Run's goroutine alone uses it
	denials          logLimit

	metrics  *metrics
	observer *observer
	live     *live.Hub
	log      *accessLog
	lines    *lineWriter
}

// New makes a gateway that is configured with cfg, which must be valid and must not be changed afterwards. Close it if Run is
// not called.
func New(cfg *config.Config, o Options) (*Gateway, error) {
	g := &Gateway{options: o.withDefaults(), started: time.Now(), after: time.After, activation: time.NewTimer(0), slots: newSlots(cfg.Limits.Connections)}
	events := live.NewEvents()
	g.logger = watched(g.options.Logger, events)
	g.lines = newLineWriter(g.options.Stdout)
	g.log = newAccessLog(g.lines)
	g.metrics = newMetrics(func() []*dispatch.Pool { return g.dispatcher.Pools() }, g.slots.count, g.lines.dropped.Load)
	g.startTelemetry()
	g.observer = &observer{metrics: g.metrics, log: g.log, genAI: g.telemetry.Metrics}
	g.models = newModelLister(func() []*dispatch.Pool { return g.dispatcher.Pools() }, g.config.Load, askModels, g.logger)
	g.health = health.NewService(g.healthState)
	g.dispatcher = dispatch.New(dispatch.Options{
		NewUpstream: func(e dispatch.EndpointConfig) dispatch.Upstream {
			ways := &bridge.Upstreams{HTTP2: g.http2.NewUpstream(e)}
			if e.Scheme != "h2c" {
				ways.HTTP1 = g.http1.NewUpstream(e)
			}
			return ways
		},
		NewEjector: newEjector,
		Observer:   g.observer,
		Tracer:     g.tracer(),
		Models:     g.models.reply,
		Changed:    g.health.Changed,
		Report:     g.takeReport,
		Services:   []string{healthpb.Health_ServiceDesc.ServiceName},
		WrapPolicy: g.options.WrapPolicy,
		Logger:     g.logger,
	})
	g.probes = &probes{dispatcher: g.dispatcher}
	g.polls = &polls{dispatcher: g.dispatcher, logger: g.logger}
	g.finder.Connect = g.options.Kube
	g.sources = &sources{
		dispatcher: g.dispatcher, probes: g.probes, polls: g.polls, metrics: g.metrics.discovery, logger: g.logger,
		spoke: g.health.Changed, settingsChanged: make(chan struct{}, 1), silent: make(map[string]bool), settings: make(map[string]string),
	}
	g.live = g.newHub(events)
	if err := g.startEngines(cfg); err != nil {
		g.Close()
		return nil, err
	}
	g.admin = g.newAdminServer()
	if err := g.apply(cfg); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// startEngines starts the protocol engines, which apply then tells what the configuration sets about them.
func (g *Gateway) startEngines(cfg *config.Config) (err error) {
	g.mirrors = bridge.NewMirrors(g.dispatcher)
	g.http1, err = http1.NewServer(g.dispatcher, &http1.Options{Limits: cfg.Limits, Timeouts: cfg.Timeouts}, g.mirrors)
	if err != nil {
		return fmt.Errorf("cannot start the HTTP/1.1 engine: %w", err)
	}
	services := map[string]http2.Service{healthpb.Health_ServiceDesc.ServiceName: g.health}
	g.http2, err = http2.NewServer(g.dispatcher, &http2.Options{Limits: cfg.Limits, Timeouts: cfg.Timeouts}, g.mirrors, services)
	if err != nil {
		return fmt.Errorf("cannot start the HTTP/2 engine: %w", err)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.ConfigInterval == 0 {
		o.ConfigInterval = time.Second
	}
	if o.CertificateInterval == 0 {
		o.CertificateInterval = 2 * time.Second
	}
	return o
}

func newEjector(c config.Eject) dispatch.Ejector {
	return health.NewEjector(health.EjectConfig{
		ConsecutiveFailures: c.ConsecutiveFailures,
		BaseTime:            c.BaseTime.Std(),
		MaxTime:             c.MaxTime.Std(),
		MaxPercent:          c.MaxPercent,
	})
}

// Listen opens the traffic and the admin port, and those for autoscalers, and answers on all but the traffic port. Connections to the traffic port wait until Run.
func (g *Gateway) Listen() error {
	c := g.config.Load()
	traffic, err := listen(c.Listen)
	if err != nil {
		return fmt.Errorf("cannot open the traffic port: %w", err)
	}
	admin, err := listen(c.Admin)
	if err != nil {
		traffic.Close()
		return fmt.Errorf("cannot open the admin port: %w", err)
	}
	g.traffic = newListener(traffic, g.slots, g.serveConn, g.logger)
	g.adminAt = admin
	go g.serveAdmin(admin)
	return g.startAutoscale(c)
}

// Addr is the address of the traffic port, after Listen.
func (g *Gateway) Addr() net.Addr { return g.traffic.Addr() }

// AdminAddr is the address of the admin port, after Listen.
func (g *Gateway) AdminAddr() net.Addr { return g.adminAt.Addr() }

// serveConn serves a client connection to its end.
func (g *Gateway) serveConn(c net.Conn) {
	tcp := c.(*net.TCPConn)
	settings := g.tls.Load()
	if !g.opening.add(c) {
		c.Close()
		return
	}
	serve, err := g.open(tcp, settings)
	g.opening.remove(c)
	if err != nil {
		g.logger.Debug("cannot open a connection", "client", c.RemoteAddr(), "error", err)
		c.Close()
		return
	}
	serve()
}

// open finds out what a connection speaks and secures it, and returns what serves it.
func (g *Gateway) open(c *net.TCPConn, settings *tlsSettings) (serve func(), err error) {
	timeout := g.config.Load().Timeouts.RequestHead.Std()
	spoken, err := sniff(c, timeout)
	switch {
	case err != nil:
		return nil, err
	case settings == nil || spoken != protocolTLS && settings.allowPlaintext:
		return func() { g.serve(c, spoken == protocolHTTP2) }, nil
	case spoken != protocolTLS:
		return func() { refusePlaintext(c) }, nil
	}
	secure, err := handshake(c, settings.config, timeout)
	g.metrics.handshakes.WithLabelValues(result(err)).Inc()
	if err != nil {
		return nil, fmt.Errorf("cannot agree on TLS: %w", err)
	}
	return func() { g.serve(secure, secure.ConnectionState().NegotiatedProtocol == protocolNameHTTP2) }, nil
}

// serve lets the engine of a connection's protocol serve it.
func (g *Gateway) serve(c net.Conn, isHTTP2 bool) {
	if isHTTP2 {
		g.http2.ServeConn(c)
		return
	}
	_, secure := c.(*tls.Conn)
	g.http1.ServeConn(c, nil, secure)
}

// Close cuts everything and releases what the gateway holds. Run does it at its end.
func (g *Gateway) Close() {
	g.enter(phaseDraining)
	g.health.Close()
	if g.traffic != nil {
		g.traffic.close()
	}
	g.opening.close()
	g.sources.close()
	g.probes.close()
	g.polls.close()
	g.models.close()
	g.log.cutting.Store(true)
	if g.mirrors != nil {
		g.mirrors.Close()
	}
	if g.http1 != nil {
		g.http1.Close()
	}
	if g.http2 != nil {
		g.http2.Close()
	}
	if g.autoscale != nil { // until here, other replicas and autoscalers see what is underway
		g.autoscale.Close()
	}
	g.dispatcher.Close()
	if g.traffic != nil {
		<-g.slots.empty()
	}
	g.live.Close()
	if g.adminAt != nil {
		g.admin.Close()
	}
	g.stopTelemetry()
	if !g.lines.close(time.Second) {
		g.logger.Warn("cannot write the last access-log lines: their reader does not read")
	}
}
