package balancer

import "sync/atomic"

// prefixIndex remembers to which endpoints prompts were sent, by the keys of their beginnings. It has a fixed size, forgets what is old,
// takes no lock, and may be wrong: what it says is a guess at what an endpoint has cached.
//
// It is a hash table of buckets that fill a cache line each. An entry has, from the top, 20 bits of the key (the bucket has 17 others), 24
// bits of the endpoint's hash, and 20 bits of the endpoint's clock when the prompt was sent. That clock does not count time but what went
// into the endpoint's cache since (Endpoint.inserted): a cache forgets something by how much came after it.
type prefixIndex struct {
	buckets []indexBucket
}

type indexBucket [indexWays]atomic.Uint64

const (
	indexWays       = 8
	indexBucketBits = 17 // 8 MiB, of which only what is used takes memory
	tagBits         = 20
	ownerBits       = 24
	clockBits       = 20
	ownerMask       = 1<<ownerBits - 1
	clockMask       = 1<<clockBits - 1
	// clockShift makes ticks of 1,024 tokens, so that a clock wraps around after 2^30: half a day of a replica that never rests.
	clockShift = 10
)

func newPrefixIndex() *prefixIndex {
	return &prefixIndex{buckets: make([]indexBucket, 1<<indexBucketBits)}
}

// owner is the part of an endpoint's hash by which the index knows it.
func (e *Endpoint) owner() uint64 { return e.hash >> (64 - ownerBits) }

// clock is the endpoint's cache clock as the index keeps it.
func (e *Endpoint) clock() uint64 { return uint64(e.learned.inserted.Load()) >> clockShift & clockMask }

func (x *prefixIndex) bucket(key uint64) *indexBucket { return &x.buckets[key>>(64-indexBucketBits)] }

// tag is the part of a key that entries have, in its place.
func tag(key uint64) uint64 { return key & (1<<tagBits - 1) << (ownerBits + clockBits) }

func isTag(entry, tag uint64) bool { return entry>>(ownerBits+clockBits) == tag>>(ownerBits+clockBits) }

// fetch loads the buckets of all of a request's keys into the processor's cache. The loads do not wait for each other, as those of a search do.
func (x *prefixIndex) fetch(r *Request) (loaded uint64) {
	for i := range min(max(r.KeyCount, 0), PrefixKeys) {
		loaded |= x.bucket(mix(r.Keys[i]))[0].Load()
	}
	return loaded
}

// has reports whether a prompt with that key was sent anywhere.
func (x *prefixIndex) has(key uint64) bool {
	b, t := x.bucket(key), tag(key)
	for i := range b {
		if entry := b[i].Load(); entry != 0 && isTag(entry, t) {
			return true
		}
	}
	return false
}

// note remembers that a prompt with that key was sent to e. Where the bucket is full, any entry goes: to look for the oldest, each by the clock
// of its own endpoint, takes longer than all else that a pick does.
func (x *prefixIndex) note(key uint64, e *Endpoint) {
	b := x.bucket(key)
	entry := tag(key) | e.owner()<<clockBits | e.clock()
	for i := range b {
		if old := b[i].Load(); old == 0 || (old^entry)>>clockBits == 0 {
			b[i].Store(entry)
			return
		}
	}
	b[mix(entry)%indexWays].Store(entry)
}

// noteAll remembers where a request goes by all of its keys.
func (x *prefixIndex) noteAll(r *Request, e *Endpoint) {
	if r.System != 0 {
		x.note(mix(r.System), e)
	}
	for i := range min(max(r.KeyCount, 0), PrefixKeys) {
		x.note(mix(r.Keys[i]), e)
	}
}
