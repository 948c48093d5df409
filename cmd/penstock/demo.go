package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway"
)

// demoCommand runs mock model servers, a gateway before them and gentle traffic, until it is interrupted.
func demoCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	d, code, ok := parseDemo(args, stderr)
	if !ok {
		return code
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	replicas, err := startReplicas(d.replicas, mock.Options{Profile: d.profile, Log: log})
	defer closeReplicas(replicas)
	if err != nil {
		return fail(stderr, "penstock demo", err)
	}
	g, err := d.gateway(replicas, log)
	if err != nil {
		return fail(stderr, "penstock demo", portHint(err))
	}
	d.introduce(stdout, g)
	var traffic sync.WaitGroup
	traffic.Go(func() { sendTraffic(ctx, "http://"+reachable(g.Addr().String())) })
	err = g.Run(ctx)
	traffic.Wait()
	if err != nil {
		return fail(stderr, "penstock demo", err)
	}
	fmt.Fprintln(stdout, "The demo has ended.")
	return exitOK
}

// demoFlags is the command line of penstock demo.
type demoFlags struct {
	listen, admin, profile string
	replicas               int
}

func parseDemo(args []string, stderr io.Writer) (d *demoFlags, code int, ok bool) {
	d = new(demoFlags)
	f := newFlags("demo", "Runs a gateway, mock model servers and gentle traffic in one process, to look around. Nothing has to be installed.", stderr)
	f.StringVar(&d.listen, "listen", "127.0.0.1:8000", "The gateway takes traffic at `HOST:PORT`; port 0 takes any that is free.")
	f.StringVar(&d.admin, "admin", "127.0.0.1:8001", "The gateway's dashboard and metrics are served at `HOST:PORT`; port 0 takes any that is free.")
	f.IntVar(&d.replicas, "replicas", 3, "The gateway has `N` mock model servers behind it, from 1 to 64.")
	f.StringVar(&d.profile, "profile", mock.DefaultOptions.Profile, "The mock model servers take as long as the model and GPU of the profile `NAME`.")
	if code, ok := f.parse(args); !ok {
		return nil, code, false
	}
	if d.replicas < 1 || d.replicas > 64 {
		return nil, f.wrong("--replicas is %d: want 1 to 64", d.replicas), false
	}
	if err := (mock.Options{Profile: d.profile}).Validate(); err != nil {
		return nil, f.wrong("--profile: %v", err), false
	}
	return d, exitOK, true
}

// startReplicas starts mock model servers on free ports of the loopback. Those that were started come back with an error, too.
func startReplicas(n int, o mock.Options) (replicas []*mock.Server, err error) {
	for range n {
		s, err := mock.New(o)
		if err != nil {
			return replicas, err
		}
		replicas = append(replicas, s)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return replicas, fmt.Errorf("cannot start a mock model server: %w", err)
		}
		if err := s.Start(l); err != nil {
			return replicas, err
		}
	}
	return replicas, nil
}

func closeReplicas(replicas []*mock.Server) {
	for _, s := range replicas {
		s.Close()
	}
}

// gateway makes the gateway, with its ports open. The demo's end is not worth waiting for.
func (d *demoFlags) gateway(replicas []*mock.Server, log *slog.Logger) (*gateway.Gateway, error) {
	c, err := config.Quick(d.listen, d.admin, urlsOf(replicas), nil, "", "", nil)
	if err != nil {
		return nil, err
	}
	return openGateway(c, log)
}

// urlsOf are where replicas are reached.
func urlsOf(replicas []*mock.Server) []string {
	urls := make([]string, len(replicas))
	for i, s := range replicas {
		urls[i] = "http://" + s.Addr()
	}
	return urls
}

// openGateway makes a gateway of this process's own, with its ports open, that says which replica answered and ends at once.
func openGateway(c *config.Config, log *slog.Logger) (*gateway.Gateway, error) {
	c.DebugHeaders = true
	c.AccessLog.Enabled = false
	c.Shutdown = config.Shutdown{Drain: config.Duration(2 * time.Second)}
	g, err := gateway.New(c, gateway.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	if err := g.Listen(); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// portHint adds to an error about a taken port what can be done.
func portHint(err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w\nanother program has this port: end it, or choose free ports with --listen 127.0.0.1:0 --admin 127.0.0.1:0", err)
}

func (d *demoFlags) introduce(w io.Writer, g *gateway.Gateway) {
	fmt.Fprintf(w, `A gateway with %s of the profile %s is running, with a few requests a second.

  traffic       http://%s
  dashboard     http://%s/
  metrics       http://%[4]s/metrics

Ask it something, and watch the tokens come:

  curl -N http://%[3]s/v1/chat/completions -H 'Content-Type: application/json' -d '{"model": "%[5]s", "stream": true, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}'

Things to look at:
  - the dashboard: requests in flight at each model server, also in a terminal by penstock top;
  - curl -i: the header x-penstock-endpoint says which one answered;
  - penstock_time_to_first_token_seconds in the metrics.

Ctrl-C ends it.
`, count(d.replicas, "mock model server"), d.profile, reachable(g.Addr().String()), reachable(g.AdminAddr().String()), mock.DefaultOptions.Models[0])
}
