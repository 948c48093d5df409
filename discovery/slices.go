package discovery

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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
	// spoiled says that there was no problem before, and that there were endpoints.
	spoiled bool
}

type slicePort struct {
	name, scheme, number string
}

// sliceEndpoint is one address of a replica.
type sliceEndpoint struct {
	host      string
	id        string
	condition Condition
	// serving says that the replica is ready, be it that it is being deleted. Of one whose Service publishes addresses that are not ready, condition
	// does not say it.
	serving bool
	zones   []string
	nodes   []string
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
	read.condition, read.serving = condition(&e.Conditions), isServing(&e.Conditions)
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
	serving := isServing(c)
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

func isServing(c *discoveryv1.EndpointConditions) bool { return c.Serving == nil || *c.Serving }

// triggerTime is when the change happened that a slice was written for, as Kubernetes' endpoints controllers note it.
func triggerTime(s *discoveryv1.EndpointSlice) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s.Annotations[corev1.EndpointsLastChangeTriggerTime])
	if err != nil {
		return time.Time{}
	}
	return t
}

// noteBefore notes how the slice was before; nil if it was not there.
func (s *slice) noteBefore(old *slice) {
	s.spoiled = s.problem != "" && old != nil && (old.spoiled || old.problem == "" && len(old.endpoints) > 0)
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
