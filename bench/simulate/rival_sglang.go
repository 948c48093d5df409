package simulate

import (
	"math"

	"github.com/penstock/penstock/balancer"
)

func init() {
	rivals["rival-sglang"] = func(g *gateway) (balancer.Policy, error) {
		return &cacheAware{rival: rival{g: g}, index: newBlockIndex(max(sglangTreeTokens/g.w.blockTokens, 1))}, nil
	}
}

// cacheAware is the cache_aware policy of SGLang's router with its default settings (docs.sglang.ai, "SGLang Router"). While loads are
// unequal, by more than 64 requests and more than 1.5 times, the shortest queue wins; else the endpoint to which most of the prompt was sent
// before, if that is more than 0.3 of it, and otherwise the one with the smallest tree. Loads and trees are the router's own.
type cacheAware struct {
	rival
	index *blockIndex
}

const (
	sglangCacheThreshold  = .3
	sglangBalanceAbsolute = 64
	sglangBalanceRelative = 1.5
	sglangTreeTokens      = 1 << 24 // max_tree_size is 2^24 characters; taken as tokens, which favours it
)

func (p *cacheAware) Pick(s *balancer.Snapshot, r *balancer.Request) *balancer.Endpoint {
	least, most := int64(math.MaxInt64), int64(0)
	for i := range s.Len() {
		n := s.At(i).InFlight()
		least, most = min(least, n), max(most, n)
	}
	q := p.request(r)
	blocks := p.blocks(q)
	shortest, longest, smallest := best{request: r}, best{request: r}, best{request: r}
	candidates(s, r, func(e *balancer.Endpoint) {
		shortest.offer(e, -float64(e.InFlight()))
		longest.offer(e, float64(p.index.match(e, blocks)))
		smallest.offer(e, -float64(p.index.size(e)))
	})
	chosen := smallest.chosen
	switch matched := longest.score * float64(p.g.w.blockTokens); {
	case most-least > sglangBalanceAbsolute && float64(most) > sglangBalanceRelative*float64(least):
		chosen = shortest.chosen
	case longest.chosen != nil && matched > sglangCacheThreshold*float64(q.PromptTokens):
		chosen = longest.chosen
	}
	if chosen != nil {
		p.index.insert(chosen, blocks)
	}
	return chosen
}
