package balancer

import "math/bits"

// expected is how much of a prompt endpoints have cached, as far as a gateway can tell:
//
//   - where it sent a prompt with the same beginning, by how much went into the cache since (its age) and by how often that was true of late;
//   - at the owner of the prompt's first key, by rendezvous hashing, what was found there of late. Other gateways send the prompts that are
//     new to them there, too, which is how gateways that do not talk find each other's prompts;
//   - everywhere, the system prompt, once it was sent anywhere.
//
// How often a guess was right is learned from the cached tokens that responses tell.
type expected struct {
	a     *auto
	s     *Snapshot
	r     *Request
	peers float64

	tokens  float64 // of the prompt
	system  float64 // tokens that are cached everywhere
	owner   int     // endpoint; -1 is none
	matches [mostMatches]match
	known   int // matches
}

// match is an endpoint to which a prompt with the same beginning was sent.
type match struct {
	index  int
	tokens float64 // the beginning's, the system prompt included
	age    uint64  // in ticks of the endpoint's clock
}

// mostMatches is how many endpoints are found that were sent the prompt's beginning; those with the longest.
const mostMatches = 16

// guess is what is expected of an endpoint, and why.
type guess struct {
	tokens float64 // that are cached
	asked  float64 // that the guess is a part of
	kind   guessKind
}

// guessKind says what a guess goes by: nothing, the owner, or a match by its age; see poolLearned.
type guessKind uint8

const (
	noGuess    guessKind = iota
	ownerNew             // the owner, and no endpoint is known to have seen the beginning
	ownerSeen            // the owner, while others are known to have seen it
	firstMatch           // a match of age class 0; at the owner, where there are peers, of ageClasses more
)

// ageClasses are powers of two of ticks.
const ageClasses = clockBits + 1

// bet is what a request was sent by, to be held against what its response tells.
type bet struct {
	kind          guessKind
	asked, system float32
	before        int64 // tokens owed on the endpoint when the request came
}

// find looks up who has seen the prompt's beginning.
func (x *expected) find(a *auto, s *Snapshot, r *Request, peers float64) {
	x.a, x.s, x.r, x.peers = a, s, r, peers
	index := a.index
	index.fetch(r)
	x.owner = -1
	tokens := r.promptTokens()
	system := min(max(r.SystemTokens, 0), tokens)
	x.tokens = float64(tokens)
	if r.System != 0 && index.has(mix(r.System)) {
		x.system = float64(system)
	}
	switch {
	case r.KeyCount > 0:
		x.owner = s.ownerOf(mix(r.Keys[0]))
	case r.SessionSet:
		x.owner = s.ownerOf(mix(r.Session)) // and nothing tells what else was sent there
		return
	default:
		return
	}
	// Who was sent a long beginning was sent the shorter ones, too.
	low, high := 0, min(r.KeyCount, PrefixKeys)
	for low < high {
		if mid := (low + high) / 2; index.has(mix(r.Keys[mid])) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for i := low - 1; i >= 0 && x.known < mostMatches; i-- {
		x.addMatches(mix(r.Keys[i]), float64(min(system+KeyTokens[i], tokens)))
	}
}

// addMatches adds the endpoints that were sent a key, unless a longer one was found of them.
func (x *expected) addMatches(key uint64, tokens float64) {
	b, t := x.a.index.bucket(key), tag(key)
	for i := range b {
		entry := b[i].Load()
		if entry == 0 || !isTag(entry, t) {
			continue
		}
		at := x.s.place(entry >> clockBits & ownerMask)
		if at < 0 || x.known == mostMatches || x.match(at) != nil {
			continue
		}
		x.matches[x.known] = match{at, tokens, (x.s.endpoints[at].clock() - entry) & clockMask}
		x.known++
	}
}

func (x *expected) match(index int) *match {
	for i := range x.known {
		if x.matches[i].index == index {
			return &x.matches[i]
		}
	}
	return nil
}

// guess says how much of the prompt endpoint i has cached.
func (x *expected) guess(i int) guess {
	pool := &x.a.pool
	if m := x.match(i); m != nil {
		class, owner := bits.Len64(m.age), 0
		if i == x.owner && x.peers > alone {
			owner = 1
		}
		asked := max(m.tokens-x.system, 0)
		found := pool.hits[owner][class].value(x.prior(i, m.age), hitWeight)
		return x.limited(asked, found, firstMatch+guessKind(class+owner*ageClasses))
	}
	if i != x.owner {
		return guess{tokens: x.system}
	}
	kind := ownerNew
	if x.known > 0 {
		kind = ownerSeen
	}
	found := pool.owned[kind-ownerNew].value(pool.hope(x.peers), ownerWeight)
	if x.peers > alone {
		found = max(found, pool.found.value(ownerLeast, ownerWeight))
	}
	return x.limited(x.tokens-x.system, found, kind)
}

// limited makes a guess that leaves something to compute, as engines do.
func (x *expected) limited(asked, found float64, kind guessKind) guess {
	return guess{min(x.system+asked*found, .99*x.tokens), asked, kind}
}

const (
	// hitWeight and ownerWeight are how many tokens' worth of evidence what is believed at first counts for.
	hitWeight, ownerWeight = 2000, 200_000
	// ownerHope is what owners are believed to have at first. It is high, as gateways find each other's prompts only if all of them try.
	// Where responses do not tell of caches it gives way to ownerUntold after toldEnough of them.
	ownerHope, ownerUntold = .9, .2
	toldEnough             = 200
	// surelyAlone is how many of its own requests a gateway has to have seen in polls before it believes that it has no peers.
	surelyAlone = 10
	// Where there are peers, owners are believed to have at least what is found of prompts in general, at first ownerLeast: else gateways that
	// once missed each other's prompts would stop sending them where they could be found.
	ownerLeast = .1
	// youngAge is how much may have come in, in ticks, before a cache of unknown size is believed to have begun to forget.
	youngAge = 256
)

// prior is the part of a match that is believed to be still cached, as long as nothing is known.
func (x *expected) prior(i int, age uint64) float64 {
	if s := x.s.endpoints[i].Signals(); s != nil && s.Blocks.Known() && s.BlockSize.Known() {
		if float64(age<<clockShift)*x.peers < s.Blocks.Value*s.BlockSize.Value {
			return 1
		}
		return .1
	}
	if age < youngAge {
		return 1
	}
	return .3
}

// hope is the part of a prompt that its owner is believed to have, as long as nothing is known. Who is alone has sent there himself what is there.
func (p *poolLearned) hope(peers float64) float64 {
	switch {
	case peers <= alone && p.others.weight() > surelyAlone:
		return 0
	case p.told.Load() > toldEnough:
		return ownerUntold
	}
	return ownerHope
}

// settle learns from how a bet came out. Engines that never tell of cached tokens say that there were none; nothing is learned from these.
func (p *poolLearned) settle(b *bet, d Done) {
	if !p.tellsHits.Load() {
		if d.CachedTokens == 0 {
			p.told.Add(1)
			return
		}
		p.tellsHits.Store(true)
		p.told.Store(0)
	}
	found := max(0, float64(d.CachedTokens)-float64(b.system))
	p.found.add(found, max(0, float64(d.PromptTokens)-float64(b.system)), .998)
	switch {
	case b.kind >= firstMatch:
		k := int(b.kind - firstMatch)
		p.hits[k/ageClasses][k%ageClasses].add(found, float64(b.asked), .99)
	case b.kind != noGuess:
		p.owned[b.kind-ownerNew].add(found, float64(b.asked), .99)
	}
}
