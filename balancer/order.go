package balancer

// order visits the indexes of a set in a random order: start, start+step, start+2*step and so on modulo a prime that is not
// below the set's size, leaving out what lies beyond the size. Of any two indexes each comes first equally often, and every
// index comes first of all equally often, so the first of several equals is a fair choice, which it is not when a scan merely
// starts at a random place: there the successor of a long row of non-candidates gets the whole row's share.
type order struct{ at, step, prime uint64 }

func (s *Snapshot) order(random uint64) order {
	return order{
		at:    below(uint32(random>>32), s.prime),
		step:  1 + below(uint32(random), s.prime-1),
		prime: s.prime,
	}
}

// next moves on. After prime calls every index was visited once.
func (o *order) next() {
	o.at += o.step
	if o.at >= o.prime {
		o.at -= o.prime
	}
}

// anyWithRoom returns an endpoint that has room, by preference one that was not tried; nil if none has.
func (s *Snapshot) anyWithRoom(r *Request) *Endpoint {
	var tried *Endpoint
	o := s.order(r.Rand)
	for range s.prime {
		if o.at < uint64(len(s.endpoints)) {
			if e := s.endpoints[o.at]; s.hasRoom(e) {
				if !r.tried(e) {
					return e
				}
				tried = e
			}
		}
		o.next()
	}
	return tried
}

// takeAny takes room at any endpoint that has some, by preference one that was not tried, and returns it; nil if every
// endpoint was full when it was looked at.
func (s *Snapshot) takeAny(r *Request) *Endpoint {
	o := s.order(r.Rand)
	for range s.prime {
		if o.at < uint64(len(s.endpoints)) {
			if e := s.endpoints[o.at]; !r.tried(e) && e.take(s.limit) {
				return e
			}
		}
		o.next()
	}
	for _, e := range s.endpoints {
		if r.tried(e) && e.take(s.limit) {
			return e
		}
	}
	return nil
}

// reservoir chooses one of the endpoints that it is offered, each with a probability in proportion to its weight.
type reservoir struct {
	random uint64
	sum    float64
	chosen *Endpoint
}

func (v *reservoir) offer(e *Endpoint, weight float64) {
	v.sum += weight
	v.random = nextRandom(v.random)
	if v.chosen == nil || unit(v.random)*v.sum < weight {
		v.chosen = e
	}
}
