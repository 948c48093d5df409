package conformance

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gateway is a running penstock.
type gateway struct {
	*process
	addr, admin string // host:port of the traffic and the admin port
	stopped     bool   // the test stops it itself
}

// quickStop are the sections that every gateway here has but those whose tests are about stopping.
const quickStop = "shutdown: {lameDuck: 0s, drain: 10s}\n"

// startGateway runs a gateway on free ports and waits until it is ready. pools is the configuration without ports. At the test's end the
// gateway is stopped, which must cut no request.
func startGateway(t testing.TB, p *program, pools string) *gateway {
	t.Helper()
	return startGatewayAt(t, p, "127.0.0.1:0", pools)
}

func startGatewayAt(t testing.TB, p *program, listen, pools string) *gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	text := "listen: " + listen + "\nadmin: 127.0.0.1:0\naccessLog: {enabled: false}\n" + pools
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gateway{process: start(t, p, nil, "serve", "--config", file)}
	var line struct{ Listen, Admin string }
	if err := json.Unmarshal([]byte(g.said.await(t, `{.*"msg":"serving".*}`)[0]), &line); err != nil {
		t.Fatal(err)
	}
	g.addr, g.admin = line.Listen, line.Admin
	awaitReady(t, g)
	t.Cleanup(func() { g.stop(t) })
	return g
}

// awaitReady asks /readyz until it answers 200.
func awaitReady(t testing.TB, g *gateway) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for timeout := time.After(patience); ; {
		answer, err := client.Get("http://" + g.admin + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-again.C:
		case <-timeout:
			t.Fatalf("the gateway did not get ready: %v; it said:\n%s", err, g.said)
		}
	}
}

// stop stops the gateway gracefully, if that was not done, and looks at how it ended.
func (g *gateway) stop(t testing.TB) {
	t.Helper()
	if g.stopped {
		return
	}
	g.stopped = true
	g.signal(t, syscall.SIGTERM)
	code := g.exitCode(t)
	if said := g.said.String(); code != 0 || strings.Contains(said, "DATA RACE") || strings.Contains(said, `"level":"ERROR"`) {
		t.Errorf("the gateway ended with code %d, want 0 without errors and races; it said:\n%s", code, said)
	}
}
