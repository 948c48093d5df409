package balancer

// prefix sends requests whose prompts begin alike to the same endpoint, which has what it computed of that beginning in its cache. A
// key's owner is the endpoint that rendezvous hashing ranks highest for it, in proportion to weight (see session): every gateway finds the
// same one without talking to others, an endpoint that leaves hands its keys on to all others, and one that comes takes over only the keys
// that it will own.
//
// An owner takes a request while it has room and its load is within a bound, so that no prefix, however popular, melts a replica:
//
//	P <= share * (1.25 * total P + n * slackTokens)      and      I <= share * (1.25 * total I + n * slackRequests)
//
// before the request is added, where P and I are as in leastTokens, the totals are those of the pool's n endpoints, and share is the
// endpoint's part of all weights. With equal weights that is 1.25 times the mean, and slack: in a quiet pool the mean is next to nothing,
// and a cache is worth more than to be one step ahead.
//
// A request has two owners: that of its first key and, where it is long enough, that of its first 2,048 tokens. The first is asked first; the second
// divides up what a popular beginning has too much of by how prompts go on, and so keeps conversations together that begin with the same
// long template. If neither may take it, or the request has no key, leastTokens' order decides. In simulations of 16 replicas under a
// recorded load, that was better than to ask for the first key's second-ranked endpoint, too: what has never been there gains nothing by
// going there, and loses the choice.
type prefix struct{}

const (
	// dividingKey is the key, that of 2,048 tokens, whose owner is asked second.
	dividingKey = 5
	// slackTokens is how many prompt tokens an owner may always have ahead: what one step of an engine takes in by default (vLLM's
	// max_num_batched_tokens on an H100), 0.2 s for an 8B model.
	slackTokens = 8192
	// slackRequests is how many requests above the bound an owner may always have in flight. Eight more sequences in the batch slow
	// each down by some percent.
	slackRequests = 8
)

func (prefix) Done(*Endpoint, *Request, Done) {}

func (prefix) Pick(s *Snapshot, r *Request) *Endpoint {
	if r.KeyCount <= 0 || len(s.endpoints) == 0 {
		return s.lightest(r)
	}
	b := bound{s: s, r: r}
	if e := b.owner(r.Keys[0]); e != nil {
		return e
	}
	if r.KeyCount > dividingKey {
		if e := b.owner(r.Keys[dividingKey]); e != nil {
			return e
		}
	}
	return s.lightest(r)
}

// bound holds owners to their share of the pool's load. It adds the pool up only as far as it must: few loads are so high that all of
// the others' are needed to allow them.
type bound struct {
	s *Snapshot
	r *Request

	added            int // endpoints that the totals are of
	tokens, requests int64
}

// owner returns the owner of a key if it may take the request, else nil.
func (b *bound) owner(key uint64) *Endpoint {
	i, weights := b.s.highest(mix(key), b.r.Now)
	if e := b.s.endpoints[i]; b.s.hasRoom(e) && !b.r.tried(e) && b.allows(e, b.s.Weight(i, b.r.Now)/weights) {
		return e
	}
	return nil
}

// allows reports whether e, which has that share of all weights, is within the bound.
func (b *bound) allows(e *Endpoint, share float64) bool {
	n := float64(len(b.s.endpoints))
	needTokens := (float64(e.tokens.Load())/share - n*slackTokens) / loadBound
	needRequests := (float64(e.inFlight.Load())/share - n*slackRequests) / loadBound
	for float64(b.tokens) < needTokens || float64(b.requests) < needRequests {
		if b.added == len(b.s.endpoints) {
			return false
		}
		other := b.s.endpoints[b.added]
		b.tokens += other.tokens.Load()
		b.requests += other.inFlight.Load()
		b.added++
	}
	return true
}
