package discovery

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery/kube/kubetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that should happen at once, or after a watch has waited to ask again.
const patience = 20 * time.Second

// serviceSink is a sink that keeps what it was told until the test takes it.
type serviceSink struct {
	t     *testing.T
	sets  chan Set
	watch chan error
}

func (h *serviceSink) Apply(s Set)                  { h.sets <- s }
func (h *serviceSink) Watching(_ string, err error) { h.watch <- err }

// set returns the next set that comes.
func (h *serviceSink) set() Set {
	h.t.Helper()
	select {
	case s := <-h.sets:
		return s
	case <-time.After(patience):
		h.t.Fatal("no set comes")
	}
	panic("not reached")
}

func (h *serviceSink) setText() string {
	h.t.Helper()
	set := h.set()
	return text(set.Endpoints, set.Conditions)
}

// expectSet waits for a set with these endpoints; those before it may be steps on the way.
func (h *serviceSink) expectSet(when, want string) {
	h.t.Helper()
	var got string
	for range 10 {
		if got = h.setText(); got == want {
			return
		}
	}
	h.t.Fatalf("%s: endpoints are %q, want %q", when, got, want)
}

// expectWatching waits until the source says that all is well, for an empty text, or else what is wrong.
func (h *serviceSink) expectWatching(when, want string) error {
	h.t.Helper()
	for {
		select {
		case err := <-h.watch:
			if err == nil && want == "" || err != nil && want != "" && strings.Contains(err.Error(), want) {
				return err
			}
		case <-time.After(patience):
			h.t.Fatalf("%s: it does not say %q", when, want)
		}
	}
}

// runService runs a source of the pool llama until the end of the test.
func runService(t *testing.T, s *kubetest.Server, c config.Service) *serviceSink {
	t.Helper()
	source, err := newServiceSource("llama", &c, s.Client(), place{})
	if err != nil {
		t.Fatal(err)
	}
	h := &serviceSink{t, make(chan Set, 1000), make(chan error, 1000)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- source.Run(ctx, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		s.Down()
	})
	return h
}

var llamaService = config.Service{Namespace: "models", Name: "llama", Scheme: "auto"}

func TestServiceIsFollowed(t *testing.T) {
	s := kubetest.New(t)
	other := sliceOf("x", pod("9", "10.0.0.9", "rs"))
	other.Labels = nil
	s.Set(service(), sliceOf("a", pod("1", "10.0.0.1", "rs")), other)
	h := runService(t, s, llamaService)
	h.expectSet("start", one)
	h.expectWatching("start", "")
	s.Set(sliceOf("b", pod("2", "10.0.0.2", "rs")))
	h.expectSet("a slice is added", one+"; http://10.0.0.2:8000 2 0")
	s.Set(sliceOf("a", pod("1", "10.0.0.1", "st")))
	h.expectSet("a pod terminates", "http://10.0.0.1:8000 1 2; http://10.0.0.2:8000 2 0")
	s.Delete(sliceOf("a"))
	h.expectSet("a slice is deleted", "http://10.0.0.2:8000 2 0")
	s.Delete(service())
	h.expectWatching("the Service is deleted", "there is no Service models/llama")
	s.Delete(sliceOf("b"))
	s.Set(service(), sliceOf("c", pod("3", "10.0.0.3", "rs")))
	h.expectSet("it is back", "http://10.0.0.3:8000 3 0")
	h.expectWatching("it is back", "")
}

func TestLostWatch(t *testing.T) {
	s := kubetest.New(t)
	s.Set(service(), sliceOf("a", pod("1", "10.0.0.1", "rs")))
	h := runService(t, s, llamaService)
	h.expectSet("start", one)
	h.expectWatching("start", "")
	s.Down()
	err := h.expectWatching("the API server is away", "cannot ")
	if IsFinal(err) {
		t.Errorf("%v is taken to be final", err)
	}
	s.Set(sliceOf("a", pod("1", "10.0.0.1", "rs"), pod("2", "10.0.0.2", "rs")))
	s.Up()
	h.expectSet("it is back", one+"; http://10.0.0.2:8000 2 0")
	h.expectWatching("it is back", "")
	s.Set(sliceOf("a", pod("2", "10.0.0.2", "rs")))
	h.expectSet("changes are seen again", "http://10.0.0.2:8000 2 0")
}

// What happened while nobody looked comes with a list. It must show all changes at once: no endpoint may seem to be gone in between.
func TestExpiredWatch(t *testing.T) {
	s := kubetest.New(t)
	s.Set(service(), sliceOf("a", pod("1", "10.0.0.1", "rs")), sliceOf("b", pod("2", "10.0.0.2", "rs")))
	h := runService(t, s, llamaService)
	h.expectSet("start", one+"; http://10.0.0.2:8000 2 0")
	h.expectWatching("start", "")
	s.Refuse("endpointslices", http.StatusServiceUnavailable)
	h.expectWatching("refused", "endpointslices in namespace models")
	s.Expire()
	s.Delete(sliceOf("a"))
	s.Delete(sliceOf("b"))
	s.Set(sliceOf("c", pod("2", "10.0.0.2", "rs"), pod("1", "10.0.0.1", "rs"), pod("3", "10.0.0.3", "rs")))
	s.Refuse("endpointslices", 0)
	if got, want := h.setText(), one+"; http://10.0.0.2:8000 2 0; http://10.0.0.3:8000 3 0"; got != want {
		t.Errorf("after a new list: %q, want %q", got, want)
	}
}

func TestForbidden(t *testing.T) {
	for resource, want := range map[string]string{
		"endpointslices": "cannot list endpointslices in namespace models: the gateway's service account is not allowed to list endpointslices.discovery.k8s.io there; " +
			"give it a Role in namespace models with the verbs get, list and watch on endpointslices.discovery.k8s.io",
		"services": "cannot list services in namespace models: the gateway's service account is not allowed to list services there; " +
			"give it a Role in namespace models with the verbs get, list and watch on services",
	} {
		t.Run(resource, func(t *testing.T) {
			s := kubetest.New(t)
			s.Set(service(), sliceOf("a", pod("1", "10.0.0.1", "rs")))
			s.Refuse(resource, http.StatusForbidden)
			h := runService(t, s, llamaService)
			if err := h.expectWatching("start", want); !IsFinal(err) {
				t.Errorf("%v is not taken to be final", err)
			}
			s.Refuse(resource, 0)
			h.expectSet("allowed", one)
			h.expectWatching("allowed", "")
			s.Refuse(resource, http.StatusForbidden)
			h.expectWatching("no longer allowed", "is not allowed to ")
			if len(h.sets) > 0 {
				t.Errorf("the endpoints are now %q", h.setText())
			}
		})
	}
}

func TestOtherRefusals(t *testing.T) {
	s := kubetest.New(t)
	s.Refuse("services", http.StatusUnauthorized)
	h := runService(t, s, llamaService)
	if err := h.expectWatching("start", "the API server does not accept the gateway's credentials"); !IsFinal(err) {
		t.Errorf("%v is not taken to be final", err)
	}
	s.Refuse("services", http.StatusNotFound)
	h.expectWatching("not found", "the API server does not know this kind")
}

func TestSourcesOfServices(t *testing.T) {
	t.Setenv("PENSTOCK_NODE", "")
	t.Setenv("PENSTOCK_ZONE", "")
	kubetest.New(t).SetKubeconfig(t)
	var f Finder
	c := func(s config.Service) *config.Config {
		return &config.Config{Pools: map[string]*config.Pool{"b": {Service: &s}, "a": {Endpoints: []string{"http://127.0.0.1:9000"}}}}
	}
	all, err := f.Sources(c(llamaService))
	if err != nil || len(all) != 1 || all[0].Pool() != "b" {
		t.Fatalf("got %v and %v", all, err)
	}
	again, err := f.Sources(c(llamaService))
	if err != nil || again[0].Key() != all[0].Key() {
		t.Errorf("the same Service has key %q after %q", again[0].Key(), all[0].Key())
	}
	elsewhere := llamaService
	elsewhere.Port = "grpc"
	other, err := f.Sources(c(elsewhere))
	if err != nil || other[0].Key() == all[0].Key() {
		t.Errorf("another port has the same key %q", other[0].Key())
	}
	elsewhere.TopologyHints = true
	if _, err := f.Sources(c(elsewhere)); err == nil || !strings.Contains(err.Error(), "cannot follow topology hints in pool b: neither PENSTOCK_NODE nor PENSTOCK_ZONE") {
		t.Errorf("hints without a place: %v", err)
	}
	t.Setenv("PENSTOCK_NODE", "n")
	if _, err := f.Sources(c(elsewhere)); err != nil {
		t.Error(err)
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", t.TempDir()+"/none")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	var f Finder
	_, err := f.Sources(&config.Config{Pools: map[string]*config.Pool{"a": {Service: &llamaService}}})
	if err == nil || !strings.Contains(err.Error(), "cannot watch the Kubernetes Service models/llama of pool a: cannot find a Kubernetes cluster: not in a pod, and no file that KUBECONFIG names") {
		t.Errorf("got %v", err)
	}
	if errors.Unwrap(err) == nil {
		t.Error("the cause is lost")
	}
}
