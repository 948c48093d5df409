package autoscale

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"google.golang.org/grpc"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery/kube"
)

// Options is what a Server gets from its caller.
type Options struct {
	// Config is the section of the configuration.
	Config config.Autoscale
	// Kube is the cluster.
	Kube *kube.Client
	// Loads returns what this replica knows of each pool of its configuration.
	Loads func() []Load
	// Synced reports whether the endpoints of all pools have been found once.
	Synced func() bool
	// Version is this build's.
	Version string
	// Requested is told of each answer, by the API (one of APIs) and the status; nil drops it.
	Requested func(api, code string)
	// Logger takes what is to be told; nil drops it.
	Logger *slog.Logger

	times times
}

// times is how often things are done. Tests are in more of a hurry than clusters.
type times struct{ poll, keep, files, register, frontProxy, active time.Duration }

var defaultTimes = times{
	poll: time.Second, keep: 30 * time.Second, files: 2 * time.Second,
	register: 30 * time.Second, frontProxy: 30 * time.Second, active: activePause,
}

// Server answers autoscalers.
type Server struct {
	options   Options
	logger    *slog.Logger
	instance  string // random, of this process
	namespace string
	now       func() time.Time

	ids           *identities
	keeper        *keeper
	frontProxies  *frontProxies
	registrations *registrations
	asker         *asker
	peers         *peers
	answers       *answers
	kept          chan struct{} // signalled when there is another certificate

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	port, kedaPort net.Listener
	http           *http.Server
	keda           *grpc.Server
}

// Start opens the ports and answers, with what it is to say as soon as it knows it. Close the server in the end.
func Start(o Options) (*Server, error) {
	s := &Server{options: o.withDefaults(), instance: rand.Text(), now: time.Now, kept: make(chan struct{}, 1)}
	s.logger = s.options.Logger
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.namespace, err = ownNamespace(o.Config.Namespace, namespaceFile); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	s.assemble()
	s.running.Go(func() { s.serve(s.http.ServeTLS(newDoor(s.port), "", "")) })
	if s.kedaPort != nil {
		s.running.Go(func() { s.serve(s.keda.Serve(netutil.LimitListener(s.kedaPort, maxKEDAConnections))) })
	}
	for _, t := range s.tasks() {
		s.running.Go(func() { t.run(s.ctx, s.logger) })
	}
	s.running.Go(s.findPeers)
	s.logger.Info("autoscalers are answered", "listen", s.Addr().String(), "keda", o.Config.KEDA, "namespace", s.namespace, "instance", s.instance)
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Requested == nil {
		o.Requested = func(string, string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.times == (times{}) {
		o.times = defaultTimes
	}
	return o
}

func (s *Server) listen() (err error) {
	c := &s.options.Config
	if s.port, err = net.Listen("tcp", c.Listen); err != nil {
		return fmt.Errorf("cannot open the port of the metrics APIs: %w", err)
	}
	if c.KEDA == "" {
		return nil
	}
	if s.kedaPort, err = net.Listen("tcp", c.KEDA); err != nil {
		s.port.Close()
		return fmt.Errorf("cannot open the port for KEDA: %w", err)
	}
	return nil
}

// assemble puts the parts together.
func (s *Server) assemble() {
	c, api := &s.options.Config, kubeAPI{s.options.Kube}
	s.ids = &identities{name: c.ServiceName + "." + s.namespace + ".svc"}
	s.keeper = &keeper{ids: s.ids, changed: func() { signal(s.kept) }, logger: s.logger, now: s.now}
	s.frontProxies = &frontProxies{doubt: make(chan struct{}, 1)}
	s.registrations = &registrations{api: api, namespace: s.namespace, service: c.ServiceName, ids: s.ids, writes: c.CertFile == "", expected: c.KEDA != "",
		logger: s.logger, state: make(map[string]Registration), owner: make(map[string]string)}
	s.asker = newAsker(s.ids)
	s.peers = newPeers(s.instance, s.asker.ask, s.options.times.poll, s.logger)
	s.answers = &answers{namespace: s.namespace, loads: s.options.Loads, synced: s.options.Synced, peers: s.peers}
	s.http = s.newHTTPServer()
	if s.kedaPort != nil {
		s.keda = s.newScalerServer()
	}
}

// names are those of the certificate: the Service's, as it is called from ever further away.
func (s *Server) names() []string {
	name := s.options.Config.ServiceName
	return []string{name, name + "." + s.namespace, s.ids.name, s.ids.name + ".cluster.local"}
}

// tasks are what is done all the time.
func (s *Server) tasks() []*task {
	c, t, api := &s.options.Config, s.options.times, kubeAPI{s.options.Kube}
	keep := &task{what: "keep the certificate of the metrics APIs", every: t.keep, do: func(ctx context.Context) error {
		return s.keeper.fromSecret(ctx, api, s.namespace, c.SecretName, s.names())
	}}
	if c.CertFile != "" {
		keep.every, keep.do = t.files, func(context.Context) error { return s.keeper.fromFiles(c) }
	}
	return []*task{
		keep,
		{what: "tell who answers the metrics APIs", every: t.register, nudge: s.kept, do: s.registrations.check},
		{what: "tell how the API server is known", every: t.frontProxy, nudge: s.frontProxies.doubt, gap: min(5*time.Second, t.frontProxy),
			do: func(ctx context.Context) error { return s.frontProxies.read(ctx, api) }},
	}
}

// serve notes how a port ended.
func (s *Server) serve(err error) {
	if err != nil && s.ctx.Err() == nil {
		s.logger.Error("a port for autoscalers has failed", "error", err)
	}
}

// Addr is the address of the port of the metrics APIs.
func (s *Server) Addr() net.Addr { return s.port.Addr() }

// KEDAAddr is the address of KEDA's port, nil if there is none.
func (s *Server) KEDAAddr() net.Addr {
	if s.kedaPort == nil {
		return nil
	}
	return s.kedaPort.Addr()
}

// Ready says, by its error, what keeps the server from answering the API server with numbers.
func (s *Server) Ready() error {
	switch {
	case s.ids.Load() == nil:
		return errNoCertificate
	case s.frontProxies.Load() == nil:
		return errors.New("the gateway has not read yet by which certificate the API server is known")
	case !s.options.Synced():
		return notKnown("this replica of the gateway has not found the endpoints of all its pools yet")
	}
	return s.peers.complete()
}

// Peers is the number of other replicas by what is known of them.
func (s *Server) Peers() map[State]int { return s.peers.count() }

// Registration says who answers a group of Groups in the cluster; empty if that is not known.
func (s *Server) Registration(group string) Registration { return s.registrations.get(group) }

// Close stops answering and releases everything.
func (s *Server) Close() {
	s.cancel()
	s.http.Close()
	if s.keda != nil {
		stopScaler(s.keda)
	}
	s.port.Close() // of a server that was closed before it served
	if s.kedaPort != nil {
		s.kedaPort.Close()
	}
	s.running.Wait()
	s.peers.close()
	s.asker.close()
}
