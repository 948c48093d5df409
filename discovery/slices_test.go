package discovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is an endpoint of a pod: its address and its conditions, of which r is ready, s serving and t terminating; a - leaves all of them out.
func pod(uid, address, conditions string, change ...func(*discoveryv1.Endpoint)) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{address}}
	if uid != "" {
		e.TargetRef = &corev1.ObjectReference{Kind: "Pod", UID: types.UID(uid)}
	}
	if conditions != "-" {
		has := func(c string) *bool { return new(strings.Contains(conditions, c)) }
		e.Conditions = discoveryv1.EndpointConditions{Ready: has("r"), Serving: has("s"), Terminating: has("t")}
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func forZones(zones ...string) func(*discoveryv1.Endpoint) {
	return func(e *discoveryv1.Endpoint) {
		if e.Hints == nil {
			e.Hints = &discoveryv1.EndpointHints{}
		}
		for _, z := range zones {
			e.Hints.ForZones = append(e.Hints.ForZones, discoveryv1.ForZone{Name: z})
		}
	}
}

func forNodes(nodes ...string) func(*discoveryv1.Endpoint) {
	return func(e *discoveryv1.Endpoint) {
		if e.Hints == nil {
			e.Hints = &discoveryv1.EndpointHints{}
		}
		for _, n := range nodes {
			e.Hints.ForNodes = append(e.Hints.ForNodes, discoveryv1.ForNode{Name: n})
		}
	}
}

// sliceOf is an EndpointSlice with port http at 8000.
func sliceOf(name string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: "models", Labels: map[string]string{discoveryv1.LabelServiceName: "llama"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8000))}},
		Endpoints:   endpoints,
	}
}

func ipv6(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	s.AddressType = discoveryv1.AddressTypeIPv6
	return s
}

func atPort(number int32, s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	s.Ports[0].Port = &number
	return s
}

// text writes endpoints, each as URL, ID and condition.
func text(all []Endpoint, conditions []Condition) string {
	var list []string
	for i, e := range all {
		list = append(list, fmt.Sprintf("%s %s %d", e.String(), e.ID, conditionAt(conditions, i)))
	}
	return strings.Join(list, "; ")
}

func TestConditions(t *testing.T) {
	for conditions, want := range map[string]Condition{
		"-":   Ready, // what is left out is true, but for terminating
		"rs":  Ready,
		"r":   Ready, // publishNotReadyAddresses
		"s":   NotReady,
		"":    NotReady,
		"st":  Terminating,
		"t":   Stopped,
		"rst": Terminating, // publishNotReadyAddresses
		"rt":  Stopped,
	} {
		e := pod("a", "10.0.0.1", conditions)
		if got := condition(&e.Conditions); got != want {
			t.Errorf("%q: got %d, want %d", conditions, got, want)
		}
	}
}

func TestUnion(t *testing.T) {
	for name, c := range map[string]struct {
		slices []*discoveryv1.EndpointSlice
		ipv6   bool
		scheme string
		place  place
		want   string
	}{
		"several slices": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs")), sliceOf("b", pod("2", "10.0.0.2", "t"))},
			want:   "http://10.0.0.1:8000 1 0; http://10.0.0.2:8000 2 3",
		},
		"nothing": {slices: []*discoveryv1.EndpointSlice{{ObjectMeta: metav1.ObjectMeta{Name: "a"}, AddressType: "IPv4"}}, want: ""},
		"a replica of both families counts once": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs")), ipv6(sliceOf("b", pod("1", "fd00::1", "rs")))},
			want:   "http://10.0.0.1:8000 1 0",
		},
		"at its address of the Service's first family": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs")), ipv6(sliceOf("b", pod("1", "fd00::1", "rs")))},
			ipv6:   true,
			want:   "http://[fd00::1]:8000 1 0",
		},
		"the more careful of two listings holds": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs"), pod("2", "10.0.0.2", "st")), sliceOf("b", pod("1", "10.0.0.1", "st"), pod("2", "10.0.0.2", "rs"))},
			want:   "http://10.0.0.1:8000 1 2; http://10.0.0.2:8000 2 2",
		},
		"an address goes to a new pod": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "t")), sliceOf("b", pod("2", "10.0.0.1", ""))},
			want:   "http://10.0.0.1:8000 2 1",
		},
		"whatever the order": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("2", "10.0.0.1", "")), sliceOf("b", pod("1", "10.0.0.1", "t"))},
			want:   "http://10.0.0.1:8000 2 1",
		},
		"a host with two ports": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs")), atPort(8001, sliceOf("b", pod("2", "10.0.0.1", "rs")))},
			want:   "http://10.0.0.1:8000 1 0; http://10.0.0.1:8001 2 0",
		},
		"endpoints that nobody's pods are": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("", "10.0.0.1", "-"), pod("", "10.0.0.2", "-"))},
			want:   "http://10.0.0.1:8000  0; http://10.0.0.2:8000  0",
		},
		"a scheme": {slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs"))}, scheme: "https", want: "https://10.0.0.1:8000 1 0"},
		"hints of the zone": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs", forZones("x")), pod("2", "10.0.0.2", "rs", forZones("y", "x")), pod("3", "10.0.0.3", "rs", forZones("y")), pod("4", "10.0.0.4", "t"))},
			place:  place{zone: "x"},
			want:   "http://10.0.0.1:8000 1 0; http://10.0.0.2:8000 2 0",
		},
		"hints of the node come first": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs", forZones("x"), forNodes("n")), pod("2", "10.0.0.2", "rs", forZones("x"), forNodes("m")))},
			place:  place{zone: "x", node: "n"},
			want:   "http://10.0.0.1:8000 1 0",
		},
		"hints that not every ready endpoint has": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs", forZones("x")), pod("2", "10.0.0.2", "rs"))},
			place:  place{zone: "y"},
			want:   "http://10.0.0.1:8000 1 0; http://10.0.0.2:8000 2 0",
		},
		"hints that leave nothing": {
			slices: []*discoveryv1.EndpointSlice{sliceOf("a", pod("1", "10.0.0.1", "rs", forZones("x")))},
			place:  place{zone: "y"},
			want:   "http://10.0.0.1:8000 1 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*slice
			for _, s := range c.slices {
				all = append(all, readSlice(s))
			}
			u := merge(all, wanted{"http", c.scheme, c.ipv6, c.place})
			if got := text(u.endpoints, u.conditions); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestOddSlices(t *testing.T) {
	noAddress, notAnAddress := pod("1", "", "rs"), pod("1", "pod-1.example.com", "rs")
	noAddress.Addresses = nil
	names := sliceOf("a", pod("1", "x.example.com", "rs"))
	names.AddressType = discoveryv1.AddressTypeFQDN
	for want, s := range map[string]*discoveryv1.EndpointSlice{
		"EndpointSlice a: endpoint 1 has no address":                                              sliceOf("a", pod("2", "10.0.0.2", "rs"), noAddress),
		`EndpointSlice a: endpoint 1 has the address "pod-1.example.com", which is no IP address`: sliceOf("a", pod("2", "10.0.0.2", "rs"), notAnAddress),
		"EndpointSlice a has addresses of type FQDN, which are not taken; want IPv4 or IPv6":      names,
		`EndpointSlice a: endpoint 1 has the address "fe80::1%eth0", which is no IP address`:      sliceOf("a", pod("2", "10.0.0.2", "rs"), pod("1", "fe80::1%eth0", "rs")),
	} {
		got := readSlice(s)
		if got.problem != want {
			t.Errorf("got %q, want %q", got.problem, want)
		}
		if s != names && (len(got.endpoints) != 1 || got.endpoints[0].id != "2") {
			t.Errorf("%s: the others are %+v", want, got.endpoints)
		}
	}
}

func TestPortsOfSlices(t *testing.T) {
	s := sliceOf("a", pod("1", "10.0.0.1", "rs"))
	udp := corev1.ProtocolUDP
	s.Ports = []discoveryv1.EndpointPort{
		{Name: new("any")}, {Name: new("dns"), Port: new(int32(53)), Protocol: &udp}, {Name: new("huge"), Port: new(int32(70000))},
		{Port: new(int32(80))}, {Name: new("grpc"), Port: new(int32(8001)), AppProtocol: new("kubernetes.io/h2c")},
		{Name: new("tls"), Port: new(int32(8443)), AppProtocol: new("https")}, {Name: new("ws"), Port: new(int32(81)), AppProtocol: new("kubernetes.io/ws")},
	}
	want := []slicePort{{"", "http", "80"}, {"grpc", "h2c", "8001"}, {"tls", "https", "8443"}, {"ws", "http", "81"}}
	if got := readSlice(s).ports; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A change of one slice gives what all slices together give.
func TestPatchedUnion(t *testing.T) {
	want := wanted{port: "http"}
	for name, c := range map[string]struct {
		before, after *discoveryv1.EndpointSlice
		patched       bool
	}{
		"conditions":       {sliceOf("b", pod("2", "10.0.0.2", "rs"), pod("3", "10.0.0.0", "rs")), sliceOf("b", pod("2", "10.0.0.2", ""), pod("3", "10.0.0.0", "st")), true},
		"another pod":      {sliceOf("b", pod("2", "10.0.0.2", "rs")), sliceOf("b", pod("3", "10.0.0.2", "rs")), false},
		"another address":  {sliceOf("b", pod("2", "10.0.0.2", "rs")), sliceOf("b", pod("2", "10.0.0.3", "rs")), false},
		"one more":         {sliceOf("b", pod("2", "10.0.0.2", "rs")), sliceOf("b", pod("2", "10.0.0.2", "rs"), pod("3", "10.0.0.3", "rs")), false},
		"another port":     {sliceOf("b", pod("2", "10.0.0.2", "rs")), atPort(81, sliceOf("b", pod("2", "10.0.0.2", "rs"))), false},
		"listed elsewhere": {sliceOf("b", pod("1", "10.0.0.1", "rs")), sliceOf("b", pod("1", "10.0.0.1", "st")), false},
	} {
		t.Run(name, func(t *testing.T) {
			others := []*slice{readSlice(sliceOf("a", pod("1", "10.0.0.1", "rs")))}
			before, after := readSlice(c.before), readSlice(c.after)
			u := merge(append(others, before), want).patched(before, after)
			if (u != nil) != c.patched {
				t.Fatalf("patched: %v, want %v", u != nil, c.patched)
			}
			whole := merge(append(others, after), want)
			if u != nil && text(u.endpoints, u.conditions) != text(whole.endpoints, whole.conditions) {
				t.Errorf("got\n%s\nwant\n%s", text(u.endpoints, u.conditions), text(whole.endpoints, whole.conditions))
			}
		})
	}
}

func FuzzUnion(f *testing.F) {
	f.Add([]byte("\x01\x01\x02\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Each byte is a listing: two bits each for the pod, its address, its condition and the slice.
		lists := make([]*slice, 4)
		for i := range lists {
			lists[i] = &slice{name: fmt.Sprint(i), ipv6: i%2 == 1, ports: []slicePort{{"http", "http", "8000"}}}
		}
		listed := make(map[string]bool)
		for _, b := range data {
			l := lists[b&3]
			host := fmt.Sprintf("10.0.0.%d", b>>2&3)
			if l.ipv6 {
				host = fmt.Sprintf("fd00::%d", b>>2&3)
			}
			l.endpoints = append(l.endpoints, sliceEndpoint{host: host, id: fmt.Sprint(b >> 4 & 3), condition: Condition(b >> 6 & 3)})
			listed[host] = true
		}
		u := merge(lists, wanted{port: "http"})
		all, first := u.endpoints, text(u.endpoints, u.conditions)
		seen := make(map[string]bool)
		for _, e := range all {
			if seen[e.Host] || !listed[e.Host] {
				t.Errorf("%s is there twice, or was not listed: %s", e.Host, first)
			}
			seen[e.Host] = true
		}
		u = merge(lists, wanted{port: "http"})
		if again := text(u.endpoints, u.conditions); again != first {
			t.Errorf("the same slices give\n%s and\n%s", first, again)
		}
	})
}
