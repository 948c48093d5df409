package autoscale

import (
	"context"
	"fmt"
	"net"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// Finder finds the replicas of the gateway.
type Finder interface {
	// Find returns all replicas, this one among them, or an error if they cannot be told; the last ones then stay. It is called every two seconds.
	Find(context.Context) ([]Peer, error)
}

// portName is the name of the port, in the EndpointSlices of the Service of all replicas, that replicas ask each other at. Without it they use
// the port that they listen on themselves.
const portName = "autoscale"

// slicesFinder finds the replicas in the EndpointSlices of their Service.
type slicesFinder struct {
	api                kubeAPI
	namespace, service string
	port               string // that this replica listens on
}

// Find lists the replicas.
func (f *slicesFinder) Find(ctx context.Context) ([]Peer, error) {
	all, err := f.api.endpointSlices(ctx, f.namespace, f.service)
	if err != nil {
		return nil, fmt.Errorf("cannot list the EndpointSlices of Service %s/%s: %w", f.namespace, f.service, err)
	}
	if len(all) == 0 {
		// One without pods has an EndpointSlice nevertheless. To take this for a gateway of one replica would be to count only that one's requests.
		return nil, fmt.Errorf("there are no EndpointSlices of Service %s/%s: make it, headless, for all pods of the gateway", f.namespace, f.service)
	}
	return peersOf(all, f.port), nil
}

// peersOf returns the replicas that EndpointSlices list. Serving means that the pod is ready, which the condition "ready" does not say where the
// Service publishes addresses that are not.
func peersOf(all []discoveryv1.EndpointSlice, port string) []Peer {
	var found []Peer
	for i := range all {
		at := port
		for _, p := range all[i].Ports {
			if p.Name != nil && *p.Name == portName && p.Port != nil {
				at = fmt.Sprint(*p.Port)
			}
		}
		for _, e := range all[i].Endpoints {
			if len(e.Addresses) == 0 {
				continue
			}
			peer := Peer{Address: net.JoinHostPort(e.Addresses[0], at), Serving: e.Conditions.Serving == nil || *e.Conditions.Serving}
			if e.TargetRef != nil {
				peer.ID = string(e.TargetRef.UID)
			}
			found = append(found, peer)
		}
	}
	return found
}
