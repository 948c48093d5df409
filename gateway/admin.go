package gateway

import (
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstock/penstock/gateway/live"
)

// The admin port serves a handful of scrapers and people. No page reads a request's body, of which the standard library skips 256 KiB at the most.
const (
	adminReadTimeout  = 10 * time.Second
	adminWriteTimeout = time.Minute // profiles get as much beyond the time that they were asked to take
	adminIdleTimeout  = 2 * time.Minute
	adminHeaderBytes  = 16 << 10 // the standard library takes 4 KiB more
)

func (g *Gateway) newAdminServer() *http.Server {
	return &http.Server{
		Handler:           g.sheltered(onlyReads(g.adminPaths())),
		ReadHeaderTimeout: adminReadTimeout,
		ReadTimeout:       adminReadTimeout,
		WriteTimeout:      adminWriteTimeout,
		IdleTimeout:       adminIdleTimeout,
		MaxHeaderBytes:    adminHeaderBytes,
		ConnState:         newAdminConns(maxAdminConns).changed,
		ErrorLog:          log.New(&logLines{logger: g.logger}, "", 0),
	}
}

// adminPaths are the paths of the admin port: those of the kubelet's probes for everybody, the others for those who may.
func (g *Gateway) adminPaths() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", serveLive)
	mux.HandleFunc("/readyz", g.serveReady)
	mux.Handle("/", g.guarded(g.adminPages()))
	return mux
}

// adminPages are the paths of the admin port that credentials may be asked for.
func (g *Gateway) adminPages() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{Registry: g.metrics.registry, EnableOpenMetrics: true}))
	for _, path := range live.PagePaths {
		mux.HandleFunc(path, live.ServePage)
	}
	mux.Handle("/debug/live", g.live)
	mux.HandleFunc("/debug/endpoints", g.serveEndpoints)
	mux.HandleFunc("/debug/config", g.serveConfig)
	mux.HandleFunc("/debug/pprof/", g.whereProfiled(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", g.whereProfiled(pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", g.whereProfiled(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", g.whereProfiled(pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", g.whereProfiled(pprof.Trace))
	return mux
}

// onlyReads refuses methods that could be mistaken for changing something.
func onlyReads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the admin port takes GET and HEAD only", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveLive answers /healthz: that it can answer is all there is to say.
func serveLive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// serveReady answers /readyz with 200 while the gateway should get traffic, else with 503 and the reason.
func (g *Gateway) serveReady(w http.ResponseWriter, _ *http.Request) {
	if why := g.notReady(); why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// notReady says why the gateway should not get traffic; empty if it should. From its start on it waits until it has heard where the endpoints of
// every pool are, so that a rollout of the gateway does not go on to replicas that know nothing. After that nothing that discovery meets makes
// it unready.
func (g *Gateway) notReady() string {
	if p := g.phase(); p != phaseServing {
		return p.String()
	}
	if g.knows() {
		return ""
	}
	return "waiting for the endpoints of " + g.sources.waiting() + " to be discovered"
}

// knows says whether every source of endpoints has spoken once.
func (g *Gateway) knows() bool {
	if !g.known.Load() && g.sources.waiting() == "" {
		g.known.Store(true)
	}
	return g.known.Load()
}

// serveConfig answers /debug/config with the configuration that is in force, defaults included and credentials left out.
func (g *Gateway) serveConfig(w http.ResponseWriter, _ *http.Request) {
	text, err := g.config.Load().Redacted().YAML()
	if err != nil {
		http.Error(w, fmt.Sprintf("cannot write the configuration: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	w.Write(text)
}

func (g *Gateway) serveAdmin(l net.Listener) {
	if g.adminAccess.Load().tls != nil {
		l = securedListener{l, &g.adminAccess}
	}
	if err := g.admin.Serve(l); err != http.ErrServerClosed {
		g.logger.Error("the admin port has failed", "error", err)
	}
}

// logLines takes the lines that the standard library logs, most of which tell of handshakes that failed.
type logLines struct {
	logger *slog.Logger
	limit  logLimit
}

// Write logs a line, unless there are too many.
func (l *logLines) Write(line []byte) (int, error) {
	if ok, more := l.limit.allow(time.Now()); ok {
		l.logger.Warn("admin port: "+strings.TrimSpace(string(line)), "more", more)
	}
	return len(line), nil
}
