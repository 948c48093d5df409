package balancer

// powerOfTwo draws two endpoints at random and chooses the one with the less (in flight + 1) / weight (M. Mitzenmacher: "The
// power of two choices in randomized load balancing", 2001). If only one of them has room and was not tried, that one is
// chosen; if neither, it falls back on leastOutstanding's scan. Of two endpoints with nothing in flight and different weights,
// each is chosen in proportion to its weight.
type powerOfTwo struct{}

func (powerOfTwo) Done(*Endpoint, *Request, Done) {}

func (powerOfTwo) Pick(s *Snapshot, r *Request) *Endpoint {
	a, b, ok := s.pair(r)
	if !ok {
		return s.least(r)
	}
	ea, eb := s.endpoints[a], s.endpoints[b]
	na, nb := ea.inFlight.Load(), eb.inFlight.Load()
	aFits, bFits := na < s.limit && !r.tried(ea), nb < s.limit && !r.tried(eb)
	switch {
	case !aFits && !bFits:
		return s.least(r)
	case !bFits:
		return ea
	case !aFits:
		return eb
	}
	if s.weighted(r.Now) {
		wa, wb := s.Weight(a, r.Now), s.Weight(b, r.Now)
		if na == 0 && nb == 0 {
			if unit(nextRandom(r.Rand))*(wa+wb) < wb {
				return eb
			}
			return ea
		}
		// Multiplied crosswise instead of divided; weights above 0 keep the comparison's sense.
		if float64(nb+1)*wa < float64(na+1)*wb {
			return eb
		}
		return ea
	}
	if nb < na {
		return eb
	}
	return ea
}

// pair draws two distinct indexes; ok is false if there are not two.
func (s *Snapshot) pair(r *Request) (a, b int, ok bool) {
	n := uint64(len(s.endpoints))
	if n < 2 {
		return 0, 0, false
	}
	i, j := below(uint32(r.Rand>>32), n), below(uint32(r.Rand), n-1)
	if j >= i {
		j++
	}
	return int(i), int(j), true
}
