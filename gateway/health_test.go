package gateway

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock/penstock/discovery"
)

// watcher is a client that watches a name, without the engine in between.
type watcher struct {
	t      testing.TB
	name   string
	told   chan grpc_health_v1.HealthCheckResponse_ServingStatus
	ended  chan codes.Code
	cancel context.CancelFunc
}

func watchHealth(t testing.TB, r *running, name string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{t, name, make(chan grpc_health_v1.HealthCheckResponse_ServingStatus), make(chan codes.Code, 1), cancel}
	request, err := proto.Marshal(&grpc_health_v1.HealthCheckRequest{Service: name})
	if err != nil {
		t.Fatal(err)
	}
	recv := func() ([]byte, error) {
		if request == nil {
			return nil, io.EOF
		}
		m := request
		request = nil
		return m, nil
	}
	send := func(data []byte) error {
		var m grpc_health_v1.HealthCheckResponse
		if err := proto.Unmarshal(data, &m); err != nil {
			return err
		}
		select {
		case w.told <- m.Status:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	go func() {
		code, _ := r.health.Serve(ctx, "Watch", recv, send)
		w.ended <- codes.Code(code)
	}()
	t.Cleanup(cancel)
	return w
}

// expect waits for what is told next.
func (w *watcher) expect(when string, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	w.t.Helper()
	select {
	case got := <-w.told:
		if got != want {
			w.t.Fatalf("%s: a watcher of %q is told %v, want %v", when, w.name, got, want)
		}
	case code := <-w.ended:
		w.t.Fatalf("%s: the watch of %q ended with %v", when, w.name, code)
	case <-time.After(patience):
		w.t.Fatalf("%s: a watcher of %q is told nothing, want %v", when, w.name, want)
	}
}

func (w *watcher) expectEnd(want codes.Code) {
	w.t.Helper()
	select {
	case got := <-w.ended:
		if got != want {
			w.t.Errorf("the watch of %q ended with %v, want %v", w.name, got, want)
		}
	case <-time.After(patience):
		w.t.Errorf("the watch of %q did not end", w.name)
	}
}

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	unknown    = grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
)

func TestHealthStateNamesPoolsAndModels(t *testing.T) {
	up := answering(t, "up")
	// Pool down is probed, and answers no probe with a success.
	var unwell atomic.Int64
	unwell.Store(http.StatusServiceUnavailable)
	down := probed(t, "down", &unwell)
	r := start(t, fmt.Sprintf(`
pools:
  up: {endpoints: ["http://%s"]}
  down: {endpoints: ["http://%s"], probe: {path: /up, interval: 10s}}
  same: {endpoints: ["http://%[2]s"], probe: {path: /up, interval: 10s}}
routes:
  - {match: {model: both}, split: [{pool: up, weight: 1}, {pool: down, weight: 9}]}
  - {match: {model: cold}, split: [{pool: up, weight: 0}, {pool: down, weight: 1}]}
  - {match: {model: twice, path: /a}, split: [{pool: down}]}
  - {match: {model: twice, path: /b}, split: [{pool: up}]}
  - {match: {model: same}, split: [{pool: up}]}
  - {match: {grpcService: inference.Service}, split: [{pool: up}], mirror: {pool: down, percent: 1}}
  - {match: {model: mirrored}, split: [{pool: down}], mirror: {pool: up, percent: 1}}
`, up, down))
	want := map[string]bool{
		"": true, "up": true, "down": false, "same": false, "both": true, "cold": false, "twice": true, "inference.Service": true, "mirrored": false,
	}
	if got := r.healthState(); !maps.Equal(got, want) {
		t.Errorf("while serving the state is %v, want %v", got, want)
	}
	r.signals <- os.Interrupt
	r.timer().end()
	for name, is := range r.healthState() {
		if is {
			t.Errorf("in the drain %q is serving", name)
		}
	}
}

// Watchers are told when the gateway starts, drains and ends.
func TestWatchersSeeTheGatewaysLife(t *testing.T) {
	address, goOn := streaming(t)
	r := start(t, pool(address)+"shutdown: {lameDuck: 7s, drain: 1m}\n")
	gateway, main := watchHealth(t, r, ""), watchHealth(t, r, "main")
	gateway.expect("while serving", serving)
	main.expect("while serving", serving)
	_, lines := openStream(t, r)
	r.signals <- os.Interrupt
	lameDuck := r.timer()
	gateway.expect("in the lame duck", notServing)
	main.expect("in the lame duck", notServing)
	lameDuck.end()
	r.timer()
	gateway.expectEnd(codes.Unavailable)
	main.expectEnd(codes.Unavailable)
	close(goOn)
	io.Copy(io.Discard, lines)
	if err := r.wait(); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestWatchersSeeTheStart(t *testing.T) {
	r := start(t, pool(answering(t, "hello")))
	r.enter(phaseStarting)
	w := watchHealth(t, r, "")
	w.expect("while starting", notServing)
	r.enter(phaseServing)
	w.expect("while serving", serving)
}

func TestWatchersSeeProbesAndReloads(t *testing.T) {
	var health atomic.Int64
	health.Store(503)
	first := probed(t, "a", &health)
	probe := "    probe: {path: /up, interval: 10s, healthyAfter: 1, unhealthyAfter: 1}\n"
	route := "routes:\n  - {match: {model: llama}, split: [{pool: main}]}\n"
	r := startEager(t, pool(first)+probe+route)
	main, model, later := watchHealth(t, r, "main"), watchHealth(t, r, "llama"), watchHealth(t, r, "qwen")
	for _, w := range []*watcher{main, model} {
		w.expect("before a probe has passed", notServing)
	}
	later.expect("before it is configured", unknown)
	health.Store(200)
	for _, w := range []*watcher{main, model} {
		w.expect("after a probe has passed", serving)
	}
	health.Store(503)
	for _, w := range []*watcher{main, model} {
		w.expect("after a probe has failed", notServing)
	}
	r.configure(pool(first) + "routes:\n  - {match: {model: qwen}, split: [{pool: main}]}\n")
	model.expect("after a reload without it", unknown)
	later.expect("after a reload with it", serving)
	main.expect("after a reload without probes", serving)
}

// Endpoints that are found, and that leave.
func TestWatchersSeeDiscovery(t *testing.T) {
	r := start(t, "pools:\n  main: {endpoints: [\"http://127.0.0.1:9\"]}\n")
	w := watchHealth(t, r, "main")
	w.expect("with an endpoint", serving)
	if err := r.dispatcher.SetEndpoints("main", nil); err != nil {
		t.Fatal(err)
	}
	w.expect("without endpoints", notServing)
	if err := r.dispatcher.SetEndpoints("main", members(discovery.Set{Endpoints: found(t, "127.0.0.1:9")})); err != nil {
		t.Fatal(err)
	}
	w.expect("with one again", serving)
}
