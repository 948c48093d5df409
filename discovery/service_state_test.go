package discovery

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/penstock/penstock/config"
)

// service is Service models/llama with port http at 80.
func service(change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "llama", Namespace: "models"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "llama"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func selecting(app string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": app} }
}

func withPorts(ports ...corev1.ServicePort) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Ports = ports }
}

// world is a state and the clock by which it is resolved.
type world struct {
	serviceState
	t   *testing.T
	now time.Time
}

func newWorld(t *testing.T, port string) *world {
	return &world{t: t, now: time.Unix(1e9, 0), serviceState: serviceState{config: config.Service{Namespace: "models", Name: "llama", Port: port, Scheme: "auto"}}}
}

func (w *world) slice(s *discoveryv1.EndpointSlice) { w.setSlice(readSlice(s), false) }

func (w *world) all(slices ...*discoveryv1.EndpointSlice) {
	read := make(map[string]*slice)
	for _, s := range slices {
		read[s.Name] = readSlice(s)
	}
	w.replaceSlices(read)
}

// expect checks the endpoints that the pool is to have and what is within the problem.
func (w *world) expect(when, endpoints, problem string) {
	w.t.Helper()
	f, err := w.resolve(w.now)
	if f == nil {
		w.t.Fatalf("%s: nothing is known", when)
	}
	if got := text(f.endpoints, f.conditions); got != endpoints {
		w.t.Errorf("%s: endpoints are %q, want %q", when, got, endpoints)
	}
	if kept := err != nil && strings.Contains(err.Error(), "stay in use until"); f.kept != kept {
		w.t.Errorf("%s: kept is %v beside the problem %v", when, f.kept, err)
	}
	switch {
	case err == nil && problem != "" || err != nil && problem == "":
		w.t.Errorf("%s: the problem is %v, want %q", when, err, problem)
	case err != nil && !strings.Contains(err.Error(), problem):
		w.t.Errorf("%s: the problem is %q, want %q within", when, err, problem)
	}
}

const (
	one    = "http://10.0.0.1:8000 1 0"
	staysA = "; its last 1 endpoints stay in use until there are ready ones again"
)

func TestNothingIsKnownUntilBothWatchesHaveSpoken(t *testing.T) {
	w := newWorld(t, "")
	if f, err := w.resolve(w.now); f != nil || err != nil {
		t.Errorf("got %v and %v at the start", f, err)
	}
	w.all()
	if f, err := w.resolve(w.now); f != nil || err != nil {
		t.Errorf("got %v and %v before the Service is known", f, err)
	}
	w.setService(service())
	w.expect("a Service whose pods have not started", "", "")
}

// started is a world with one ready endpoint.
func started(t *testing.T, port string) *world {
	w := newWorld(t, port)
	w.setService(service())
	w.all(sliceOf("a", pod("1", "10.0.0.1", "rs")))
	w.expect("start", one, "")
	return w
}

func TestScaledToZero(t *testing.T) {
	w := started(t, "")
	w.slice(sliceOf("a", pod("1", "10.0.0.1", "st")))
	w.expect("terminating", "http://10.0.0.1:8000 1 2", "")
	w.slice(sliceOf("a"))
	w.expect("gone", "", "")
	empty := sliceOf("a")
	empty.Ports = nil
	w.slice(empty)
	w.expect("as Kubernetes leaves it", "", "")
	w.slice(sliceOf("a", pod("2", "10.0.0.2", "")))
	w.expect("a new pod loads", "http://10.0.0.2:8000 2 1", "")
}

func TestEveryPodIsNotReady(t *testing.T) {
	w := started(t, "")
	w.slice(sliceOf("a", pod("1", "10.0.0.1", "")))
	w.expect("not ready", "http://10.0.0.1:8000 1 1", "")
}

func TestServiceIsDeleted(t *testing.T) {
	w := started(t, "http")
	w.setService(nil)
	w.expect("the Service goes first", one, "there is no Service models/llama; create it, or correct the pool's service")
	w.setSlice(readSlice(sliceOf("a")), true)
	w.expect("then its slices", one, staysA)
	w.setService(service())
	w.expect("it comes back, and nothing is ready", "", "")
	w.slice(sliceOf("b", pod("1", "10.0.0.1", "rs")))
	w.expect("and its slices", one, "")
}

// The two watches are two streams: what explains a loss may come after it.
func TestServiceIsDeletedAndItsSlicesGoFirst(t *testing.T) {
	w := started(t, "")
	w.setSlice(readSlice(sliceOf("a")), true)
	w.expect("the slices go first", "", "")
	w.now = w.now.Add(time.Second)
	w.setService(nil)
	w.expect("then the Service", one, "there is no Service models/llama")
}

func TestServiceIsDeletedLongAfterItsPods(t *testing.T) {
	w := started(t, "")
	w.slice(sliceOf("a"))
	w.expect("scaled to zero", "", "")
	w.now = w.now.Add(time.Minute)
	w.setService(nil)
	w.expect("and deleted", "", "there is no Service models/llama")
}

func TestServiceThatNeverWas(t *testing.T) {
	w := newWorld(t, "http")
	w.all()
	w.setService(nil)
	w.expect("start", "", "there is no Service models/llama; create it, or correct the pool's service")
}

func TestServiceLosesItsPort(t *testing.T) {
	w := started(t, "http")
	w.setService(service(withPorts(corev1.ServicePort{Name: "web", Port: 80})))
	w.expect("renamed", one, "Service models/llama has no port http; it has web (80)"+staysA)
	renamed := sliceOf("a", pod("1", "10.0.0.1", "rs"))
	renamed.Ports[0].Name = new("web")
	w.slice(renamed)
	w.expect("the slices follow", one, "has no port http")
	w.setService(service(withPorts(corev1.ServicePort{Name: "http", Port: 80})))
	w.expect("the Service has it again, the slices do not yet", one, "Service models/llama has endpoints, and none has port http; the pods' containers must have the port that the Service's targetPort names"+staysA)
	w.slice(sliceOf("a", pod("1", "10.0.0.1", "rs"), pod("2", "10.0.0.2", "rs")))
	w.expect("all is well", one+"; http://10.0.0.2:8000 2 0", "")
}

// The same pods have the label that is now asked for: a later loss of them has nothing to do with it.
func TestSelectorThatSelectsTheSame(t *testing.T) {
	w := started(t, "")
	w.setService(service(selecting("lama")))
	w.expect("changed", one, "")
	w.now = w.now.Add(reselecting)
	w.slice(sliceOf("a"))
	w.expect("much later, without grace", "", "")
}

func TestSelectorIsChanged(t *testing.T) {
	w := started(t, "")
	w.setService(service(selecting("qwen")))
	w.slice(sliceOf("a", pod("2", "10.0.0.2", "rs")))
	w.expect("other pods", "http://10.0.0.2:8000 2 0", "")
	w.slice(sliceOf("a"))
	w.expect("which go away", "", "")
}

func TestSelectorIsChangedToNothing(t *testing.T) {
	w := started(t, "")
	w.setService(service(selecting("lama")))
	w.expect("the slices have not changed yet", one, "")
	w.slice(sliceOf("a"))
	w.expect("nothing is selected", one, "Service models/llama now selects pods by app=lama, and none of them is ready"+staysA)
	w.now = w.now.Add(time.Hour)
	w.expect("nothing is selected", one, "Service models/llama now selects pods by app=lama, and none of them is ready"+staysA)
	w.slice(sliceOf("a", pod("2", "10.0.0.2", "")))
	w.expect("a pod that loads", one, "none of them is ready")
	w.slice(sliceOf("a", pod("2", "10.0.0.2", "rs")))
	w.expect("it is ready", "http://10.0.0.2:8000 2 0", "")
}

func TestPorts(t *testing.T) {
	both := withPorts(corev1.ServicePort{Name: "http", Port: 80}, corev1.ServicePort{Name: "grpc", Port: 9000}, corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP})
	for _, c := range []struct {
		name, port string
		service    *corev1.Service
		endpoints  string
		problem    string
	}{
		{"by name", "http", service(both), one, ""},
		{"by number", "80", service(both), one, ""},
		{"a number that none has", "8000", service(both), "", "Service models/llama has no port 8000; it has http (80), grpc (9000)"},
		{"which one is meant", "", service(both), "", "Service models/llama has more than one port: http (80), grpc (9000); say which one is meant, as port: NAME"},
		{"no TCP port", "", service(withPorts()), "", "Service models/llama has no TCP port; give it the one at which its pods serve"},
		{"another name", "", service(withPorts(corev1.ServicePort{Name: "x", Port: 80})), "", "has endpoints, and none has port x"},
		{"ExternalName", "http", service(func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "llama.example.com"
		}), "", "Service models/llama is of type ExternalName, which has no endpoints; use dns: {name: llama.example.com, port: PORT} instead"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.port)
			w.all(sliceOf("a", pod("1", "10.0.0.1", "rs")))
			w.setService(c.service)
			w.expect("start", c.endpoints, c.problem)
		})
	}
}

func TestServiceWithoutSelector(t *testing.T) {
	w := newWorld(t, "")
	w.all()
	w.setService(service(func(s *corev1.Service) { s.Spec.Selector = nil }))
	w.expect("start", "", "Service models/llama has no selector, and nobody has given it endpoints")
	w.slice(sliceOf("mine", pod("", "10.0.0.1", "-")))
	w.expect("somebody has", "http://10.0.0.1:8000  0", "")
}

func TestOddSliceBesideGoodOnes(t *testing.T) {
	w := newWorld(t, "")
	w.setService(service())
	odd := pod("2", "nonsense", "rs")
	w.all(sliceOf("a", pod("1", "10.0.0.1", "rs")), sliceOf("b", odd))
	w.expect("start", one, `EndpointSlice b: endpoint 0 has the address "nonsense"`)
	w.slice(sliceOf("a", odd))
	w.expect("nothing but odd ones", one, "EndpointSlice a: endpoint 0 has the address")
}

// A slice that never made sense is no reason to keep what went away for good.
func TestScaledToZeroBesideAnOddSlice(t *testing.T) {
	w := newWorld(t, "")
	w.setService(service())
	odd := sliceOf("b", pod("2", "llama.example.com", "rs"))
	odd.AddressType = discoveryv1.AddressTypeFQDN
	w.all(sliceOf("a", pod("1", "10.0.0.1", "rs")), odd)
	w.expect("start", one, "EndpointSlice b has addresses of type FQDN")
	w.slice(sliceOf("a"))
	w.expect("scaled to zero", "", "EndpointSlice b has addresses of type FQDN")
}

// A slice goes on saying when its last change was. Only the first time is news, and what there was at the start is none.
func TestTriggerTimes(t *testing.T) {
	at := func(second int64) *discoveryv1.EndpointSlice {
		s := sliceOf("a", pod("1", "10.0.0.1", "rs"))
		s.Annotations = map[string]string{corev1.EndpointsLastChangeTriggerTime: time.Unix(second, 0).UTC().Format(time.RFC3339Nano)}
		return s
	}
	w := newWorld(t, "")
	w.setService(service())
	expect := func(when string, want int64) {
		t.Helper()
		f, _ := w.resolve(w.now)
		if got := f.changed; got.IsZero() != (want == 0) || want != 0 && got.Unix() != want {
			t.Errorf("%s: changed at %v, want %d", when, got, want)
		}
	}
	w.all(at(100))
	expect("start", 0)
	w.slice(at(100))
	expect("again", 0)
	w.slice(at(200))
	expect("news", 200)
	expect("told", 0)
	w.all(at(300))
	expect("news of a list", 300)
	odd := at(400)
	odd.Annotations[corev1.EndpointsLastChangeTriggerTime] = "yesterday"
	w.slice(odd)
	expect("nonsense", 0)
}

func TestSettingsOfTheService(t *testing.T) {
	w := started(t, "")
	w.setService(service(func(s *corev1.Service) { s.Annotations = map[string]string{SettingsAnnotation: "engine: vllm"} }))
	expect := func(when, want string) {
		t.Helper()
		if f, _ := w.resolve(w.now); f.settings != want {
			t.Errorf("%s: settings are %q, want %q", when, f.settings, want)
		}
	}
	if f, err := w.resolve(w.now); err != nil || f.settings != "engine: vllm" || text(f.endpoints, f.conditions) != one {
		t.Errorf("got %+v and %v", f, err)
	}
	w.setService(nil)
	w.all()
	expect("the Service is deleted: its endpoints stay, and so do they", "engine: vllm")
	w.setService(service(withPorts(corev1.ServicePort{Name: "a", Port: 1}, corev1.ServicePort{Name: "b", Port: 2})))
	expect("a Service without any", "")
}
