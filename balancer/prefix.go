package balancer

import "math"

// prefix sends requests whose prompts begin alike to the same endpoint, which has what it computed of that beginning in its cache. A
// key has two owners, the endpoints that rendezvous hashing ranks first and second for it, in proportion to weight (see session): every
// gateway finds the same ones without talking to others, an endpoint that leaves hands its keys to their second owners, and one that
// comes takes over only the keys that it will own.
//
// An owner takes a request while it has room and its load is within a bound, so that no prefix, however popular, melts a replica:
//
//	P <= share * (1.25 * total P + n * slackTokens)      and      I <= share * (1.25 * total I + n * slackRequests)
//
// before the request is added, where P and I are as in leastTokens, the totals are those of the pool's n endpoints, and share is the
// endpoint's part of all weights. With equal weights that is 1.25 times the mean, and slack: in a quiet pool the mean is next to nothing,
// and a cache is worth more than to be one step ahead.
//
// The first owner is asked first. Where the request has all keys, the owners of the last key come after both owners of the first: they divide
// up what a popular prefix has too much of by how its prompts go on, and so keep the caches of conversations that begin with the same
// long template. When they may not take it either, or the request has no key, leastTokens' order decides.
type prefix struct{}

const (
	// slackTokens is how many prompt tokens an owner may always have ahead: what one step of an engine takes in by default (vLLM's
	// max_num_batched_tokens on an H100), 0.2 s for an 8B model.
	slackTokens = 8192
	// slackRequests is how many requests above the bound an owner may always have in flight. Eight more sequences in the batch slow
	// each down by some percent.
	slackRequests = 8
)

func (prefix) Done(*Endpoint, Done) {}

func (prefix) Pick(s *Snapshot, r *Request) *Endpoint {
	if r.KeyCount <= 0 || len(s.endpoints) == 0 {
		return s.lightest(r)
	}
	b := bound{s: s, r: r}
	if e := b.owner(r.Keys[0]); e != nil {
		return e
	}
	if r.KeyCount == PrefixKeys {
		if e := b.owner(r.Keys[PrefixKeys-1]); e != nil {
			return e
		}
	}
	return s.lightest(r)
}

// owners returns the endpoints that rank first and second for a key, the same one twice if there is no other, and the sum of all weights.
func (s *Snapshot) owners(key uint64, now int64) (first, second int, weights float64) {
	if s.weighted(now) {
		return s.ownersWeighted(key, now)
	}
	best, next := uint64(math.MaxUint64), uint64(math.MaxUint64)
	for i, h := range s.hashes {
		score := rendezvous(key, h)
		if score >= next {
			continue
		}
		if score < best {
			second, next = first, best
			first, best = i, score
		} else {
			second, next = i, score
		}
	}
	return first, second, float64(len(s.hashes))
}

func (s *Snapshot) ownersWeighted(key uint64, now int64) (first, second int, weights float64) {
	best, next := math.Inf(1), math.Inf(1)
	for i, h := range s.hashes {
		weight := s.Weight(i, now)
		weights += weight
		x := unit(rendezvous(key, h))
		if x >= next*weight {
			continue
		}
		switch rank := rankOf(x, weight); {
		case rank < best:
			second, next = first, best
			first, best = i, rank
		case rank < next:
			second, next = i, rank
		}
	}
	return first, second, weights
}

// bound holds owners to their share of the pool's load. It adds the pool up only as far as it must: few loads are so high that all of
// the others' are needed to allow them.
type bound struct {
	s *Snapshot
	r *Request

	added            int // endpoints that the totals are of
	tokens, requests int64
}

// owner returns the owner of a key that may take the request; nil if none may.
func (b *bound) owner(key uint64) *Endpoint {
	first, second, weights := b.s.owners(mix(key), b.r.Now)
	if b.allows(first, weights) {
		return b.s.endpoints[first]
	}
	if second != first && b.allows(second, weights) {
		return b.s.endpoints[second]
	}
	return nil
}

// allows reports whether endpoint i has room, was not tried, and is within the bound.
func (b *bound) allows(i int, weights float64) bool {
	e := b.s.endpoints[i]
	tokens, requests := e.tokens.Load(), e.inFlight.Load()
	if requests >= b.s.limit || b.r.tried(e) {
		return false
	}
	n, share := float64(len(b.s.endpoints)), b.s.Weight(i, b.r.Now)/weights
	needTokens := (float64(tokens)/share - n*slackTokens) / loadBound
	needRequests := (float64(requests)/share - n*slackRequests) / loadBound
	for float64(b.tokens) < needTokens || float64(b.requests) < needRequests {
		if b.added == len(b.s.endpoints) {
			return false
		}
		e := b.s.endpoints[b.added]
		b.tokens += e.tokens.Load()
		b.requests += e.inFlight.Load()
		b.added++
	}
	return true
}
