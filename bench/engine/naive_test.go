package engine

import (
	"math"
	"slices"
)

// naive is the scheduler written down as plainly as possible, a token and a block at a time, as an oracle for Engine. It shares
// only the step-time equation with it.
type naive struct {
	config                    Config
	arriving, waiting, active []*naiveSequence
	blocks                    []*naiveBlock // all blocks that are not free
	total                     int
	clock                     int64 // orders releases
	end                       int64
	busy                      bool
	stats                     Stats
}

type naiveBlock struct {
	name    uint64
	named   bool
	holders int
	idle    int64 // when the last holder let go
}

type naiveSequence struct {
	request  Request
	ready    int64
	computed int // tokens in the KV cache
	chunk    int // tokens that the step in progress computes
	tokens   int // generated
	cached   int
	admitted bool
	decoding bool // the prefill is complete
	offered  int  // leading blocks that were given a name, or were refused one
	held     []*naiveBlock
}

func (n *naive) idle() (idle []*naiveBlock) {
	for _, b := range n.blocks {
		if b.holders == 0 {
			idle = append(idle, b)
		}
	}
	slices.SortFunc(idle, func(a, b *naiveBlock) int { return int(a.idle - b.idle) })
	return idle
}

func (n *naive) available() int { return n.total - len(n.blocks) + len(n.idle()) }

func (n *naive) allocate() *naiveBlock {
	if len(n.blocks) == n.total {
		oldest := n.idle()[0]
		n.blocks = slices.DeleteFunc(n.blocks, func(b *naiveBlock) bool { return b == oldest })
	}
	b := &naiveBlock{holders: 1}
	n.blocks = append(n.blocks, b)
	return b
}

func (n *naive) find(name uint64) *naiveBlock {
	for _, b := range n.blocks {
		if b.named && b.name == name {
			return b
		}
	}
	return nil
}

// offer names the full blocks of a sequence that are not named yet.
func (n *naive) offer(s *naiveSequence, computed int) {
	for ; s.offered < computed/n.config.BlockTokens && s.offered < len(s.request.Blocks); s.offered++ {
		if n.find(s.request.Blocks[s.offered]) == nil {
			b := s.held[s.offered]
			b.name, b.named = s.request.Blocks[s.offered], true
		}
	}
}

func (n *naive) letGo(s *naiveSequence) {
	n.offer(s, s.computed)
	slices.Reverse(s.held)
	for _, b := range s.held {
		b.holders--
		if b.holders > 0 {
			continue
		}
		if !b.named {
			n.blocks = slices.DeleteFunc(n.blocks, func(o *naiveBlock) bool { return o == b })
			continue
		}
		n.clock++
		b.idle = n.clock
	}
	s.held, s.computed, s.chunk, s.offered, s.decoding = nil, 0, 0, 0, false
	n.active = slices.DeleteFunc(n.active, func(o *naiveSequence) bool { return o == s })
}

func (n *naive) preemptNewest() {
	s := n.active[len(n.active)-1]
	n.letGo(s)
	n.waiting = slices.Insert(n.waiting, 0, s)
	n.stats.Preemptions++
}

func (n *naive) schedule(at int64) {
	for len(n.arriving) > 0 && n.arriving[0].ready <= at {
		n.waiting = append(n.waiting, n.arriving[0])
		n.arriving = n.arriving[1:]
	}
	before := n.stats.Preemptions
	need := func() (count int) {
		for _, s := range n.active {
			if s.decoding && s.computed == len(s.held)*n.config.BlockTokens {
				count++
			}
		}
		return count
	}
	for need() > n.available() {
		n.preemptNewest()
	}
	budget := n.config.MaxBatchedTokens
	for _, s := range slices.Clone(n.active) {
		if s.decoding {
			n.run(s, 1)
			budget--
		} else if !n.run(s, min(budget, s.request.PromptTokens+s.tokens-s.computed)) {
			n.preemptNewest()
		} else {
			budget -= s.chunk
		}
	}
	for n.stats.Preemptions == before && len(n.waiting) > 0 && len(n.active) < n.config.MaxSequences && budget > 0 {
		s := n.waiting[0]
		if !n.admit(s, budget) {
			break
		}
		n.waiting = n.waiting[1:]
		budget -= s.chunk
	}
	var l Load
	for _, s := range n.active {
		l.Sequences++
		l.Tokens += s.chunk
		l.HalfPairs += int64(s.chunk) * int64(2*s.computed+s.chunk)
		if s.decoding {
			l.DecodeContext += int64(s.computed)
		}
	}
	n.busy = l.Tokens > 0
	n.end = at + int64(n.config.StepTime(l))
}

// run gives a sequence the blocks for its next tokens.
func (n *naive) run(s *naiveSequence, tokens int) bool {
	need := (s.computed+tokens+n.config.BlockTokens-1)/n.config.BlockTokens - len(s.held)
	if need > n.available() {
		return false
	}
	for range need {
		s.held = append(s.held, n.allocate())
	}
	s.chunk = tokens
	if !s.decoding {
		n.offer(s, s.computed+tokens)
	}
	return true
}

func (n *naive) admit(s *naiveSequence, budget int) bool {
	target := s.request.PromptTokens + s.tokens
	var hits []*naiveBlock
	for i, name := range s.request.Blocks {
		b := n.find(name)
		if b == nil || (i+1)*n.config.BlockTokens > target-1 {
			break
		}
		hits = append(hits, b)
	}
	for _, b := range hits {
		b.holders++
	}
	s.held = hits
	s.computed = len(hits) * n.config.BlockTokens
	s.offered = len(hits)
	if !n.run(s, min(budget, target-s.computed)) {
		for _, b := range hits {
			b.holders--
		}
		s.held, s.computed, s.offered = nil, 0, 0
		return false
	}
	if !s.admitted {
		s.admitted = true
		s.cached = s.computed
		n.stats.PrefixHits += int64(s.computed)
		n.stats.PrefixQueries += int64(s.request.PromptTokens)
	}
	n.active = append(n.active, s)
	return true
}

func (n *naive) complete() (events []Event) {
	n.stats.Steps++
	for _, s := range slices.Clone(n.active) {
		if s.chunk == 0 {
			continue
		}
		s.computed += s.chunk
		s.chunk = 0
		if s.computed < s.request.PromptTokens+s.tokens {
			continue
		}
		s.tokens++
		s.decoding = true
		n.stats.GenerationTokens++
		if s.tokens == 1 {
			n.stats.PromptTokens += int64(s.request.PromptTokens)
		}
		last := s.tokens == s.request.MaxTokens
		events = append(events, Event{At: n.end, ID: s.request.ID, Tokens: s.tokens, CachedTokens: s.cached, First: s.tokens == 1, Last: last})
	}
	return events
}

// finish lets sequences with all their tokens go, in the given order.
func (n *naive) finish(events []Event) {
	for _, ev := range events {
		if ev.Last {
			n.letGo(n.active[slices.IndexFunc(n.active, func(s *naiveSequence) bool { return s.request.ID == ev.ID })])
			n.stats.Finished++
		}
	}
}

func (n *naive) cancel(id uint64) bool {
	is := func(s *naiveSequence) bool { return s.request.ID == id }
	count := len(n.arriving) + len(n.waiting) + len(n.active)
	n.arriving = slices.DeleteFunc(n.arriving, is)
	n.waiting = slices.DeleteFunc(n.waiting, is)
	if i := slices.IndexFunc(n.active, is); i >= 0 {
		s := n.active[i]
		// The engine names the blocks of a prefill when it schedules them, so they count as computed.
		if !s.decoding {
			s.computed += s.chunk
		}
		n.letGo(s)
	}
	if len(n.arriving)+len(n.waiting)+len(n.active) == count {
		return false
	}
	n.stats.Cancelled++
	return true
}

func (n *naive) next() int64 {
	if n.busy {
		return n.end
	}
	if len(n.arriving) > 0 {
		return n.arriving[0].ready
	}
	return math.MaxInt64
}

func (n *naive) snapshot() Stats {
	s := n.stats
	s.Arriving, s.Waiting, s.Running = len(n.arriving), len(n.waiting), len(n.active)
	s.KVUsage = float64(len(n.blocks)-len(n.idle())) / float64(n.total)
	return s
}
