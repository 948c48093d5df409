package balancer

import "math"

// autoCost is what a request costs on an endpoint, in seconds:
//
//	wait      = (tokens that stand before it + its own that are not cached) * rate / share, and what it waits for room in the KV cache
//	crowding  = what its prompt holds up those in flight, and what one more in the batch slows them down by
//	misses    = 1 - (1 - P(wait > TTFT))(1 - P(tpot > TPOT)) + requests in flight * (P(tpot > TPOT) with it - without it)
//	tpot      = decode / (1 - busy)
//	cost      = patience(wait) + crowding + value * misses
//
// where rate is the time that a prompt's token takes and decode the time of an answer's were no prompts computed meanwhile, both learned of
// each endpoint; busy is the part of the time in which prompts are computed; share is below 1 during a slow start. Engines compute prompts and
// answers in the same steps, so an answer goes on only as fast as prompts let it: tpot is the model's own (bench/engine) for long prompts.
type autoCost struct {
	a     *auto
	s     *Snapshot
	r     *Request
	peers float64

	tokens     float64 // of the prompt
	ttft, tpot float64 // objectives in seconds
	value      float64 // of an objective, in seconds
	lost       float64 // the wait, in seconds, beyond which a request is taken for lost
	ttftScale  float64 // 1/(ttft * ttftWidth), as dividing is slow
	tpotScale  float64 // the same of tpot
	adapter    uint64  // that the request wants; 0 if it wants none
	idle       float64 // the chance to miss an objective by which an idle endpoint's cost comes to 0
	stress     float64 // 0 where the pool is far from missing its TPOT objective, 1 where it misses it
	risk       float64 // sum of the chances to miss it, over the endpoints that were looked at
	looked     float64 // how many these are
	ramping    bool
	note       bool // this pick notes costs and samples polls
}

const (
	// objectiveValue is what a missed objective counts for, in times the TTFT objective. From 1 to 4 goodput hardly changes but in a
	// fleet that is overloaded for good, where it grows; and the longer those wait who are late already.
	objectiveValue = 3
	// A second of waiting beyond lostAfter times the TTFT objective, a minute by default, counts for lostPatience only: most clients will have
	// given up by then, so these requests make room for the others, where there are more than can be served.
	lostAfter, lostPatience = 12, .05
	// stallFactor is what a second in which a prompt holds up a request in flight counts for, in seconds: it is one of some ten that a
	// generation takes.
	stallFactor = .03
	// batchCost is what one more sequence slows down a step by, in seconds.
	batchCost = .0012
	// How sharply latencies are taken to miss their objective: the part of the objective by which they may be off.
	ttftWidth, tpotWidth = .2, .15
	// foreignWeight is what other gateways' work counts for. It is known late, and who follows late news with all others oscillates with
	// them; half of it is enough to see which replicas are late.
	foreignWeight = .5
	// foreignFade is the time in ns after which what a poll said of one endpoint counts for a third, the rest being the mean of all.
	foreignFade = 5e9
	// peerBacklog is the part of this gateway's own backlog that each of its peers is taken to have there, too.
	peerBacklog = .5
	// roomLimit is the part of the KV cache that is planned with, and roomWait how long a request waits, in seconds, where as much is missing
	// as there is.
	roomLimit, roomWait = .95, 10
	// Other gateways' requests count among those that would be harmed only where there is a risk that they are: none where the pool's mean chance
	// to miss the TPOT objective is calmRisk, all where it is fullRisk. What is known of them is late, and where all is well it makes unequal
	// what this gateway's own requests alone keep equal.
	calmRisk, fullRisk = .2, .5
	// noteEvery is how many picks there are to one that notes every endpoint's cost and samples polls.
	noteEvery = 16
	// adapterLoad is what it takes to load a LoRA adapter, in seconds.
	adapterLoad = .5
)

func (c *autoCost) setUp(a *auto, s *Snapshot, r *Request, peers float64) {
	c.a, c.s, c.r, c.peers = a, s, r, peers
	c.tokens = float64(r.promptTokens())
	c.ttft, c.tpot = float64(a.objectives.TTFT)/1e9, float64(a.objectives.TPOT)/1e9
	c.value, c.lost = objectiveValue*c.ttft, lostAfter*c.ttft
	c.ttftScale, c.tpotScale = 1/(c.ttft*ttftWidth), 1/(c.tpot*tpotWidth)
	c.idle = 1 - (1-soft(-1/ttftWidth))*(1-soft(-1/tpotWidth))
	c.stress = min(max((a.pool.risk.at()-calmRisk)/(fullRisk-calmRisk), 0), 1)
	if a.pool.adapters.has(r.Adapter) {
		c.adapter = r.Adapter
	}
	c.ramping = s.ramping(r.Now)
	c.note = r.Rand%noteEvery == 0
}

// of is the cost on e, endpoint i, where own tokens of the prompt have to be computed and n requests of this gateway are in flight.
func (c *autoCost) of(e *Endpoint, i int, n int64, own float64) float64 {
	rate := c.a.pool.rateOf(e)
	slowdown := 1.0
	if c.ramping {
		slowdown = c.slowdown(e, i, n)
	}
	rate *= slowdown
	s := e.Signals()
	harmed := float64(n) + c.stress*c.foreign(s)
	work := own * rate
	wait := c.backlog(e)*rate + work + c.roomWait(e, s) + c.adapterWait(s)

	busy := c.a.pool.busy(e, c.r.Now, rate, c.peers)
	decode := e.learned.decode.value(c.a.pool.decode.value(decodePrior))
	without, with := c.missTPOT(decode, busy), c.missTPOT(decode, busy+work*(1.0/busySeconds))
	c.risk += without
	c.looked++
	late := soft(wait*c.ttftScale - 1/ttftWidth)
	misses := 1 - (1-late)*(1-with) - c.idle + harmed*(with-without)

	crowding := (stallFactor*work*float64(n) + batchCost*(float64(n+1)*slowdown-1)) * c.peers
	return c.patience(wait) + crowding + c.value*misses
}

// slowdown is by how much a slow start raises e's costs. Of an endpoint with nothing in flight it does so only with a chance, as what others that
// are idle cost is so little that it would never be picked.
func (c *autoCost) slowdown(e *Endpoint, i int, n int64) float64 {
	by := c.s.slowdown(i, c.r.Now)
	if n == 0 && by > 1 && unit(mix(c.r.Rand^e.hash))*by < 1 {
		return 1
	}
	return by
}

func (c *autoCost) patience(wait float64) float64 {
	if wait <= c.lost {
		return wait
	}
	return c.lost + (wait-c.lost)*lostPatience
}

// missTPOT is the chance that tokens come too slowly.
func (c *autoCost) missTPOT(decode, busy float64) float64 {
	return softOf(decode*c.tpotScale, max(1-busy, .02), 1/tpotWidth)
}

// soft is a smooth step from 0 to 1 around 0 that needs no exponential function, and whose slope never ends: it says which of two that are late
// is more so.
func soft(x float64) float64 { return .5 + .5*x/(1+math.Abs(x)) }

// softOf is soft(a/b - c) by a single division; b is positive.
func softOf(a, b, c float64) float64 {
	x := a - b*c
	return .5 + .5*x/(b+math.Abs(x))
}

// backlog is the prompt tokens that stand before the request.
func (c *autoCost) backlog(e *Endpoint) float64 {
	return float64(e.tokens.Load()) * (1 + (c.peers-1)*peerBacklog)
}

// foreign is how many requests of other gateways an endpoint has.
func (c *autoCost) foreign(s *Signals) float64 {
	if s == nil || !s.Running.Known() || c.peers <= alone {
		return 0
	}
	fresh := decay(float64(s.Running.Age(c.r.Now)) / foreignFade)
	return foreignRequests(s)*fresh + c.a.pool.meanRequests.value(0, 1)*(1-fresh)
}

// roomWait is how long the request waits for room in the KV cache.
func (c *autoCost) roomWait(e *Endpoint, s *Signals) float64 {
	if s == nil || !s.Blocks.Known() || !s.BlockSize.Known() {
		return 0
	}
	room := s.Blocks.Value * s.BlockSize.Value
	missing := float64(e.held.Load())*c.peers + c.tokens - roomLimit*room
	if missing <= 0 || room < 1 {
		return 0
	}
	return roomWait * missing / room
}

// adapterWait is how long the request waits for its LoRA adapter to be loaded.
func (c *autoCost) adapterWait(s *Signals) float64 {
	if c.adapter == 0 || s == nil || s.Adapters == nil || s.Adapters.Max == 0 || s.Adapters.has(c.adapter) {
		return 0
	}
	if len(s.Adapters.Running) >= s.Adapters.Max {
		return 2 * adapterLoad // another one has to go first
	}
	return adapterLoad
}

// busySeconds is the time over which work is averaged, in seconds: about as long as a generation takes.
const busySeconds = 10

// busy is the part of the time in which e computes prompts, now and in the near future. It is more than 1 where more was sent than e can do.
func (p *poolLearned) busy(e *Endpoint, now int64, rate, peers float64) float64 {
	sent := e.learned.sent.at(now) * (1.0 / busySeconds)
	if peers > alone {
		sent += foreignWeight * p.foreignTokens(e, now, sent*(peers-1)/foreignWeight)
	}
	backlog := float64(e.tokens.Load()) * ((1 + (peers-1)*peerBacklog) * (1.0 / busySeconds))
	return max(sent, backlog) * rate
}

// foreignTokens is how many prompt tokens a second other gateways send to e; unknown if the endpoint does not say.
func (p *poolLearned) foreignTokens(e *Endpoint, now int64, unknown float64) float64 {
	at := e.learned.polled.at.Load()
	if at == 0 {
		return unknown
	}
	fresh := decay(float64(max(now-at, 0)) / foreignFade)
	return e.learned.polled.other.at()*fresh + p.meanTokens.value(0, 1e-3)*(1-fresh)
}
