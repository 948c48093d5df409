package discovery

import "slices"

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
