package balancer

import "math"

// leastOutstanding chooses the endpoint with the least (in flight + 1) / weight; of equals, any with the same chance.
//
// It reads every endpoint, in sequence, as the processor's prefetching makes that the fastest order; of more than a few it first
// reads idleProbes at random and is done if one has nothing in flight, which nothing can beat. So a pick takes longer the more
// endpoints there are only while they are busy; BenchmarkPick has the cost. Sampling instead would give up the policy's promise
// to save, with 1,000 busy endpoints, less than a request's system calls take.
//
// While weights differ, endpoints with nothing in flight share by weight, else an idle pool would send everything to the
// largest.
type leastOutstanding struct{}

// idleProbes is how many endpoints are looked at before all are read; where there are no more than tiesHeld, all are read.
const idleProbes = 4

func (leastOutstanding) Pick(s *Snapshot, r *Request) *Endpoint { return s.least(r) }
func (leastOutstanding) Done(*Endpoint, *Request, Done)         {}

// least chooses as leastOutstanding does. Other policies fall back on it.
func (s *Snapshot) least(r *Request) *Endpoint {
	if len(s.endpoints) == 0 {
		return nil
	}
	e := s.leastOf(r, r.Tried)
	if e == nil && len(r.Tried) > 0 {
		e = s.leastOf(r, nil)
	}
	return e
}

// leastOf chooses among the endpoints that have room and are not in avoid; nil if there is none.
func (s *Snapshot) leastOf(r *Request, avoid []*Endpoint) *Endpoint {
	if s.weighted(r.Now) {
		return s.leastWeighted(r, avoid)
	}
	if len(s.endpoints) > tiesHeld {
		if e := s.probeIdle(r.Rand, avoid); e != nil {
			return e
		}
	}
	return s.leastEqual(r.Rand, avoid)
}

// probeIdle looks at a few endpoints and returns the first with nothing in flight. Any idle one has the same chance.
func (s *Snapshot) probeIdle(random uint64, avoid []*Endpoint) *Endpoint {
	o := s.order(random)
	for range idleProbes {
		if o.at < uint64(len(s.endpoints)) {
			if e := s.endpoints[o.at]; e.inFlight.Load() == 0 && !contains(avoid, e) {
				return e
			}
		}
		o.next()
	}
	return nil
}

// leastEqual reads all endpoints, beginning at a random one, so that where there are more equals than ties holds, none is left
// out for its place in the list.
func (s *Snapshot) leastEqual(random uint64, avoid []*Endpoint) *Endpoint {
	var equal ties
	least := s.limit - 1
	start := below(uint32(random>>32), uint64(len(s.endpoints)))
	for _, part := range [2][]*Endpoint{s.endpoints[start:], s.endpoints[:start]} {
		for _, e := range part {
			if n := e.inFlight.Load(); n <= least && !contains(avoid, e) {
				if n < least {
					least, equal.count = n, 0
				}
				equal.add(e)
			}
		}
	}
	return equal.draw(random)
}

// leastWeighted is leastEqual with weights.
func (s *Snapshot) leastWeighted(r *Request, avoid []*Endpoint) *Endpoint {
	var equal ties
	least := math.Inf(1)
	ramping := s.ramping(r.Now)
	start := int(below(uint32(r.Rand>>32), uint64(len(s.endpoints))))
	for _, part := range [2][2]int{{start, len(s.endpoints)}, {0, start}} {
		for i := part[0]; i < part[1]; i++ {
			e := s.endpoints[i]
			n := e.inFlight.Load()
			cost := float64(n+1) * s.inverse[i]
			if ramping {
				cost *= s.slowdown(i, r.Now)
			}
			if cost <= least && n < s.limit && !contains(avoid, e) {
				if cost < least {
					least, equal.count = cost, 0
				}
				equal.add(e)
			}
		}
	}
	e := equal.draw(r.Rand)
	if e == nil || e.inFlight.Load() > 0 {
		return e
	}
	if idle := s.idleByWeight(r, avoid); idle != nil {
		return idle
	}
	return e // something was sent to it since
}

// idleByWeight draws one of the endpoints with nothing in flight, in proportion to weight; nil if there is none.
func (s *Snapshot) idleByWeight(r *Request, avoid []*Endpoint) *Endpoint {
	v := reservoir{random: r.Rand}
	for i, e := range s.endpoints {
		if e.inFlight.Load() == 0 && !contains(avoid, e) {
			v.offer(e, s.Weight(i, r.Now))
		}
	}
	return v.chosen
}

// tiesHeld is how many endpoints ties holds.
const tiesHeld = 16

// ties holds the last endpoints of those that compare equal, to draw one of them.
type ties struct {
	last  [tiesHeld]*Endpoint
	count uint64
}

func (t *ties) add(e *Endpoint) {
	t.last[t.count%tiesHeld] = e
	t.count++
}

func (t *ties) draw(random uint64) *Endpoint {
	if t.count == 0 {
		return nil
	}
	return t.last[below(uint32(random), min(t.count, tiesHeld))]
}
