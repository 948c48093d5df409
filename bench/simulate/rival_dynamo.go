package simulate

import "github.com/penstock/penstock/balancer"

func init() {
	rivals["rival-dynamo"] = func(g *gateway) (balancer.Policy, error) {
		return &overlap{rival: rival{g: g}, active: make(map[*balancer.Endpoint]int64)}, nil
	}
}

// overlap is the KV-aware router of NVIDIA's Dynamo with its default settings (docs.nvidia.com, "KV Cache Routing"): the least
// prefill blocks, less those that are cached there, plus blocks that decode there. Caches are known from the replicas' own events, so exactly
// and at once; blocks in use are those of the router's own requests.
type overlap struct {
	rival
	active map[*balancer.Endpoint]int64 // prompt tokens of the requests in flight there
}

func (p *overlap) Pick(s *balancer.Snapshot, r *balancer.Request) *balancer.Endpoint {
	q, size := p.request(r), float64(p.g.w.blockTokens)
	prompt := float64(q.PromptTokens) / size
	blocks := p.blocks(q)
	least := best{request: r}
	candidates(s, r, func(e *balancer.Endpoint) {
		cached := float64(e.Data.(*replica).engine.PrefixLength(blocks))
		waiting := float64(e.PromptTokens()) / size
		least.offer(e, -(prompt - cached + waiting + float64(p.active[e])/size))
	})
	if least.chosen != nil {
		p.active[least.chosen] += int64(q.PromptTokens)
		r.Owed = r.Tokens - int64(least.chosen.Data.(*replica).engine.PrefixLength(blocks)*p.g.w.blockTokens)
	}
	return least.chosen
}

// Done takes back what Pick counted.
func (p *overlap) Done(e *balancer.Endpoint, r *balancer.Request, _ balancer.Done) {
	p.active[e] -= int64(p.request(r).PromptTokens)
}
