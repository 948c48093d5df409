package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/mock"
)

// mockFlags are the flags of penstock mock.
type mockFlags struct {
	listen   string
	replicas int
	models   listFlag
	drain    time.Duration
	options  mock.Options
}

// parseMock reads the command line. If it ends the program, ok is false and code its exit code.
func parseMock(args []string, stderr io.Writer) (m *mockFlags, code int, ok bool) {
	m = &mockFlags{}
	d, o := mock.DefaultOptions, &m.options
	f := newFlags("mock", "Runs mock model servers that take as long as GPUs do, until it is interrupted. They speak HTTP/1.1, cleartext HTTP/2 and gRPC (KServe v2, TensorFlow Serving, health checks and reflection) on one port.", stderr)
	f.StringVar(&m.listen, "listen", ":9000", "The first replica listens on `ADDRESS`, host:port with an optional host; port 0 gives every replica a free port.")
	f.IntVar(&m.replicas, "replicas", 1, "There are `N` replicas, on consecutive ports.")
	f.Var(&m.models, "model", "The replicas serve the model `NAME`; may be given several times, or as a list with commas. Without it they serve "+strings.Join(d.Models, ",")+".")
	f.StringVar(&o.Profile, "profile", d.Profile, "Each replica is as fast as the model and GPU that `NAME` stands for: "+profileList()+".")
	f.StringVar(&o.Engine, "engine", d.Engine, "The metrics have the names of the model server `NAME`: "+strings.Join(mock.EngineNames(), ", ")+".")
	f.Float64Var(&o.Speed, "speed", d.Speed, "The engines run `FACTOR` times as fast as their GPUs would.")
	f.BoolVar(&o.Instant, "instant", false, "Requests are answered at once, without an engine and without faults, to measure what stands in front; a request paces its stream with the header x-mock-interval, such as 10ms.")
	f.Uint64Var(&o.Seed, "seed", 0, "The seed `NUMBER` decides which requests a share of faults hits; each replica adds its index to it.")
	f.IntVar(&o.MaxTokens, "max-tokens", d.MaxTokens, "A request that does not say how many tokens it wants gets `N`.")
	f.DurationVar(&o.IdleTimeout, "idle-timeout", d.IdleTimeout, "A connection is closed when it was idle for `DURATION`, as vLLM does after 5s; a negative one keeps connections. Instant replicas always keep them.")
	f.DurationVar(&o.LoadTime, "load-time", 0, "The model loads for `DURATION` after the start: health checks fail meanwhile, and requests get 503 or UNAVAILABLE.")
	f.DurationVar(&m.drain, "drain", 0, "When told to stop, the replicas turn readiness off and go on answering until no request was underway for a second, for at most `DURATION`; 0s ends them at once, and so does a second signal.")
	f.StringVar(&o.Label, "label", "", "Answers carry the header x-mock-label with `TEXT`, so that versions can be told apart.")
	f.IntVar(&o.MaxSequences, "max-num-seqs", 0, "At most `N` sequences run at once on a replica; 0 is what the profile says.")
	f.IntVar(&o.MaxBatchedTokens, "max-num-batched-tokens", 0, "An engine step computes at most `N` tokens; 0 is what the profile says.")
	f.IntVar(&o.KVTokens, "kv-tokens", 0, "The KV cache of a replica holds `N` tokens; 0 is what the profile says.")
	if code, ok = f.parse(args); !ok {
		return nil, code, false
	}
	for _, list := range m.models {
		o.Models = append(o.Models, strings.Split(list, ",")...)
	}
	if err := m.check(); err != nil {
		return nil, f.wrong("%v", err), false
	}
	return m, exitOK, true
}

func profileList() string {
	var list []string
	for _, p := range engine.Profiles() {
		list = append(list, p.Name+" ("+p.Summary+")")
	}
	return strings.Join(list, ", ")
}

func (m *mockFlags) check() error {
	const most = 1024
	if m.replicas < 1 || m.replicas > most {
		return fmt.Errorf("cannot run %d replicas: --replicas must be 1 to %d", m.replicas, most)
	}
	// Options take a zero for "not said", which it never is here.
	switch o := &m.options; {
	case o.Speed == 0:
		return fmt.Errorf("cannot run at speed 0: --speed must be more than 0")
	case o.MaxTokens == 0:
		return fmt.Errorf("cannot answer with 0 tokens: --max-tokens must be at least 1")
	case o.IdleTimeout == 0:
		return fmt.Errorf("cannot close connections after 0s: --idle-timeout must be more, or negative to keep them")
	}
	if m.drain < 0 {
		return fmt.Errorf("cannot drain for %v: --drain must be at least 0s", m.drain)
	}
	if _, err := m.addresses(); err != nil {
		return err
	}
	return m.options.Validate()
}

// addresses is where each replica listens.
func (m *mockFlags) addresses() ([]string, error) {
	host, portText, err := net.SplitHostPort(m.listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: --listen must be host:port, such as :9000", m.listen)
	}
	const lastPort = 65535
	first, err := strconv.Atoi(portText)
	if err != nil || first < 0 || first > lastPort {
		return nil, fmt.Errorf("cannot listen on %q: the port must be a number from 0 to %d", m.listen, lastPort)
	}
	if first+m.replicas-1 > lastPort {
		return nil, fmt.Errorf("cannot run %d replicas from port %d on: the last port would be beyond %d", m.replicas, first, lastPort)
	}
	var list []string
	for i := range m.replicas {
		port := first
		if first > 0 {
			port += i
		}
		list = append(list, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return list, nil
}

// mockCommand runs mock model servers until ctx ends, or the process is told to stop and they have drained.
func mockCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	m, code, ok := parseMock(args, stderr)
	if !ok {
		return code
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	servers, err := m.start(log)
	defer func() {
		for _, s := range servers {
			s.Close()
		}
	}()
	if err != nil {
		return fail(stderr, "penstock mock", err)
	}
	for _, s := range servers {
		fmt.Fprintf(stdout, "replica at http://%s\n", reachable(s.Addr()))
	}
	fmt.Fprintf(stdout, "try: curl http://%s/v1/chat/completions -d '{\"model\": %q, \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n",
		reachable(servers[0].Addr()), m.model())
	select {
	case <-signals:
		m.stop(ctx, servers, signals, log)
	case <-ctx.Done():
	}
	return exitOK
}

// stop drains every replica, unless a second signal comes or ctx ends.
func (m *mockFlags) stop(ctx context.Context, servers []*mock.Server, signals <-chan os.Signal, log *slog.Logger) {
	if m.drain == 0 {
		return
	}
	log.Info("draining: readiness is off", "limit", m.drain.String())
	ctx, cancel := context.WithCancel(ctx)
	var underway atomic.Int64
	var drains sync.WaitGroup
	for _, s := range servers {
		drains.Go(func() { underway.Add(s.Drain(ctx, m.drain)) })
	}
	done := make(chan struct{})
	go func() { drains.Wait(); close(done) }()
	select {
	case <-signals:
	case <-done:
	}
	cancel()
	<-done
	log.Info("stopping", "cut", underway.Load())
}

// start starts every replica. The servers that it started are returned also where it fails.
func (m *mockFlags) start(log *slog.Logger) (servers []*mock.Server, err error) {
	addresses, err := m.addresses()
	if err != nil {
		return nil, err
	}
	for i, address := range addresses {
		o := m.options
		o.Seed += uint64(i)
		o.Log = log
		s, err := mock.New(o)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		l, err := net.Listen("tcp", address)
		if err != nil {
			return servers, fmt.Errorf("cannot start replica %d: %w", i, err)
		}
		if err := s.Start(l); err != nil {
			l.Close()
			return servers, err
		}
	}
	return servers, nil
}

func (m *mockFlags) model() string {
	if len(m.options.Models) > 0 {
		return m.options.Models[0]
	}
	return mock.DefaultOptions.Models[0]
}

// reachable makes an address that a client on the same machine can use out of one that a listener has.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}
