package gateway

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"
)

// phase is where a gateway is in its life.
type phase uint32

const (
	phaseStarting phase = iota
	phaseServing
	phaseDraining // from the first signal on, the lame duck included
)

var phaseNames = [...]string{phaseStarting: "starting", phaseServing: "serving", phaseDraining: "draining"}

// String returns the phase as /readyz gives it.
func (p phase) String() string { return phaseNames[p] }

func (g *Gateway) phase() phase { return phase(g.state.Load()) }

// enter begins a phase.
func (g *Gateway) enter(p phase) {
	g.state.Store(uint32(p))
	g.health.Changed()
}

// ErrCut is returned by Run when requests were cut because the drain took longer than shutdown.drain, or because of a second signal.
var ErrCut = errors.New("requests were cut")

// Run serves until a signal comes or ctx ends, then stops gracefully: readiness goes off, connections are accepted for
// shutdown.lameDuck, requests underway get shutdown.drain to finish. It returns nil if all did, and ErrCut if some had to be cut.
// It calls Listen if that was not done, and Close at its end.
func (g *Gateway) Run(ctx context.Context) error {
	if g.traffic == nil {
		if err := g.Listen(); err != nil {
			g.Close()
			return err
		}
	}
	stopped := make(chan struct{})
	go func() { g.traffic.run(); close(stopped) }()
	g.enter(phaseServing)
	g.logger.Info("serving", "listen", g.Addr().String(), "admin", g.AdminAddr().String(), took(g.started))
	why := g.control(ctx)
	g.enter(phaseDraining)
	cut := g.drain(why)
	closing := time.Now()
	g.Close()
	<-stopped
	g.logger.Info("stopped", "cut", cut, took(closing))
	if cut > 0 {
		return ErrCut
	}
	return nil
}

// took is how long a step took that began at start, to be logged.
func took(start time.Time) slog.Attr {
	return slog.String("took", time.Since(start).Round(time.Microsecond).String())
}

// control reloads what changes until the gateway is to stop, and says why it is.
func (g *Gateway) control(ctx context.Context) (why string) {
	configs, certificates := time.NewTicker(g.options.ConfigInterval), time.NewTicker(g.options.CertificateInterval)
	defer configs.Stop()
	defer certificates.Stop()
	if g.options.ConfigPath == "" {
		configs.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return "its context ended"
		case s := <-g.options.Signals:
			if s != syscall.SIGHUP {
				return s.String()
			}
			g.logger.Info("SIGHUP: reading the configuration and certificates again")
			g.reload()
		case <-g.sources.settingsChanged:
			g.applySettings()
		case <-configs.C:
			g.reloadIfChanged()
		case <-g.activation.C:
			g.activate()
		case <-certificates.C:
			g.refreshCertificates()
			g.refreshAdminCredentials()
		}
	}
}

// drain goes through the graceful stop and returns how many requests are still underway at its end.
func (g *Gateway) drain(why string) (cut int) {
	times := g.config.Load().Shutdown
	g.http1.LameDuck()
	g.http2.LameDuck()
	log := g.logger.With(slog.String("why", why))
	log.Info("stopping: readiness is off, connections are still accepted", "lameDuck", times.LameDuck, "active", g.active())
	if g.wait(nil, times.LameDuck.Std()) == waitForced {
		return g.forced()
	}
	g.traffic.close()
	g.health.Close() // a Watch has no end of its own to wait for
	g.http1.Drain()
	g.http2.Drain()
	draining := time.Now()
	log.Info("no more connections are accepted; waiting for requests to finish", "drain", times.Drain, "active", g.active())
	switch g.wait(g.slots.empty(), times.Drain.Std()) {
	case waitForced:
		return g.forced()
	case waitTimeout:
		cut = g.active()
		log.Warn("cutting the requests that did not finish in time", "active", cut, took(draining))
		return cut
	}
	log.Info("every request has finished", took(draining))
	return 0
}

// active is the number of requests underway.
func (g *Gateway) active() int { return g.http1.Active() + g.http2.Active() }

func (g *Gateway) forced() (cut int) {
	g.hurried.Store(true)
	cut = g.active()
	g.logger.Warn("second signal: ending at once, without waiting for requests", "active", cut)
	return cut
}

// waited says what ended a wait.
type waited uint8

const (
	waitDone waited = iota
	waitTimeout
	waitForced // a second signal
)

func (g *Gateway) wait(done <-chan struct{}, most time.Duration) waited {
	timeout := g.after(most)
	for {
		select {
		case <-done:
			return waitDone
		case <-timeout:
			return waitTimeout
		case s := <-g.options.Signals:
			if s != syscall.SIGHUP {
				return waitForced
			}
		}
	}
}
