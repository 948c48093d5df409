package balancer

import "math"

// leastTokens chooses the endpoint with the least
//
//	cost = (P + prompt + decodeTokens * (I + 1)) / weight
//
// where P are the prompt tokens that were sent to it and that it has not begun to answer, prompt is this request's, and I are the
// requests in flight. Of equals, the one with fewer requests in flight is chosen, and of those any with the same chance.
//
// P is what a new request waits for: a replica reads prompts in the order in which they come, at thousands of tokens a second, so a
// prompt of 50,000 tokens holds up those behind it as a thousand short ones do. The rest is what requests slow each other down by while
// they generate. Both are this gateway's own, exact and never late; where prompts are not known, all that is left is
// leastOutstanding's order.
//
// Pools of up to readWhole endpoints are read whole, others several at random: the best of 16 is among the best tenth in four of five
// picks, takes a fifteenth of the time at 1,000 endpoints (BenchmarkLightest), and keeps gateways that do not know of each other from all
// choosing the same. While weights differ, endpoints with nothing to do share by weight, as with leastOutstanding.
type leastTokens struct{}

const (
	// decodeTokens is how many prompt tokens a request in flight counts for: about 1.2 ms for one more sequence in the batch, as
	// measured, in which an H100 reads 22 (a 70B model on four) to 55 prompt tokens (8B).
	decodeTokens = 32
	// readWhole is the size up to which a pool is read whole.
	readWhole = 64
	// several is how many endpoints of a larger pool are looked at.
	several = 16
)

func (leastTokens) Pick(s *Snapshot, r *Request) *Endpoint { return s.lightest(r) }
func (leastTokens) Done(*Endpoint, *Request, Done)         {}

// lightest chooses as leastTokens does.
func (s *Snapshot) lightest(r *Request) *Endpoint {
	n := len(s.endpoints)
	if n == 0 {
		return nil
	}
	if n > readWhole {
		if e := s.lightestOfSeveral(r); e != nil {
			return e
		}
	}
	e := s.lightestOf(r, r.Tried)
	if e == nil && len(r.Tried) > 0 {
		e = s.lightestOf(r, nil)
	}
	return e
}

// lightestOfSeveral chooses among several endpoints at random; nil if they are all full or tried.
func (s *Snapshot) lightestOfSeveral(r *Request) *Endpoint {
	c := s.compare(r, r.Tried)
	o := s.order(r.Rand)
	for seen := 0; seen < several; o.next() {
		if o.at < uint64(len(s.endpoints)) {
			c.offer(int(o.at))
			seen++
		}
	}
	return c.chosen()
}

// lightestOf reads all endpoints that are not in avoid, beginning at a random one, as leastEqual does.
func (s *Snapshot) lightestOf(r *Request, avoid []*Endpoint) *Endpoint {
	c := s.compare(r, avoid)
	start := int(below(uint32(r.Rand>>32), uint64(len(s.endpoints))))
	for i := start; i < len(s.endpoints); i++ {
		c.offer(i)
	}
	for i := range start {
		c.offer(i)
	}
	return c.chosen()
}

// comparison finds the endpoint with the least cost among those that it is offered.
type comparison struct {
	s                 *Snapshot
	avoid             []*Endpoint
	now               int64
	fixed             int64 // what the request itself adds to every endpoint's load
	weighted, ramping bool

	least    float64
	inFlight int64 // of those with the least cost
	random   uint64
	equal    ties
	idle     reservoir // only while weights differ
}

func (s *Snapshot) compare(r *Request, avoid []*Endpoint) comparison {
	random := nextRandom(r.Rand)
	return comparison{
		s: s, avoid: avoid, now: r.Now, fixed: min(max(r.Tokens, 0), mostTokens) + decodeTokens,
		weighted: s.weighted(r.Now), ramping: s.ramping(r.Now),
		least: math.Inf(1), random: random, idle: reservoir{random: random},
	}
}

func (c *comparison) offer(i int) {
	e := c.s.endpoints[i]
	n := e.inFlight.Load()
	if n >= c.s.limit || contains(c.avoid, e) {
		return
	}
	load := e.tokens.Load() + decodeTokens*n
	cost := float64(load + c.fixed)
	if c.weighted {
		cost *= c.s.inverse[i]
		if c.ramping {
			cost *= c.s.slowdown(i, c.now)
		}
		if load == 0 {
			c.idle.offer(e, c.s.Weight(i, c.now))
		}
	}
	switch {
	case cost > c.least, cost == c.least && n > c.inFlight:
		return
	case cost < c.least, n < c.inFlight:
		c.least, c.inFlight, c.equal.count = cost, n, 0
	}
	c.equal.add(e)
}

// chosen returns the endpoint to take; nil if none was offered that has room.
func (c *comparison) chosen() *Endpoint {
	e := c.equal.draw(c.random)
	if c.idle.chosen != nil && c.inFlight == 0 && e.tokens.Load() == 0 {
		return c.idle.chosen
	}
	return e
}
