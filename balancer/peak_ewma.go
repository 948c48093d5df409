package balancer

import "math"

// peakEWMA draws two endpoints at random and chooses the one with the less latency * (in flight + 1) / weight, where latency is
// Finagle's peak-sensitive moving average of the time to first byte (com.twitter.finagle.loadbalancer.PeakEwma: a sample above
// the average replaces it at once; one below moves it by 1-exp(-age/decay); and the average decays towards 0 while nothing
// comes, so that a slow endpoint is tried again).
//
// As in Finagle, an endpoint of which nothing is known yet is chosen at once if nothing is in flight on it, and else only after
// all that are known: so it gets one request to be measured by. Unlike Finagle's, a failure is a sample too, one that makes the
// endpoint look slow, as an endpoint that fails fast would otherwise draw all traffic. A request that ended without a first
// byte, because its client left, can only raise the average, and makes a first one only if it waited as long as a failure counts.
//
// A sample comes when the request is done, not when its first byte comes; meanwhile the in-flight factor speaks.
type peakEWMA struct{}

const (
	ewmaDecay = 10e9 // ns; Finagle's default decay time
	// unknownCost stands for the latency of an endpoint that has none yet: about 11 days, in ns.
	unknownCost = 1e15
	// A failure counts as a latency of failureFactor times the average so far, within these bounds in ns.
	failureFactor = 2
	failureLeast  = 1e9
	failureMost   = 60e9
)

func (peakEWMA) Pick(s *Snapshot, r *Request) *Endpoint {
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
	if ewmaCost(eb, nb, r.Now)*s.Weight(a, r.Now) < ewmaCost(ea, na, r.Now)*s.Weight(b, r.Now) {
		return eb
	}
	return ea
}

func ewmaCost(e *Endpoint, inFlight, now int64) float64 {
	latency, known := ewma(e.latency.Load()).at(now)
	if !known {
		if inFlight == 0 {
			return 0
		}
		latency = unknownCost
	}
	return latency * float64(inFlight+1)
}

func (peakEWMA) Done(e *Endpoint, _ *Request, d Done) {
	for {
		old := e.latency.Load()
		updated := uint64(ewma(old).observe(d))
		if old == updated || e.latency.CompareAndSwap(old, updated) {
			return
		}
	}
}

// ewma is an average and its time in one word, so that both change in one atomic step: a float32 of ns above 32 bits of
// time in ticks of 2^20 ns. 0 is an average that is not known yet. Ticks wrap around after 52 days; an average that is older
// than half of that does not decay.
type ewma uint64

func newEWMA(latency float64, now int64) ewma {
	return ewma(uint64(math.Float32bits(float32(latency)))<<32 | uint64(uint32(now>>20)))
}

func (v ewma) latency() float64 { return float64(math.Float32frombits(uint32(v >> 32))) }

// retained returns which part of the average is left at a time.
func (v ewma) retained(now int64) float64 {
	ticks := int32(uint32(now>>20) - uint32(v))
	if ticks <= 0 {
		return 1
	}
	return math.Exp(-float64(ticks) * (1 << 20) / ewmaDecay)
}

// at returns the decayed average in ns.
func (v ewma) at(now int64) (latency float64, known bool) {
	if v == 0 {
		return 0, false
	}
	return v.latency() * v.retained(now), true
}

// observe returns the average after a request.
func (v ewma) observe(d Done) ewma {
	average := v.latency()
	sample := float64(max(d.Now-d.Started, 1))
	switch {
	case d.Failed:
		sample = max(sample, min(max(failureFactor*average, failureLeast), failureMost))
	case d.FirstByte != 0:
		sample = float64(max(d.FirstByte-d.Started, 1))
	case v == 0 && sample < failureLeast, sample <= average:
		return v
	}
	if sample < average {
		left := v.retained(d.Now)
		sample = average*left + sample*(1-left)
	}
	return newEWMA(sample, d.Now)
}
