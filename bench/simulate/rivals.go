package simulate

import (
	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/trace"
)

// rival is what the policies of other projects are built on: it sees the request itself, as these look at whole prompts.
type rival struct{ g *gateway }

// Done does nothing.
func (p *rival) Done(*balancer.Endpoint, *balancer.Request, balancer.Done) {}

// request is the trace's request behind r, which may have waited in the queue.
func (p *rival) request(r *balancer.Request) *trace.Request {
	return &p.g.w.o.Trace.Requests[p.g.w.flightOf[r].index]
}

// blocks are the names of the prompt's full blocks.
func (p *rival) blocks(q *trace.Request) []uint64 {
	return q.Blocks[:min(len(q.Blocks), q.PromptTokens/p.g.w.blockTokens)]
}

// draw returns a random number below n. It goes on from the pick's own, so that it is the same in every run.
func draw(r *balancer.Request, n int) int {
	r.Rand = mix(r.Rand + 0x9e3779b97f4a7c15)
	return int(r.Rand % uint64(n))
}

// best keeps the endpoint with the highest score; of equals any with the same chance.
type best struct {
	request *balancer.Request
	chosen  *balancer.Endpoint
	score   float64
	equal   int
}

func (b *best) offer(e *balancer.Endpoint, score float64) {
	switch {
	case b.chosen == nil || score > b.score:
		b.chosen, b.score, b.equal = e, score, 1
	case score == b.score:
		b.equal++
		if draw(b.request, b.equal) == 0 {
			b.chosen = e
		}
	}
}

// fits reports whether e has room and has not failed the request.
func fits(s *balancer.Snapshot, r *balancer.Request, e *balancer.Endpoint) bool {
	if limit := s.MaxInFlight(); limit > 0 && e.InFlight() >= limit {
		return false
	}
	for _, t := range r.Tried {
		if t == e {
			return false
		}
	}
	return true
}

// candidates calls offer with all endpoints that fit; with any that has room if none does, as a pick must find room where there is some.
func candidates(s *balancer.Snapshot, r *balancer.Request, offer func(e *balancer.Endpoint)) {
	found := false
	for i := range s.Len() {
		if e := s.At(i); fits(s, r, e) {
			found = true
			offer(e)
		}
	}
	if found {
		return
	}
	for _, e := range r.Tried {
		for i := range s.Len() {
			if limit := s.MaxInFlight(); s.At(i) == e && (limit == 0 || e.InFlight() < limit) {
				offer(e)
			}
		}
	}
}
