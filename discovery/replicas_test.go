package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/penstock/penstock/discovery/kube/kubetest"
)

// replicasSink keeps what replicas told until the test takes it.
type replicasSink struct {
	t     *testing.T
	found chan string
	watch chan error
}

// followReplicas follows the pods of Service models/llama until the end of the test. More than three of them cannot be used.
func followReplicas(t *testing.T, s *kubetest.Server) *replicasSink {
	h := &replicasSink{t, make(chan string, 1000), make(chan error, 1000)}
	r := Replicas{
		Client: s.Client(), Namespace: "models", Service: "llama", Port: "http", DefaultPort: "8443",
		Found: func(all []Replica) error {
			if len(all) > 3 {
				return errors.New("there are too many")
			}
			h.found <- replicasText(all)
			return nil
		},
		Watching: func(err error) { h.watch <- err },
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended; s.Down() })
	return h
}

func replicasText(all []Replica) string {
	var list []string
	for _, r := range all {
		list = append(list, fmt.Sprintf("%s %s %v", r.ID, r.Address, r.Serving))
	}
	return strings.Join(list, "; ")
}

func (h *replicasSink) expect(when, want string) {
	h.t.Helper()
	select {
	case got := <-h.found:
		if got != want {
			h.t.Fatalf("%s: replicas are %q, want %q", when, got, want)
		}
	case <-time.After(patience):
		h.t.Fatalf("%s: no replicas come", when)
	}
}

// expectWatching waits until all is well, for an empty text, or else something is wrong; what is told before may be a step on the way.
func (h *replicasSink) expectWatching(when, want string) {
	h.t.Helper()
	for {
		select {
		case err := <-h.watch:
			if err == nil && want == "" || err != nil && want != "" && strings.Contains(err.Error(), want) {
				return
			}
		case <-time.After(patience):
			h.t.Fatalf("%s: it does not say %q", when, want)
		}
	}
}

const first = "1 10.0.0.1:8000 true"

func TestReplicasAreFollowed(t *testing.T) {
	s := kubetest.New(t)
	other := sliceOf("x", pod("9", "10.0.0.9", "rs"))
	other.Labels = nil
	s.Set(sliceOf("a", pod("1", "10.0.0.1", "rs")), other)
	h := followReplicas(t, s)
	h.expect("start", first)
	h.expectWatching("start", "")
	s.Set(sliceOf("b", pod("2", "10.0.0.2", "r")))
	h.expect("one more, which is not ready", first+"; 2 10.0.0.2:8000 false")
	s.Set(sliceOf("a", pod("1", "10.0.0.1", "rst")))
	h.expect("one terminates, and still serves", first+"; 2 10.0.0.2:8000 false")
	s.Delete(sliceOf("b"))
	h.expect("a slice is deleted", first)
	s.Set(sliceOf("a"))
	h.expect("no pods", "")
}

// TestReplicasThatSlicesList has the Service publish addresses that are not ready, so that all are "ready".
func TestReplicasThatSlicesList(t *testing.T) {
	unnamed, noName := sliceOf("b", pod("4", "10.0.0.4", "rs")), sliceOf("c", pod("", "10.0.0.5", "-"))
	unnamed.Ports[0].Name, noName.Ports = new("web"), nil
	six := ipv6(atPort(9443, sliceOf("d", pod("6", "fd00::6", "rst"))))
	bad := sliceOf("e", pod("7", "llama.example.com", "rs"))
	for _, c := range []struct {
		name, want, problem string
		slices              []*discoveryv1.EndpointSlice
	}{
		{"conditions", "1 10.0.0.1:8000 true; 2 10.0.0.2:8000 false; 3 10.0.0.3:8000 true", "", []*discoveryv1.EndpointSlice{
			sliceOf("a", pod("1", "10.0.0.1", "rs"), pod("2", "10.0.0.2", "r"), pod("3", "10.0.0.3", "-"))}},
		{"without the port", "4 10.0.0.4:8443 true;  10.0.0.5:8443 true", "", []*discoveryv1.EndpointSlice{noName, unnamed}},
		{"IPv6", "6 [fd00::6]:9443 true", "", []*discoveryv1.EndpointSlice{six}},
		{"no pods", "", "", []*discoveryv1.EndpointSlice{{}}},
		{"no slices", "", "there are no EndpointSlices of Service models/llama: make it, headless", nil},
		{"one that cannot be read", "", `EndpointSlice e: endpoint 0 has the address "llama.example.com"`, []*discoveryv1.EndpointSlice{six, bad}},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := replicasState{of: &Replicas{Namespace: "models", Service: "llama", Port: "http", DefaultPort: "8443"}, slices: make(map[string]*slice)}
			for _, s := range c.slices {
				if s.AddressType == "" {
					s.AddressType = discoveryv1.AddressTypeIPv4
				}
				one := readSlice(s)
				state.slices[one.name] = one
			}
			all, err := state.list()
			if got := replicasText(all); got != c.want || err == nil && c.problem != "" || err != nil && (c.problem == "" || !strings.Contains(err.Error(), c.problem)) {
				t.Errorf("got %q and %v, want %q and %q", got, err, c.want, c.problem)
			}
		})
	}
}

// TestReplicasThatCannotBeTold stay as they were told last.
func TestReplicasThatCannotBeTold(t *testing.T) {
	s := kubetest.New(t)
	h := followReplicas(t, s)
	h.expectWatching("there is no Service", "there are no EndpointSlices of Service models/llama")
	s.Set(sliceOf("a", pod("1", "10.0.0.1", "rs")))
	h.expect("it is made", first)
	h.expectWatching("it is made", "")
	s.Delete(sliceOf("a"))
	h.expectWatching("it is deleted", "there are no EndpointSlices")
	s.Set(sliceOf("a", pod("1", "10.0.0.1", "rs"), pod("2", "10.0.0.2", "rs"), pod("3", "10.0.0.3", "rs"), pod("4", "10.0.0.4", "rs")))
	h.expectWatching("they cannot be used", "there are too many")
	s.Set(sliceOf("a", pod("1", "10.0.0.1", "rs")))
	h.expect("they can", first)
	h.expectWatching("they can", "")
	s.Refuse("endpointslices", http.StatusForbidden)
	h.expectWatching("forbidden", "cannot list endpointslices in namespace models: the gateway's service account is not allowed to ")
	s.Set(sliceOf("a", pod("2", "10.0.0.2", "rs")))
	if len(h.found) > 0 {
		t.Errorf("replicas are told that are not seen: %s", <-h.found)
	}
	s.Refuse("endpointslices", 0)
	h.expect("allowed again", "2 10.0.0.2:8000 true")
	h.expectWatching("allowed again", "")
}
