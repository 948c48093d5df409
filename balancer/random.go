package balancer

import "sort"

// random chooses at random, in proportion to weight, among the endpoints that have room and were not tried. It draws by capacity
// and draws again if that endpoint is out of the question, or as often as its slow start asks for; after some draws in vain it
// scans. Either way leads to the same probabilities.
type random struct{}

// draws is how often random draws before it scans.
const draws = 16

func (random) Done(*Endpoint, *Request, Done) {}

func (random) Pick(s *Snapshot, r *Request) *Endpoint {
	if len(s.endpoints) == 0 {
		return nil
	}
	x := r.Rand
	for range draws {
		i := s.draw(x)
		coin := nextRandom(x)
		x = nextRandom(coin)
		if s.ramping(r.Now) && r.Now < s.ramps[i].end && unit(coin) >= s.ramps[i].share(r.Now) {
			continue
		}
		if e := s.endpoints[i]; s.hasRoom(e) && !r.tried(e) {
			return e
		}
	}
	e := s.drawWithRoom(r, x, r.Tried)
	if e == nil && len(r.Tried) > 0 {
		e = s.drawWithRoom(r, x, nil)
	}
	return e
}

// draw returns a random index in proportion to capacity.
func (s *Snapshot) draw(random uint64) int {
	n := len(s.endpoints)
	if s.cumulative == nil {
		return int(below(uint32(random>>32), uint64(n)))
	}
	x := unit(random) * s.cumulative[n-1]
	// Rounding may take x up to the last sum itself.
	return min(sort.Search(n, func(i int) bool { return s.cumulative[i] > x }), n-1)
}

// drawWithRoom draws by weight among the endpoints that have room and are not in avoid; nil if there is none.
func (s *Snapshot) drawWithRoom(r *Request, random uint64, avoid []*Endpoint) *Endpoint {
	v := reservoir{random: random}
	for i, e := range s.endpoints {
		if s.hasRoom(e) && !contains(avoid, e) {
			v.offer(e, s.Weight(i, r.Now))
		}
	}
	return v.chosen
}
