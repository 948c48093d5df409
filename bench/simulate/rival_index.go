package simulate

import "github.com/penstock/penstock/balancer"

// blockIndex is what a router remembers of the blocks that it has sent to each endpoint, the least recently sent ones forgotten beyond a
// number of blocks per endpoint. It stands for the trees and indexes of SGLang's and llm-d's routers: both match whole blocks from the
// prompt's beginning on.
type blockIndex struct {
	most    int // blocks per endpoint
	entries map[*balancer.Endpoint]*sentBlocks
}

// sentBlocks is the blocks that were sent to one endpoint, by last use.
type sentBlocks struct {
	byName map[uint64]*sentBlock
	root   sentBlock // of a ring: next is the newest, previous the oldest
}

type sentBlock struct {
	name           uint64
	previous, next *sentBlock
}

func newBlockIndex(most int) *blockIndex {
	return &blockIndex{most: most, entries: make(map[*balancer.Endpoint]*sentBlocks)}
}

func (x *blockIndex) of(e *balancer.Endpoint) *sentBlocks {
	s := x.entries[e]
	if s == nil {
		s = &sentBlocks{byName: make(map[uint64]*sentBlock)}
		s.root.previous, s.root.next = &s.root, &s.root
		x.entries[e] = s
	}
	return s
}

// match is how many of the leading blocks were sent to e.
func (x *blockIndex) match(e *balancer.Endpoint, blocks []uint64) int {
	s := x.of(e)
	for i, name := range blocks {
		if s.byName[name] == nil {
			return i
		}
	}
	return len(blocks)
}

// size is how many blocks are remembered of e.
func (x *blockIndex) size(e *balancer.Endpoint) int { return len(x.of(e).byName) }

// insert notes that the blocks were sent to e.
func (x *blockIndex) insert(e *balancer.Endpoint, blocks []uint64) {
	s := x.of(e)
	for i := len(blocks) - 1; i >= 0; i-- { // so that the deepest are forgotten first
		b := s.byName[blocks[i]]
		if b == nil {
			b = &sentBlock{name: blocks[i]}
			s.byName[b.name] = b
		} else {
			b.previous.next, b.next.previous = b.next, b.previous
		}
		b.previous, b.next = &s.root, s.root.next
		b.previous.next, b.next.previous = b, b
	}
	for len(s.byName) > x.most {
		oldest := s.root.previous
		oldest.previous.next, s.root.previous = &s.root, oldest.previous
		delete(s.byName, oldest.name)
	}
}
