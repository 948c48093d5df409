package engine

// prefixCache is the KV cache of one replica, in blocks. A block is free, private to one sequence (only counted), or named: known
// by what it holds, so that sequences can share it. A named block is referenced by the sequences that use it, and idle when
// nobody does; idle blocks stay until they are evicted, the longest idle first.
//
// Free blocks are used before idle ones are evicted. (vLLM keeps unnamed blocks in the same queue as idle ones, so it evicts
// slightly earlier.)
type prefixCache struct {
	total   int // blocks in all
	free    int // blocks that hold nothing
	private int // blocks that one sequence holds and nobody else may share
	idle    int // named blocks without a reference

	slots     []slot  // arena of named blocks
	freeSlots []int32 // arena indices not in use
	buckets   []int32 // hash table over the slots, chained; its length is a power of two
	oldest    int32   // ends of the list of idle blocks
	newest    int32
}

// slot is one named block.
type slot struct {
	name       uint64
	references int32
	prev, next int32 // in the list of idle blocks, from oldest to newest
	chain      int32 // next slot of the same bucket
}

func newPrefixCache(blocks int) prefixCache {
	return prefixCache{total: blocks, free: blocks, oldest: none, newest: none}
}

// available is how many blocks take can hand out.
func (c *prefixCache) available() int { return c.free + c.idle }

// inUse is how many blocks sequences hold.
func (c *prefixCache) inUse() int { return c.total - c.free - c.idle }

// take makes n blocks private, evicting idle ones where no free ones are left. The caller has seen that n are available.
func (c *prefixCache) take(n int) {
	if n > c.available() {
		panic("BUG: more KV blocks taken than there are")
	}
	for c.free < n {
		c.evict()
	}
	c.free -= n
	c.private += n
}

// give frees n private blocks.
func (c *prefixCache) give(n int) {
	if n < 0 || n > c.private {
		panic("BUG: KV blocks given back that were not held")
	}
	c.private -= n
	c.free += n
}

// lookup finds the longest run of leading blocks that is cached, at most limit, and appends their slots to found. It says how
// many of them are idle, and changes nothing.
func (c *prefixCache) lookup(found []int32, names []uint64, limit int) (slots []int32, idle int) {
	for _, name := range names[:min(limit, len(names))] {
		i := c.find(name)
		if i == none {
			break
		}
		if c.slots[i].references == 0 {
			idle++
		}
		found = append(found, i)
	}
	return found, idle
}

// acquire adds a reference to each slot.
func (c *prefixCache) acquire(slots []int32) {
	for _, i := range slots {
		if c.slots[i].references == 0 {
			c.unlinkIdle(i)
		}
		c.slots[i].references++
	}
}

// release drops one reference of each slot, the last first.
func (c *prefixCache) release(held []int32) {
	for j := len(held) - 1; j >= 0; j-- {
		c.releaseSlot(held[j])
	}
}

func (c *prefixCache) releaseSlot(i int32) {
	s := &c.slots[i]
	s.references--
	if s.references > 0 {
		return
	}
	if s.references < 0 {
		panic("BUG: a KV block was released more often than it was acquired")
	}
	c.linkIdle(i)
}

// name turns a private block into a named one with one reference, and returns its slot, or none if another block has that name
// already; the block then stays private.
func (c *prefixCache) name(name uint64) int32 {
	if c.find(name) != none {
		return none
	}
	if c.private == 0 {
		panic("BUG: a KV block was named that nobody holds")
	}
	c.private--
	i := c.newSlot()
	c.slots[i] = slot{name: name, references: 1, prev: none, next: none}
	c.insert(i)
	return i
}

// evict forgets the block that was idle the longest, and frees it.
func (c *prefixCache) evict() {
	i := c.oldest
	c.unlinkIdle(i)
	c.remove(i)
	c.freeSlots = append(c.freeSlots, i)
	c.free++
}

func (c *prefixCache) linkIdle(i int32) {
	s := &c.slots[i]
	s.prev, s.next = c.newest, none
	if c.newest == none {
		c.oldest = i
	} else {
		c.slots[c.newest].next = i
	}
	c.newest = i
	c.idle++
}

func (c *prefixCache) unlinkIdle(i int32) {
	s := &c.slots[i]
	if s.prev == none {
		c.oldest = s.next
	} else {
		c.slots[s.prev].next = s.next
	}
	if s.next == none {
		c.newest = s.prev
	} else {
		c.slots[s.next].prev = s.prev
	}
	s.prev, s.next = none, none
	c.idle--
}

func (c *prefixCache) newSlot() int32 {
	if n := len(c.freeSlots); n > 0 {
		i := c.freeSlots[n-1]
		c.freeSlots = c.freeSlots[:n-1]
		return i
	}
	c.slots = append(c.slots, slot{})
	if len(c.slots) > len(c.buckets) {
		c.grow()
	}
	return int32(len(c.slots) - 1)
}

// bucket spreads names that callers number from zero as well as they would spread hashes.
func (c *prefixCache) bucket(name uint64) *int32 {
	name *= 0x9e3779b97f4a7c15 // 2^64 / golden ratio (Knuth's multiplicative hashing)
	return &c.buckets[(name>>32)&uint64(len(c.buckets)-1)]
}

func (c *prefixCache) find(name uint64) int32 {
	if len(c.buckets) == 0 {
		return none
	}
	i := *c.bucket(name)
	for i != none && c.slots[i].name != name {
		i = c.slots[i].chain
	}
	return i
}

func (c *prefixCache) insert(i int32) {
	b := c.bucket(c.slots[i].name)
	c.slots[i].chain = *b
	*b = i
}

func (c *prefixCache) remove(i int32) {
	at := c.bucket(c.slots[i].name)
	for *at != i {
		at = &c.slots[*at].chain
	}
	*at = c.slots[i].chain
}

// grow doubles the hash table. The slot being made is the arena's last and is not in the table yet; all others are.
func (c *prefixCache) grow() {
	c.buckets = make([]int32, max(64, 2*len(c.buckets)))
	for b := range c.buckets {
		c.buckets[b] = none
	}
	for i := range c.slots[:len(c.slots)-1] {
		c.insert(int32(i))
	}
}
