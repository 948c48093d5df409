package gateway

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
)

// probed is a model server that answers probes with a status that the test sets, and requests with its name.
func probed(t testing.TB, name string, health *atomic.Int64) string {
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/up" {
			w.WriteHeader(int(health.Load()))
			return
		}
		fmt.Fprint(w, name)
	})
}

// startEager is start with probes as often as no sensible configuration would have them.
func startEager(t testing.TB, yaml string) *running {
	t.Helper()
	eager := func(c *config.Config) {
		for _, p := range c.Pools {
			if p.Probe != nil {
				p.Probe.Interval = config.Duration(5 * time.Millisecond)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	writeFile(t, path, []byte(onLoopback(yaml)))
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	eager(c)
	r := newRunning(t, c, path)
	r.options.Override = eager
	r.run()
	return r
}

func TestUnhealthyEndpointsTakeNoRequests(t *testing.T) {
	var a, b atomic.Int64
	a.Store(200)
	b.Store(503)
	first, second := probed(t, "a", &a), probed(t, "b", &b)
	probe := "    probe: {path: /up, interval: 10s, healthyAfter: 1, unhealthyAfter: 1}\n"
	r := startEager(t, pool(first, second)+probe)
	r.logs.await(t, "endpoint is healthy endpoint="+first, 1)
	for range 4 {
		r.expectSaid("while b is not healthy", "200 a")
	}
	b.Store(200)
	r.logs.await(t, "endpoint is healthy endpoint="+second, 1)
	a.Store(500)
	r.logs.await(t, "endpoint is unhealthy endpoint="+first, 1)
	for range 4 {
		r.expectSaid("while a is not healthy", "200 b")
	}
	// Without probes nobody could find it healthy again.
	r.configure(pool(first, second))
	r.logs.await(t, "configuration applied", 1)
	if got := r.metric(`penstock_endpoints{pool="main",state="ready"}`); got != "2" {
		t.Errorf("%s endpoints are ready without probes, want 2", got)
	}
	// With them again, at another path, the probe's word counts again.
	r.configure(pool(first, second) + "    probe: {path: /elsewhere, interval: 10s}\n")
	r.logs.await(t, "configuration applied", 2)
	b.Store(500)
	if got := len(r.probes.probers["main"].Targets()); got != 2 {
		t.Errorf("%d endpoints are probed, want 2", got)
	}
}

func TestDiscoveredEndpointsAreProbed(t *testing.T) {
	var up atomic.Int64
	up.Store(200)
	first, second := probed(t, "a", &up), probed(t, "b", &up)
	r := startEager(t, pool(first)+"    probe: {path: /up, interval: 10s}\n")
	r.logs.await(t, "endpoint is healthy endpoint="+first, 1)
	s := told{make(chan discovery.Set), make(chan error)}
	r.sources.set([]discovery.Source{s})
	s.sets <- discovery.Set{Pool: "main", Endpoints: found(t, second)}
	r.logs.await(t, "endpoint is healthy endpoint="+second, 1)
	r.expectSaid("after", "200 b")
	// An endpoint that left and comes back is probed anew.
	s.sets <- discovery.Set{Pool: "main", Endpoints: found(t, first, second)}
	r.logs.await(t, "endpoint is healthy endpoint="+first, 2)
}

// Probes tell the first result and changes alone: of a pod that gets another one's address the first has to come anew.
func TestNextPodAtAnAddressIsProbed(t *testing.T) {
	var up atomic.Int64
	up.Store(200)
	a := probed(t, "a", &up)
	r := startEager(t, pool("127.0.0.1:9")+"    probe: {path: /up, interval: 10s}\n")
	s := told{make(chan discovery.Set), make(chan error)}
	r.sources.set([]discovery.Source{s})
	for n, id := range []string{"first", "second"} {
		endpoints := found(t, a)
		endpoints[0].ID = id
		s.sets <- discovery.Set{Pool: "main", Endpoints: endpoints}
		r.logs.await(t, "endpoint is healthy endpoint="+a, n+1)
	}
	r.expectSaid("the second pod", "200 a")
}

func TestProbesOverTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, "", "a.test"))
	// The gateway itself is the endpoint of another one.
	caFile := t.TempDir() + "/ca.crt"
	writeFile(t, caFile, ca.pem)
	front := startEager(t, fmt.Sprintf("pools:\n  main:\n    endpoints: [\"https://%s\"]\n    tls: {ca: %s}\n    probe: {path: /, interval: 10s}\n", r.Addr(), caFile))
	front.logs.await(t, "endpoint is healthy", 1)
	front.expectSaid("through two gateways", "200 hello")
	if models := front.models(); len(models) != 0 {
		t.Errorf("got the models %q from a server without", models)
	}
}
