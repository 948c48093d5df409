package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/discovery/kube/kubetest"
)

const ofService = "pools:\n  main:\n    service: {namespace: models, name: llama}\n"

func llamaService(settings string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "models", Name: "llama", Annotations: map[string]string{discovery.SettingsAnnotation: settings}},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "llama"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

// llamaSlice is an EndpointSlice of an endpoint at an address.
func llamaSlice(t *testing.T, address string, c discoveryv1.EndpointConditions) *discoveryv1.EndpointSlice {
	t.Helper()
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "models", Name: "llama-" + portText, Labels: map[string]string{discoveryv1.LabelServiceName: "llama"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(port))}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{host}, Conditions: c, TargetRef: &corev1.ObjectReference{UID: types.UID(address)}}},
	}
}

var (
	isReady     = discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true)}
	isNotReady  = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false)}
	terminating = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(true), Terminating: new(true)}
)

func (r *running) expectReadyz(when string, status int, text string) {
	r.t.Helper()
	if got, body := r.admin("/readyz"); got != status || !strings.Contains(body, text) {
		r.t.Errorf("%s: /readyz says %d %s, want %d %s", when, got, body, status, text)
	}
}

func TestServiceTakesRequests(t *testing.T) {
	a, b := answering(t, "a"), answering(t, "b")
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Set(llamaService(""), llamaSlice(t, a, isReady))
	r := start(t, ofService)
	r.logs.await(t, "endpoints are discovered pool=main", 1)
	r.expectReadyz("known", 200, "ok")
	r.expectSaid("the first endpoint", "200 a")
	s.Set(llamaSlice(t, b, isReady))
	r.awaitStates("ready ready")
	s.Set(llamaSlice(t, a, terminating))
	r.awaitStates("draining ready", "ready draining")
	r.expectSaid("the first one terminates", "200 b")
	s.Set(llamaSlice(t, b, isNotReady))
	r.awaitStates("draining not-ready", "not-ready draining")
	r.expectSaid("rather the one that terminates than the one that is not ready", "200 a")
	s.Delete(llamaSlice(t, a, terminating))
	s.Set(llamaSlice(t, b, isReady))
	r.awaitStates("ready", "ready draining") // the request to the first one may not be over yet
	r.expectSaid("the second one alone", "200 b")
}

// awaitStates waits until the endpoints of the pool main have one of these lists of states.
func (r *running) awaitStates(any ...string) {
	r.t.Helper()
	for change := 1; ; change++ {
		r.logs.await(r.t, "endpoints have changed pool=main", change)
		var states []string
		for _, e := range r.dispatcher.Pool("main").Endpoints() {
			states = append(states, e.State().String())
		}
		if slices.Contains(any, strings.Join(states, " ")) {
			return
		}
	}
}

// A gateway that knows nothing yet must not take the place of one that does.
func TestNotReadyUntilEndpointsAreKnown(t *testing.T) {
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Set(llamaService(""))
	s.Down()
	r := start(t, ofService)
	r.logs.await(t, "something is wrong with where endpoints are discovered; the last ones stay pool=main", 1)
	r.expectReadyz("the API server is away", 503, "waiting for the endpoints of main to be discovered")
	s.Up()
	r.logs.await(t, "endpoints are discovered pool=main", 1)
	r.expectReadyz("it is back", 200, "ok")
	s.Down()
	r.logs.await(t, "something is wrong with where endpoints are discovered", 2)
	r.expectReadyz("it is away again", 200, "ok")
}

// Waiting would not help, and other pools are there to be served.
func TestReadyWhereDiscoveryIsForbidden(t *testing.T) {
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Refuse("endpointslices", 403)
	s.Set(llamaService(""))
	r := start(t, ofService)
	r.logs.await(t, "the gateway's service account is not allowed to list endpointslices.discovery.k8s.io there", 1)
	r.expectReadyz("forbidden", 200, "ok")
}

func TestSettingsOfServices(t *testing.T) {
	a := answering(t, "a")
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Set(llamaService("maxInFlight: 7\nbalance: random\n"), llamaSlice(t, a, isReady))
	r := start(t, ofService+"    balance: round-robin\n")
	r.logs.await(t, "settings of pools' Services applied", 1)
	expect := func(when string, most int) {
		t.Helper()
		if p := r.dispatcher.Pool("main").Config(); p.MaxInFlight != most || p.Balance != "round-robin" {
			t.Errorf("%s: maxInFlight %d and balance %s", when, p.MaxInFlight, p.Balance)
		}
	}
	expect("the file wins", 7)
	s.Set(llamaService("maxInFlight: lots"))
	r.logs.await(t, "cannot use the settings of a pool's Service: the last ones stay pool=main error=the annotation penstock.io/pool:1:14: maxInFlight", 1)
	expect("nonsense", 7)
	s.Set(llamaService("maxInFlight: 9"))
	r.logs.await(t, "settings of pools' Services applied", 2)
	expect("changed", 9)
	// A reload brings them along, and leaves the watches alone.
	r.configure(ofService + "    balance: round-robin\n    slowStart: 1s\n")
	r.logs.await(t, "configuration applied", 1)
	expect("after a reload", 9)
	s.Set(llamaService(""))
	r.logs.await(t, "settings of pools' Services applied", 3)
	expect("gone", 0)
	if n := r.logs.count("endpoints are discovered"); n != 1 {
		t.Errorf("endpoints were discovered anew %d times", n-1)
	}
	r.expectSaid("all along", "200 a")
}

// Settings can be right by themselves and not beside what the file says. Then neither the file nor other pools' settings are to suffer.
func TestSettingsThatDoNotGoWithTheFile(t *testing.T) {
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	other := llamaService("maxInFlight: 3")
	other.Name = "qwen"
	s.Set(llamaService("session: {header: x-user}\nmaxInFlight: 7"), other)
	file := func(more string) string {
		return ofService + more + "  other:\n    service: {namespace: models, name: qwen}\nroutes: [{split: [{pool: main}]}]\n"
	}
	r := start(t, file("    balance: random\n"))
	expect := func(when string, main, other int, balance string) {
		t.Helper()
		m, o := r.dispatcher.Pool("main").Config(), r.dispatcher.Pool("other").Config()
		if m.MaxInFlight != main || o.MaxInFlight != other || m.Balance != balance {
			t.Errorf("%s: maxInFlight %d and %d, balance %s; want %d and %d, %s", when, m.MaxInFlight, o.MaxInFlight, m.Balance, main, other, balance)
		}
	}
	r.logs.await(t, "pools.main.session: has no meaning for balance: random", 1)
	r.logs.await(t, "settings of pools' Services applied", 1)
	expect("at the start", 0, 3, "random")
	r.configure(file(""))
	r.logs.await(t, "configuration applied", 1)
	expect("the file gives way", 7, 3, "auto")
	told := r.logs.count("beside the configuration")
	r.configure(file("    maxInFlight: 8\n"))
	r.logs.await(t, "configuration applied", 2)
	expect("and wins", 8, 3, "auto")
	if n := r.logs.count("beside the configuration"); n != told {
		t.Errorf("settings that can be used were refused %d times", n-told)
	}
	r.configure(file("    balance: round-robin\n    slowStart: 1s\n"))
	r.logs.await(t, "configuration applied", 3)
	expect("the file does not any more", 0, 3, "round-robin")
	r.configure(file("    balance: round-robin\n    slowStart: nonsense\n"))
	r.logs.await(t, "cannot apply the configuration: the old one stays in force", 1)
}

// What a Service says of a pool ends with the pool's being of that Service.
func TestSettingsEndWithTheSource(t *testing.T) {
	a := answering(t, "a")
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Set(llamaService("maxInFlight: 7"), llamaSlice(t, a, isReady))
	r := start(t, ofService)
	r.logs.await(t, "settings of pools' Services applied", 1)
	r.configure(pool(a))
	r.logs.await(t, "settings of pools' Services applied", 2)
	if n := r.dispatcher.Pool("main").Config().MaxInFlight; n != 0 {
		t.Errorf("a pool whose endpoints are listed has maxInFlight %d of the Service that it had", n)
	}
}

// The last pool that was waited for may be one that the configuration no longer has.
func TestReadyWhenNothingIsWaitedForAnyMore(t *testing.T) {
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Set(llamaService(""))
	s.Down()
	r := start(t, ofService)
	w := watchHealth(t, r, "")
	w.expect("while the API server is away", notServing)
	r.configure(pool(answering(t, "b")))
	w.expect("without a pool to discover", serving)
}

func TestDiscoveryMetrics(t *testing.T) {
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Set(llamaService(""), llamaSlice(t, answering(t, "a"), isReady))
	r := start(t, ofService)
	r.logs.await(t, "endpoints are discovered pool=main", 1)
	expect := func(when string, series map[string]string) {
		t.Helper()
		for name, want := range series {
			if got := r.metric(name); got != want {
				t.Errorf("%s: %s is %q, want %q", when, name, got, want)
			}
		}
	}
	expect("known", map[string]string{`penstock_discovery_up{pool="main"}`: "1", `penstock_discovery_updates_total{pool="main"}`: "1", `penstock_discovery_troubles_total{pool="main"}`: "0"})
	s.Down()
	r.logs.await(t, "something is wrong with where endpoints are discovered", 1)
	expect("away", map[string]string{`penstock_discovery_up{pool="main"}`: "0", `penstock_endpoints{pool="main",state="ready"}`: "1"})
	r.configure(fmt.Sprintf("pools: {main: {endpoints: [\"http://%s\"]}}\n", answering(t, "b")))
	r.logs.await(t, "configuration applied", 1)
	expect("listed", map[string]string{`penstock_discovery_up{pool="main"}`: ""})
}

// TestKeptEndpointsThatDie has a Service deleted, and then the pods that stay in use for that: requests wait for others, instead of all being sent to
// the last one that died.
func TestKeptEndpointsThatDie(t *testing.T) {
	pods := []*httptest.Server{httptest.NewServer(http.NotFoundHandler()), httptest.NewServer(http.NotFoundHandler())}
	s := kubetest.New(t)
	s.SetKubeconfig(t)
	s.Set(llamaService(""))
	for _, p := range pods {
		defer p.Close()
		s.Set(llamaSlice(t, p.Listener.Addr().String(), isReady))
	}
	r := start(t, ofService+"    queue: {timeout: 50ms}\n    eject: {consecutiveFailures: 1, baseTime: 1h, maxTime: 1h}\n    balance: round-robin\n")
	r.awaitStates("ready ready")
	s.Delete(llamaService(""))
	for _, p := range pods {
		s.Delete(llamaSlice(t, p.Listener.Addr().String(), isReady))
	}
	r.logs.await(t, "its last 2 endpoints stay in use until there are ready ones again", 1)
	r.expectSaid("deleted, and its pods are there", "404 404 page not found\n")
	for _, p := range pods {
		p.Close()
	}
	r.said("/") // finds out
	for range 3 {
		if got := r.said("/"); !strings.HasPrefix(got, "503 ") || !strings.Contains(got, `"code":"no_endpoint"`) {
			t.Errorf("with its pods gone, a request gets %s", got)
		}
	}
	a := answering(t, "a")
	s.Set(llamaService(""), llamaSlice(t, a, isReady))
	r.awaitStates("ready", "ready draining", "draining ready", "draining ready draining", "draining draining ready", "ready draining draining")
	r.expectSaid("it is back, with another pod", "200 a")
}
