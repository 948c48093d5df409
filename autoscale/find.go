package autoscale

import (
	"net"

	"github.com/penstock/penstock/discovery"
)

// portName is the name of the port, in the EndpointSlices of the Service of all replicas, that replicas ask each other at. Without it they use
// the port that they listen on themselves.
const portName = "autoscale"

// findPeers keeps the list of the gateway's replicas until the server stops: all that the EndpointSlices of their Service list, this one among
// them. Whatever happens to the API server, the last list stays.
func (s *Server) findPeers() {
	_, port, _ := net.SplitHostPort(s.port.Addr().String())
	failing := false
	replicas := discovery.Replicas{
		Client: s.options.Kube, Namespace: s.namespace, Service: s.options.Config.PeersName, Port: portName, DefaultPort: port,
		Found: func(all []discovery.Replica) error { return s.peers.set(s.ctx, peersOf(all)) },
		Watching: func(err error) {
			if err != nil {
				s.logger.Error("cannot find the replicas of the gateway", "error", err)
			} else if failing {
				s.logger.Info("can find the replicas of the gateway again")
			}
			failing = err != nil
		},
	}
	replicas.Run(s.ctx)
}

func peersOf(replicas []discovery.Replica) []Peer {
	all := make([]Peer, len(replicas))
	for i, r := range replicas {
		all[i] = Peer(r)
	}
	return all
}
