package route

import (
	"math"
	"math/bits"
)

// split holds what a choice among a rule's targets needs.
type split struct {
	total uint64 // sum of the weights
	seeds []uint64
}

func (s *split) compile(targets []Target) {
	for i := range targets {
		s.total += uint64(targets[i].Weight)
		s.seeds = append(s.seeds, hash64(targets[i].identity()))
	}
}

// identity is what tells a target from the others of its split, whatever their order.
func (t *Target) identity() string { return t.Pool + "\x00" + t.Model }

// Choose returns the target for a request. Without a key it is drawn by weight from rand, a uniform random number. With a key,
// the same key gets the same target from every gateway, and over many keys each target's share is its weight's share of the sum.
// When weights change, a user moves only to a target whose weight grew by a larger factor than that of the user's own: raising
// one weight takes users from the others and moves nobody among them, lowering one does the reverse.
func (rt *Route) Choose(key uint64, hasKey bool, rand uint64) *Target {
	switch {
	case len(rt.Targets) == 1:
		return &rt.Targets[0]
	case hasKey:
		return rt.rendezvous(key)
	}
	at, _ := bits.Mul64(rand, rt.split.total) // uniform over 0 to total-1
	for i := range rt.Targets {
		weight := uint64(rt.Targets[i].Weight)
		if at < weight {
			return &rt.Targets[i]
		}
		at -= weight
	}
	panic("BUG: the weights of a split do not add up to their total")
}

// rendezvous is weighted rendezvous hashing with the logarithmic method: the target with the highest -weight/ln(u) wins, u in
// (0,1) being a hash of key and target. It was described by C. Schindelhauer and G. Schomaker, "Weighted Distributed Hash
// Tables" (SPAA 2005), and in this form by J. Resch, "New Hashing Algorithms for Data Storage" (SNIA SDC 2015). Each target's
// score depends on its own weight alone and grows with it, hence the least movement.
//
// Architectures may round ln differently in its last bit, so gateways on unlike ones can disagree about a user whose two best
// scores are that close: about one in 10^15.
func (rt *Route) rendezvous(key uint64) *Target {
	var best *Target
	var bestScore float64
	for i, seed := range rt.split.seeds {
		t := &rt.Targets[i]
		if t.Weight == 0 {
			continue
		}
		u := (float64(avalanche(key^seed)>>11) + 0.5) / (1 << 53)
		if score := -float64(t.Weight) / math.Log(u); best == nil || score > bestScore {
			best, bestScore = t, score
		}
	}
	return best
}

// mirrorSalt makes the draw of a mirror independent of Choose's where both are given the same random number.
const mirrorSalt = 0x6d6972726f72

// MirrorSample reports whether a request is to be mirrored. rand is a uniform random number; it may be the one that Choose had.
func (rt *Route) MirrorSample(rand uint64) bool {
	return rt.Mirror != nil && (rt.Mirror.Percent == 100 || avalanche(rand^mirrorSalt) < rt.mirror)
}

// mirrorShare returns how many of 2^64 random values make percent of them; 100 does not fit and is MirrorSample's own case.
func mirrorShare(m *Mirror) uint64 {
	if m == nil || m.Percent == 100 {
		return 0
	}
	return uint64(m.Percent / 100 * (1 << 64))
}
