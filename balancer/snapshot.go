package balancer

import (
	"math"
	"sync/atomic"
)

const unlimited = math.MaxInt64

// rampFloor is the share with which a slow start begins.
const rampFloor = 0.1

// Options are a pool's settings that a pick depends on.
type Options struct {
	// MaxInFlight is the most requests in flight per endpoint; an endpoint that has as many is never picked. 0 is unlimited.
	MaxInFlight int64
}

// Snapshot is an immutable set of the endpoints that may be picked, with their weights as they were when it was made. Any
// number of goroutines may use it.
type Snapshot struct {
	endpoints []*Endpoint
	hashes    []uint64 // of the names, side by side: a rendezvous pick reads all of them
	limit     int64    // MaxInFlight, or unlimited
	prime     uint64   // the smallest prime that is not below len(endpoints); see order

	// Set only where capacities differ.
	capacity    []float64
	cumulative  []float64 // sums of capacity up to and with each endpoint
	maxCapacity float64

	places []int32 // the endpoints by the part of their hash that a prefixIndex keeps; see place
	// owners are the endpoints of groups of keys, each 1 more than its index; 0 is not known yet. See ownerOf.
	owners  atomic.Pointer[[ownerGroups]atomic.Int32]
	ramps   []ramp // set only where an endpoint has a slow start
	rampEnd int64  // when the last ramp ends; long ago if there is none

	inverse []float64 // 1/capacity, as dividing is slow; set only where either of the above is
}

// ramp is a slow start in monotonic ns.
type ramp struct{ start, end int64 }

// NewSnapshot returns a snapshot of eps, which it copies. Names must be unique. Capacities and slow starts are read now: what
// is set on an endpoint later takes effect with the next snapshot.
func NewSnapshot(eps []*Endpoint, opts Options) *Snapshot {
	s := &Snapshot{
		endpoints:   append([]*Endpoint(nil), eps...),
		hashes:      make([]uint64, len(eps)),
		limit:       unlimited,
		prime:       primeFrom(uint64(len(eps))),
		maxCapacity: 1,
		rampEnd:     math.MinInt64,
	}
	if opts.MaxInFlight > 0 {
		s.limit = opts.MaxInFlight
	}
	for i, e := range eps {
		s.hashes[i] = e.hash
	}
	s.makePlaces()
	s.readCapacities()
	s.readRamps()
	if s.capacity != nil || s.ramps != nil {
		s.inverse = make([]float64, len(eps))
		for i := range eps {
			s.inverse[i] = 1 / s.Weight(i, math.MaxInt64)
		}
	}
	return s
}

func (s *Snapshot) readCapacities() {
	n := len(s.endpoints)
	differ := false
	for _, e := range s.endpoints {
		differ = differ || e.Capacity() != s.endpoints[0].Capacity()
	}
	if !differ {
		return
	}
	capacity := make([]float64, n)
	for i, e := range s.endpoints {
		capacity[i] = e.Capacity()
	}
	s.capacity, s.cumulative, s.maxCapacity = capacity, make([]float64, n), 0
	sum := 0.0
	for i, c := range capacity {
		sum += c
		s.cumulative[i] = sum
		s.maxCapacity = max(s.maxCapacity, c)
	}
}

func (s *Snapshot) readRamps() {
	for i, e := range s.endpoints {
		length := e.slowStart.Load()
		if length <= 0 {
			continue
		}
		if s.ramps == nil {
			s.ramps = make([]ramp, len(s.endpoints))
			for k := range s.ramps {
				s.ramps[k].end = math.MinInt64
			}
		}
		start := e.startedAt.Load()
		s.ramps[i] = ramp{start, start + length}
		s.rampEnd = max(s.rampEnd, start+length)
	}
}

// Len returns how many endpoints may be picked.
func (s *Snapshot) Len() int { return len(s.endpoints) }

// At returns endpoint i, in the order that NewSnapshot was given.
func (s *Snapshot) At(i int) *Endpoint { return s.endpoints[i] }

// MaxInFlight returns the most requests in flight per endpoint; 0 is unlimited.
func (s *Snapshot) MaxInFlight() int64 {
	if s.limit == unlimited {
		return 0
	}
	return s.limit
}

// Weight returns endpoint i's weight at a time in monotonic ns: its capacity, reduced while its slow start lasts.
func (s *Snapshot) Weight(i int, now int64) float64 {
	w := 1.0
	if s.capacity != nil {
		w = s.capacity[i]
	}
	if s.ramping(now) && now < s.ramps[i].end {
		w *= s.ramps[i].share(now)
	}
	return w
}

// slowdown returns by how much endpoint i's slow start raises its costs: 1/share, 1 when it is over.
func (s *Snapshot) slowdown(i int, now int64) float64 {
	if r := s.ramps[i]; now < r.end {
		return 1 / r.share(now)
	}
	return 1
}

// share returns how much of its capacity an endpoint gets at a time before the ramp's end: 0.1 at its start, rising linearly.
func (r ramp) share(now int64) float64 {
	done := float64(now-r.start) / float64(r.end-r.start)
	return rampFloor + (1-rampFloor)*max(done, 0)
}

// ramping reports whether any slow start lasts at that time.
func (s *Snapshot) ramping(now int64) bool { return now < s.rampEnd }

// weighted reports whether endpoints' weights differ at that time. Where they do not, picks save all arithmetic on them.
func (s *Snapshot) weighted(now int64) bool { return s.capacity != nil || s.ramping(now) }

// hasRoom reports whether e may take one more request.
func (s *Snapshot) hasRoom(e *Endpoint) bool { return e.inFlight.Load() < s.limit }

// primeFrom returns the smallest prime that is not below n.
func primeFrom(n uint64) uint64 {
	for p := max(n, 2); ; p++ {
		if isPrime(p) {
			return p
		}
	}
}

func isPrime(p uint64) bool {
	for d := uint64(2); d*d <= p; d++ {
		if p%d == 0 {
			return false
		}
	}
	return true
}

// makePlaces makes the table in which place looks endpoints up: open addressing, half empty or more.
func (s *Snapshot) makePlaces() {
	size := 2
	for size < 2*len(s.endpoints) {
		size *= 2
	}
	s.places = make([]int32, size)
	for i := range s.places {
		s.places[i] = -1
	}
	for i, e := range s.endpoints {
		at := int(e.owner()) & (size - 1)
		for s.places[at] >= 0 {
			at = (at + 1) & (size - 1)
		}
		s.places[at] = int32(i)
	}
}

// place returns the index of the endpoint whose owner() it is; -1 if there is none. Of two that have the same, it finds the first.
func (s *Snapshot) place(owner uint64) int {
	for at := int(owner) & (len(s.places) - 1); s.places[at] >= 0; at = (at + 1) & (len(s.places) - 1) {
		if i := int(s.places[at]); s.hashes[i]>>(64-ownerBits) == owner {
			return i
		}
	}
	return -1
}

// has reports whether e is one of the snapshot's endpoints.
func (s *Snapshot) has(e *Endpoint) bool {
	owner := e.owner()
	for at := int(owner) & (len(s.places) - 1); s.places[at] >= 0; at = (at + 1) & (len(s.places) - 1) {
		if s.endpoints[s.places[at]] == e {
			return true
		}
	}
	return false
}

// ownerGroups is how many groups keys are dealt with in by ownerOf. What belongs to a group goes to one endpoint; so many of them make 1,000
// endpoints' shares equal within an eighth or so.
const ownerGroups = 1 << 16

// ownerOf returns the endpoint that rendezvous hashing gives a key's group to, without regard to weights. In large snapshots, a group's owner is
// found when it is first asked for, and then kept.
func (s *Snapshot) ownerOf(key uint64) int {
	group := key >> 48
	if len(s.endpoints) <= readWhole {
		return s.highestOf(group)
	}
	owners := s.owners.Load()
	if owners == nil {
		s.owners.CompareAndSwap(nil, new([ownerGroups]atomic.Int32))
		owners = s.owners.Load()
	}
	known := &owners[group]
	if known.Load() == 0 {
		known.Store(int32(s.highestOf(group) + 1))
	}
	return int(known.Load() - 1)
}

func (s *Snapshot) highestOf(group uint64) int {
	best, highest := 0, uint64(0)
	for i, h := range s.hashes {
		if rank := mix(group ^ h); rank >= highest {
			best, highest = i, rank
		}
	}
	return best
}
