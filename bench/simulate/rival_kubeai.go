package simulate

import (
	"slices"

	"github.com/penstock/penstock/balancer"
)

func init() {
	rivals["rival-bounded-load"] = func(g *gateway) (balancer.Policy, error) { return &boundedLoad{rival: rival{g: g}}, nil }
}

// boundedLoad is KubeAI's PrefixHash strategy (kubeai.org, "Load balancing"): consistent hashing with bounded loads (Mirrokni, Thorup,
// Zadimoghaddam, 2016). The key is the first 100 characters of the first user message; an endpoint takes a request while its load is at
// most 1.25 times (total + 1) / n, else the next one on the ring does. The ring has 256 places for each endpoint.
type boundedLoad struct {
	rival
	snapshot *balancer.Snapshot
	ring     []ringPlace
}

type ringPlace struct {
	hash     uint64
	endpoint *balancer.Endpoint
}

const (
	ringReplication = 256
	ringLoadFactor  = 1.25
)

func (p *boundedLoad) Pick(s *balancer.Snapshot, r *balancer.Request) *balancer.Endpoint {
	if s.Len() == 0 {
		return nil
	}
	if p.snapshot != s {
		p.build(s)
	}
	total := int64(0)
	for i := range s.Len() {
		total += s.At(i).InFlight()
	}
	most := ringLoadFactor * float64(total+1) / float64(s.Len())
	at, _ := slices.BinarySearchFunc(p.ring, p.key(r), func(place ringPlace, key uint64) int {
		if place.hash < key {
			return -1
		}
		return 1
	})
	for i := range p.ring {
		e := p.ring[(at+i)%len(p.ring)].endpoint
		if fits(s, r, e) && float64(e.InFlight()) <= most {
			return e
		}
	}
	var any *balancer.Endpoint
	candidates(s, r, func(e *balancer.Endpoint) {
		if any == nil {
			any = e
		}
	})
	return any
}

// key stands for the first characters behind the system prompt.
func (p *boundedLoad) key(r *balancer.Request) uint64 {
	if r.KeyCount > 0 {
		return mix(r.Keys[0])
	}
	return r.Rand
}

func (p *boundedLoad) build(s *balancer.Snapshot) {
	p.snapshot, p.ring = s, p.ring[:0]
	for i := range s.Len() {
		name := balancer.HashString(s.At(i).Name)
		for k := range ringReplication {
			p.ring = append(p.ring, ringPlace{mix(name + uint64(k)*0x9e3779b97f4a7c15), s.At(i)})
		}
	}
	slices.SortFunc(p.ring, func(a, b ringPlace) int {
		if a.hash < b.hash {
			return -1
		}
		return 1
	})
}
