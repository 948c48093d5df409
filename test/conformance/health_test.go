package conformance

import (
	"strings"
	"syscall"
	"testing"
)

// The exit codes of grpc_health_probe.
const (
	probeServing    = 0
	probeCallFailed = 3
	probeNotServing = 4
)

func TestHealthProbe(t *testing.T) {
	g := startGateway(t, penstock, `shutdown: {lameDuck: 1m, drain: 10s}
pools:
  llama: {endpoints: ["`+startBackend(t, "h2c")+`"]}
  gone: {endpoints: ["h2c://127.0.0.1:1"], probe: {}}
routes:
  - match: {grpcService: models.Generator}
    split: [{pool: llama}]
  - match: {model: lost}
    split: [{pool: gone}]
`)
	t.Run("serving", func(t *testing.T) {
		expectProbe(t, g, "", probeServing, "status: SERVING")
		expectProbe(t, g, "llama", probeServing, "status: SERVING")
		expectProbe(t, g, "models.Generator", probeServing, "status: SERVING")
		expectProbe(t, g, "gone", probeNotServing, `"NOT_SERVING"`)
		expectProbe(t, g, "lost", probeNotServing, `"NOT_SERVING"`)
		expectProbe(t, g, "none", probeCallFailed, "NotFound")
	})
	g.stopped = true
	g.signal(t, syscall.SIGTERM)
	g.said.await(t, "stopping: readiness is off")
	t.Run("lame duck", func(t *testing.T) {
		expectProbe(t, g, "", probeNotServing, `"NOT_SERVING"`)
		expectProbe(t, g, "llama", probeNotServing, `"NOT_SERVING"`)
	})
	g.signal(t, syscall.SIGTERM)
	if code := g.exitCode(t); code != 0 {
		t.Errorf("the gateway ended with code %d; it said:\n%s", code, g.said)
	}
}

// expectProbe asks the gateway about a service. The probe ends with code and says said.
func expectProbe(t *testing.T, g *gateway, service string, code int, said string) {
	t.Helper()
	got, text := run(t, healthProbe, "-addr", g.addr, "-service", service)
	if got != code || !strings.Contains(text, said) {
		t.Errorf("the probe of %q ended with code %d and said %q, want code %d and %s", service, got, text, code, said)
	}
}
