package balancer

import (
	"math"
	"sync/atomic"
)

// auto chooses the endpoint where the request does the least harm, to itself and to those that are there already:
//
//	cost = wait + crowding + value * (chance that the request misses an objective + those in flight that would miss theirs because of it)
//
// all in seconds; autoCost has the terms, and docs/balancing.md says what each is worth. An objective that is lost is not lost twice: so
// when there is more to do than the replicas can do in time, long prompts gather on the replicas that are late already and the others stay
// quick, instead of all becoming late. While nothing is late this is the least wait, cached prompts taken into account.
//
// What it goes by, in the order in which it trusts it: this gateway's own requests, exact and at once; what responses told, of which it
// learns speeds and what caches hold; and what polls say of other gateways' requests, which counts for half and less with its age.
//
// Pools of up to readWhole endpoints are read whole; of larger ones those that have seen the prompt's beginning, its owner, and several at
// random.
type auto struct {
	objectives Objectives
	index      *prefixIndex
	pool       poolLearned
}

// Objectives are the latencies that requests are to meet.
type Objectives struct {
	// TTFT is the longest time to the first token, and TPOT the longest mean time of each further one, in ns.
	TTFT, TPOT int64
}

// DefaultObjectives is what chats are commonly held to: 5 s and 60 ms.
var DefaultObjectives = Objectives{TTFT: 5e9, TPOT: 60e6}

func newAuto(o Objectives) Policy {
	if o.TTFT <= 0 {
		o.TTFT = DefaultObjectives.TTFT
	}
	if o.TPOT <= 0 {
		o.TPOT = DefaultObjectives.TPOT
	}
	return &auto{objectives: o, index: newPrefixIndex()}
}

func (a *auto) Pick(s *Snapshot, r *Request) *Endpoint {
	n := len(s.endpoints)
	if n == 0 {
		return nil
	}
	c := autoChoice{s: s, r: r, best: -1, cost: math.Inf(1)}
	peers := a.pool.peers()
	c.cached.find(a, s, r, peers)
	c.costs.setUp(a, s, r, peers)
	if n <= readWhole {
		c.offerAll()
	} else {
		c.offerSeveral()
	}
	if c.best < 0 { // all that were looked at are full, or have failed the request
		e := s.lightest(r)
		if e != nil {
			c.send(e)
		}
		return e
	}
	e := s.endpoints[c.best]
	c.commit(e)
	return e
}

// autoChoice finds the endpoint with the least cost.
type autoChoice struct {
	s      *Snapshot
	r      *Request
	cached expected
	costs  autoCost

	best      int // -1 while there is none
	cost      float64
	inFlight  int64 // of the best, to tell equals
	bestGuess guess
}

func (c *autoChoice) offerAll() {
	o := c.s.order(c.r.Rand)
	for range c.s.prime {
		if o.at < uint64(len(c.s.endpoints)) {
			c.offer(int(o.at))
		}
		o.next()
	}
}

func (c *autoChoice) offerSeveral() {
	for i := range c.cached.known {
		c.offer(c.cached.matches[i].index)
	}
	if c.cached.owner >= 0 {
		c.offer(c.cached.owner)
	}
	o := c.s.order(c.r.Rand)
	for seen := 0; seen < several; o.next() {
		if o.at < uint64(len(c.s.endpoints)) {
			c.offer(int(o.at))
			seen++
		}
	}
}

func (c *autoChoice) offer(i int) {
	e := c.s.endpoints[i]
	n := e.inFlight.Load()
	if n >= c.s.limit || c.r.tried(e) {
		return
	}
	cached := c.cached.guess(i)
	cost := c.costs.of(e, i, n, max(c.costs.tokens-cached.tokens, 1))
	if c.costs.note {
		e.learned.cost.set(cost)
	}
	if cost < c.cost || cost == c.cost && n < c.inFlight {
		c.best, c.cost, c.inFlight, c.bestGuess = i, cost, n, cached
	}
}

// longestPrompt is how many tokens a prompt or an answer adds to what is learned at most, whatever a client or an endpoint claims.
const longestPrompt = 1 << 21

// send notes that the request goes to e.
func (c *autoChoice) send(e *Endpoint) {
	r, g := c.r, &c.bestGuess
	r.Owed = max(r.promptTokens()-int64(g.tokens), 0)
	r.bet = bet{kind: g.kind, asked: float32(g.asked), system: float32(c.cached.system), before: e.tokens.Load()}
	e.learned.sent.add(float64(min(r.Owed, longestPrompt)), r.Now)
	e.learned.inserted.Add(min(r.Owed, longestPrompt))
	c.costs.a.index.noteAll(r, e)
}

// commit notes that the request goes to e, which has the least cost.
func (c *autoChoice) commit(e *Endpoint) {
	a, r := c.costs.a, c.r
	c.send(e)
	e.learned.cost.set(c.cost)
	if c.costs.note {
		any := c.s.endpoints[below(uint32(nextRandom(r.Rand)), uint64(len(c.s.endpoints)))]
		a.pool.sample(any, r.Now)
		a.pool.risk.set(riskKept*a.pool.risk.at() + (1-riskKept)*c.costs.risk/c.costs.looked)
	}
}

// failurePenalty is how much work, in seconds of it, a failed request counts for, so that an endpoint that fails fast does not look idle; and
// busyPenalty is the same for one that an endpoint turned away because it has enough to do.
const (
	failurePenalty = 5
	busyPenalty    = 1
)

// Done learns from what became of a request.
func (a *auto) Done(e *Endpoint, r *Request, d Done) {
	switch {
	case d.Failed:
		e.learned.sent.add(failurePenalty/a.pool.rateOf(e), d.Now)
		return
	case d.Busy:
		e.learned.sent.add(busyPenalty/a.pool.rateOf(e), d.Now)
		return
	}
	if d.Told {
		e.learned.inserted.Add(min(max(d.OutputTokens, 0), longestPrompt))
		a.pool.settle(&r.bet, d)
	}
	if d.Streamed && d.FirstToken > d.Started {
		a.learnSpeed(e, r, d)
	}
}

// learnSpeed takes what a streamed answer says of the endpoint's speed.
func (a *auto) learnSpeed(e *Endpoint, r *Request, d Done) {
	work := float64(r.bet.before + r.Owed)
	if d.Told && a.pool.tellsHits.Load() {
		work = float64(r.bet.before + d.PromptTokens - d.CachedTokens)
	}
	if t := float64(d.FirstToken-d.Started)/1e9 - frontEnd; t > 0 && work >= leastWork {
		e.learned.prefill.add(t/work, a.pool.prefill.value(prefillPrior), prefillQuantile)
		a.pool.prefill.add(t/work, prefillPrior, prefillQuantile)
	}
	if !d.Told || d.OutputTokens < leastOutput {
		return
	}
	tpot := float64(d.Now-d.FirstToken) / 1e9 / float64(d.OutputTokens-1)
	if busy := a.pool.busy(e, d.Now, a.pool.rateOf(e), a.pool.peers()); busy < saturated {
		e.learned.decode.add(tpot*(1-busy), a.pool.decode.value(decodePrior), decodeQuantile)
		a.pool.decode.add(tpot*(1-busy), decodePrior, decodeQuantile)
	}
}

// How speeds are learned. What a request takes is at least what is learned of it, as other gateways' requests stand before it, too, unseen: so
// it is a low quantile. Prompts that are too short tell of the server's front end and not of the GPU, and so do short answers.
const (
	prefillPrior    = 1.0 / 15000 // seconds for a token: an 8B model on an A100, a 70B one on four H100
	prefillQuantile = .25
	leastWork       = 256 // tokens
	frontEnd        = .03 // seconds
	decodePrior     = .02 // seconds for a token
	decodeQuantile  = .5
	leastOutput     = 8  // tokens
	saturated       = .8 // beyond it, the time of a token says little of what it would be without prompts
)

// poolLearned is what is learned of a pool as a whole.
type poolLearned struct {
	hits      [2][ageClasses]ratio // see expected
	owned     [2]ratio
	found     ratio        // cached tokens over those of prompts, both without the system prompt
	told      atomic.Int64 // responses that told token counts, while none told of cached ones
	tellsHits atomic.Bool  // some response told of cached tokens, so that none means none

	prefill, decode quantile // as with endpoints

	risk         number  // chance that an endpoint misses the TPOT objective, by what picks looked at of late
	adapters     hashSet // names of LoRA adapters, as models' names alone do not tell which they are
	others       ratio   // requests that endpoints have, over those that this gateway has there
	meanRequests ratio   // other gateways' requests at an endpoint
	meanTokens   ratio   // other gateways' prompt tokens a second at an endpoint
}

// rateOf is how long e computes a prompt's token, in seconds.
func (p *poolLearned) rateOf(e *Endpoint) float64 {
	return e.learned.prefill.value(p.prefill.value(prefillPrior))
}

// peers is how many gateways share the pool, this one included, by how many of the requests at the endpoints are its own; 1 without polls.
func (p *poolLearned) peers() float64 { return min(max(1, p.others.value(1, 5)), mostPeers) }

// mostPeers bounds how many peers a gateway may seem to have that has next to no requests of its own.
const mostPeers = 32

// riskKept is the part of poolLearned.risk that one note leaves.
const riskKept = .5

// alone is how many peers a gateway may seem to have that has none.
const alone = 1.3

// staleAfter is the age in ns from which on what polls said is no sample any more.
const staleAfter = 30e9

// sample takes what polls say of an endpoint that was drawn at random.
func (p *poolLearned) sample(e *Endpoint, now int64) {
	s := e.Signals()
	if s != nil && s.Adapters != nil {
		for _, hash := range s.Adapters.hashes {
			p.adapters.add(hash)
		}
	}
	if s == nil || !s.Running.Known() || s.Running.Age(now) > staleAfter {
		return
	}
	p.others.add(polledRequests(s), float64(s.InFlight), .998)
	p.meanRequests.add(foreignRequests(s), 1, .99)
	p.meanTokens.add(e.learned.polled.other.at(), 1, .99)
}

// foreignRequests is how many requests of others an endpoint had when it was polled.
func foreignRequests(s *Signals) float64 {
	return max(0, polledRequests(s)-float64(s.InFlight))
}

// mostRequests is how many requests an endpoint is believed to have at most, whatever it says.
const mostRequests = 1 << 20

func polledRequests(s *Signals) float64 { return min(s.Running.Value+s.Waiting.Value, mostRequests) }
