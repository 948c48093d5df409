package balancer

import "math"

// session sends a session to the endpoint that its hash ranks highest (rendezvous hashing: D. Thaler, C. Ravishankar: "Using
// name-based mappings to increase hit rates", 1998), in proportion to weight, so that an endpoint that comes or goes moves only
// its own sessions, and replicas of the gateway agree without talking. A request without a session goes by leastOutstanding.
//
// Load is bounded (V. Mirrokni, M. Thorup, M. Zadimoghaddam: "Consistent hashing with bounded loads", 2018): the highest-ranked
// endpoint is chosen whose load is at most 1.25 * (total + 1) / n, n being the number of endpoints (with weights: 1.25 *
// (total + 1) times its share of all weights); KubeAI bounds its prefix hash in the same way. Endpoints that are full or
// were tried are passed over likewise.
type session struct{}

// loadBound is how far above its fair share an endpoint may be loaded for the sake of a session.
const loadBound = 1.25

func (session) Done(*Endpoint, *Request, Done) {}

func (session) Pick(s *Snapshot, r *Request) *Endpoint {
	if !r.SessionSet || len(s.endpoints) == 0 {
		return s.least(r)
	}
	key := mix(r.Session)
	first, weights := s.highest(key, r.Now)
	e := s.endpoints[first]
	load := e.inFlight.Load()
	total, fair := s.isFair(load, s.Weight(first, r.Now)/weights)
	if fair && load < s.limit && !r.tried(e) {
		return e
	}
	if fair { // then total is not the whole
		total = s.inFlight()
	}
	if e := s.highestWithin(key, loadBound*float64(total+1)/weights, r); e != nil {
		return e
	}
	return s.least(r)
}

// highest returns the endpoint that ranks highest for a session, and the sum of all weights.
func (s *Snapshot) highest(key uint64, now int64) (first int, weights float64) {
	if s.weighted(now) {
		return s.highestWeighted(key, now)
	}
	best := uint64(math.MaxUint64)
	for i, h := range s.hashes {
		if score := rendezvous(key, h); score < best {
			first, best = i, score
		}
	}
	return first, float64(len(s.hashes))
}

func (s *Snapshot) highestWeighted(key uint64, now int64) (first int, weights float64) {
	best := math.Inf(1)
	for i, h := range s.hashes {
		weight := s.Weight(i, now)
		weights += weight
		if x := unit(rendezvous(key, h)); x < best*weight {
			if rank := rankOf(x, weight); rank < best {
				first, best = i, rank
			}
		}
	}
	return first, weights
}

// highestWithin returns the highest-ranked endpoint that has room, was not tried, and whose load is at most perWeight times its
// weight; nil if there is none.
func (s *Snapshot) highestWithin(key uint64, perWeight float64, r *Request) (chosen *Endpoint) {
	best := math.Inf(1)
	for i, h := range s.hashes {
		weight := s.Weight(i, r.Now)
		x := unit(rendezvous(key, h))
		if x >= best*weight {
			continue
		}
		e := s.endpoints[i]
		if n := e.inFlight.Load(); n < s.limit && float64(n) <= perWeight*weight && !r.tried(e) {
			if rank := rankOf(x, weight); rank < best {
				chosen, best = e, rank
			}
		}
	}
	return chosen
}

// rendezvous returns an endpoint's score for a session; the lowest ranks highest. Both arguments are well mixed already.
func rendezvous(key, hash uint64) uint64 { return fold(key^hash, salt3) }

// rankOf returns the rank of a score as a fraction x, the lower the better: -ln(1-x)/weight. Of such exponentially distributed
// numbers each is the lowest with a probability in proportion to its weight. As -ln(1-x) is never below x, an endpoint with
// x/weight above the best rank so far needs no logarithm; of n about ln(n) do. With equal weights the order is that of x.
func rankOf(x, weight float64) float64 { return -math.Log1p(-x) / weight }

// isFair reports whether load <= loadBound * (total+1) * share. It adds the total up only as far as it must; if load is not fair,
// total is the whole.
func (s *Snapshot) isFair(load int64, share float64) (total int64, fair bool) {
	need := float64(load)/(loadBound*share) - 1
	for _, e := range s.endpoints {
		if float64(total) >= need {
			return total, true
		}
		total += e.inFlight.Load()
	}
	return total, float64(total) >= need
}

// inFlight returns how many requests the snapshot's endpoints have in flight.
func (s *Snapshot) inFlight() int64 {
	total := int64(0)
	for _, e := range s.endpoints {
		total += e.inFlight.Load()
	}
	return total
}
