package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/penstock/penstock/config"
)

// slice is what a pool needs of an EndpointSlice. A change of one endpoint brings its whole slice, so each is read once, when it comes.
type slice struct {
	name      string
	ipv6      bool
	ports     []slicePort
	endpoints []sliceEndpoint
	// changed is when the change happened that the slice was last written for; zero if it does not say.
	changed time.Time
	// problem says why some of it was left out; empty if nothing was.
	problem string
}

type slicePort struct {
	name, scheme, number string
}

// sliceEndpoint is one address of a replica.
type sliceEndpoint struct {
	host      string
	id        string
	condition Condition
	zones     []string
	nodes     []string
}

// readSlice reads an EndpointSlice. What makes no sense is left out and named in problem.
func readSlice(s *discoveryv1.EndpointSlice) *slice {
	read := &slice{name: s.Name, ipv6: s.AddressType == discoveryv1.AddressTypeIPv6, changed: triggerTime(s)}
	if s.AddressType != discoveryv1.AddressTypeIPv4 && s.AddressType != discoveryv1.AddressTypeIPv6 {
		read.problem = fmt.Sprintf("EndpointSlice %s has addresses of type %s, which are not taken; want IPv4 or IPv6", s.Name, s.AddressType)
		return read
	}
	for i := range s.Ports {
		if p, ok := readPort(&s.Ports[i]); ok {
			read.ports = append(read.ports, p)
		}
	}
	read.endpoints = make([]sliceEndpoint, 0, len(s.Endpoints))
	for i := range s.Endpoints {
		e, problem := readEndpoint(&s.Endpoints[i])
		if problem != "" {
			read.problem = fmt.Sprintf("EndpointSlice %s: endpoint %d %s", s.Name, i, problem)
			continue
		}
		read.endpoints = append(read.endpoints, e)
	}
	return read
}

// readPort reads a port; false for one without a number, which stands for every port, and for those that are not TCP.
func readPort(p *discoveryv1.EndpointPort) (read slicePort, ok bool) {
	if p.Port == nil || *p.Port < 1 || *p.Port > 65535 || p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
		return read, false
	}
	if p.Name != nil {
		read.name = *p.Name
	}
	read.number = strconv.Itoa(int(*p.Port))
	read.scheme = schemeOf(p.AppProtocol)
	return read, true
}

// schemeOf is the scheme that a port's appProtocol stands for: a name of the IANA's, or one that Kubernetes has defined.
func schemeOf(appProtocol *string) string {
	if appProtocol == nil {
		return "http"
	}
	switch strings.ToLower(*appProtocol) {
	case "https":
		return "https"
	case "kubernetes.io/h2c", "grpc":
		return "h2c"
	}
	return "http"
}

// readEndpoint reads an endpoint. Of several addresses the first counts, as the API says.
func readEndpoint(e *discoveryv1.Endpoint) (read sliceEndpoint, problem string) {
	if len(e.Addresses) == 0 {
		return read, "has no address"
	}
	ip, err := netip.ParseAddr(e.Addresses[0])
	if err != nil || ip.Zone() != "" {
		return read, fmt.Sprintf("has the address %q, which is no IP address", e.Addresses[0])
	}
	read.host = ip.String()
	if e.TargetRef != nil {
		read.id = string(e.TargetRef.UID)
	}
	read.condition = condition(&e.Conditions)
	if e.Hints != nil {
		for _, z := range e.Hints.ForZones {
			read.zones = append(read.zones, z.Name)
		}
		for _, n := range e.Hints.ForNodes {
			read.nodes = append(read.nodes, n.Name)
		}
	}
	return read, ""
}

// condition reads an endpoint's conditions as the API defines those that are left out: ready and serving are then true, terminating is
// false. With publishNotReadyAddresses an endpoint can be ready and terminating.
func condition(c *discoveryv1.EndpointConditions) Condition {
	ready := c.Ready == nil || *c.Ready
	serving := c.Serving == nil || *c.Serving
	switch terminating := c.Terminating != nil && *c.Terminating; {
	case terminating && serving:
		return Terminating
	case terminating:
		return Stopped
	case ready:
		return Ready
	}
	return NotReady
}

// triggerTime is when the change happened that a slice was written for, as Kubernetes' endpoints controllers note it.
func triggerTime(s *discoveryv1.EndpointSlice) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s.Annotations[corev1.EndpointsLastChangeTriggerTime])
	if err != nil {
		return time.Time{}
	}
	return t
}

// find returns the slice's port of that name.
func (s *slice) find(name string) *slicePort {
	for i := range s.ports {
		if s.ports[i].name == name {
			return &s.ports[i]
		}
	}
	return nil
}

// union is the endpoints of all slices of a Service at the port of that name, in the slices' order, and whether there were some that
// lack this port. scheme is theirs where it is not empty; ipv6 says which family counts where a replica has an address of each.
func union(all []*slice, port, scheme string, ipv6 bool, place place) (endpoints []Endpoint, portless bool) {
	u := merger{ipv6: ipv6}
	for _, s := range all {
		at := s.find(port)
		if at == nil {
			portless = portless || len(s.endpoints) > 0
			continue
		}
		for i := range s.endpoints {
			u.add(s, at, &s.endpoints[i])
		}
	}
	return u.result(scheme, place), portless
}

// merger puts the endpoints of slices together. The same replica may be listed more than once: in slices of both families, and in two slices
// of one while it moves.
type merger struct {
	ipv6      bool
	list      []listed
	byID      map[listedAt]int
	byAddress map[listedAt]int
}

// listedAt is a replica, or an address, and one of its ports.
type listedAt struct{ who, port string }

type listed struct {
	*sliceEndpoint
	port      *slicePort
	ipv6      bool
	condition Condition
}

func (m *merger) add(s *slice, port *slicePort, e *sliceEndpoint) {
	if m.byAddress == nil {
		m.byID, m.byAddress = make(map[listedAt]int), make(map[listedAt]int)
	}
	id, address := listedAt{e.id, port.number}, listedAt{e.host, port.number}
	at, known := m.byAddress[address]
	if e.id != "" && !known {
		at, known = m.byID[id]
	}
	if !known {
		at = len(m.list)
		m.list = append(m.list, listed{e, port, s.ipv6, e.condition})
	} else {
		m.merge(&m.list[at], s, port, e)
	}
	if e.id != "" {
		m.byID[id] = at
	}
	m.byAddress[address] = at
}

// merge adds what another listing says of a replica, or of another one that had or has its address.
func (m *merger) merge(old *listed, s *slice, port *slicePort, e *sliceEndpoint) {
	switch {
	case old.id != e.id:
		// An address that was given to a new pod while the old one's listing is still there: the one that is not being deleted has it.
		if isLeaving(old.condition) && !isLeaving(e.condition) {
			*old = listed{e, port, s.ipv6, e.condition}
		}
		return
	case old.ipv6 != s.ipv6 && s.ipv6 == m.ipv6:
		*old = listed{e, port, s.ipv6, max(old.condition, e.condition)}
	default:
		old.condition = max(old.condition, e.condition) // one of two listings is out of date: the more careful one holds
	}
}

func isLeaving(c Condition) bool { return c >= Terminating }

// result is the endpoints of what was added. Where the cluster routes by place, those for other places are left out.
func (m *merger) result(scheme string, place place) []Endpoint {
	all := make([]Endpoint, 0, len(m.list))
	keep := place.chooser(m.list)
	for i := range m.list {
		l := &m.list[i]
		if keep != nil && !keep(l) {
			continue
		}
		e := Endpoint{Endpoint: config.Endpoint{Scheme: scheme, Host: l.host, Port: l.port.number}, ID: l.id, Condition: l.condition}
		if scheme == "" {
			e.Scheme = l.port.scheme
		}
		all = append(all, e)
	}
	return all
}

// place is where the gateway runs; empty where endpoints' hints about places are not to be followed.
type place struct{ zone, node string }

// placeOf reads where the gateway runs from its environment, which a pod has from Kubernetes.
func placeOf(getenv func(string) string) place {
	return place{zone: getenv("PENSTOCK_ZONE"), node: getenv("PENSTOCK_NODE")}
}

// chooser says which replicas are for this place, nil if all are. As kube-proxy does, it follows hints only where every ready replica has
// them, and only where they leave a ready one.
func (p place) chooser(all []listed) func(*listed) bool {
	byNode := func(l *listed) bool { return slices.Contains(l.nodes, p.node) }
	if p.node != "" && everyReady(all, func(l *listed) bool { return len(l.nodes) > 0 }) && anyReady(all, byNode) {
		return byNode
	}
	byZone := func(l *listed) bool { return slices.Contains(l.zones, p.zone) }
	if p.zone != "" && everyReady(all, func(l *listed) bool { return len(l.zones) > 0 }) && anyReady(all, byZone) {
		return byZone
	}
	return nil
}

func everyReady(all []listed, is func(*listed) bool) bool {
	for i := range all {
		if all[i].condition == Ready && !is(&all[i]) {
			return false
		}
	}
	return true
}

func anyReady(all []listed, is func(*listed) bool) bool {
	for i := range all {
		if all[i].condition == Ready && is(&all[i]) {
			return true
		}
	}
	return false
}
