package engine

import (
	"slices"
	"testing"
)

// fill makes n named idle blocks out of the names.
func fill(c *prefixCache, names ...uint64) {
	c.take(len(names))
	var held []int32
	for _, n := range names {
		held = append(held, c.name(n))
	}
	c.release(held)
}

func (c *prefixCache) idleNames() (names []uint64) {
	for i := c.oldest; i != none; i = c.slots[i].next {
		names = append(names, c.slots[i].name)
	}
	return names
}

func TestCacheEvictsTheLongestIdleFirst(t *testing.T) {
	c := newPrefixCache(6)
	fill(&c, 10, 11, 12)
	fill(&c, 20, 21, 22)
	// The deepest block of a sequence goes first, as its prefix is worth more.
	if got, want := c.idleNames(), []uint64{12, 11, 10, 22, 21, 20}; !slices.Equal(got, want) {
		t.Fatalf("idle blocks %v, want %v", got, want)
	}
	held, idle := c.lookup(nil, []uint64{10, 11, 99}, 3)
	if len(held) != 2 || idle != 2 {
		t.Fatalf("found %d blocks, %d idle; want 2 and 2", len(held), idle)
	}
	c.acquire(held)
	c.take(2)
	if got, want := c.idleNames(), []uint64{21, 20}; !slices.Equal(got, want) {
		t.Errorf("after taking two: idle %v, want %v", got, want)
	}
	c.release(held)
	if got, want := c.idleNames(), []uint64{21, 20, 11, 10}; !slices.Equal(got, want) {
		t.Errorf("after the release: idle %v, want %v", got, want)
	}
}

func TestCacheCountsReferences(t *testing.T) {
	c := newPrefixCache(4)
	fill(&c, 1, 2)
	a, idle := c.lookup(nil, []uint64{1, 2}, 2)
	if idle != 2 {
		t.Fatalf("%d idle, want 2", idle)
	}
	c.acquire(a)
	b, idle := c.lookup(nil, []uint64{1, 2}, 1)
	if len(b) != 1 || idle != 0 {
		t.Fatalf("second lookup found %d, %d idle; want 1 and 0", len(b), idle)
	}
	c.acquire(b)
	c.release(a)
	if got := c.idleNames(); !slices.Equal(got, []uint64{2}) || c.inUse() != 1 {
		t.Errorf("idle %v with %d in use; want [2] with 1", got, c.inUse())
	}
	c.take(3) // two free ones and block 2
	if c.find(2) != none || c.find(1) == none {
		t.Error("the wrong block was evicted")
	}
	if c.available() != 0 {
		t.Errorf("%d available while block 1 is held", c.available())
	}
	c.release(b)
	if c.available() != 1 {
		t.Errorf("%d available after the last release, want 1", c.available())
	}
}

func TestCacheKeepsDuplicatesPrivate(t *testing.T) {
	c := newPrefixCache(4)
	c.take(2)
	first := c.name(5)
	if again := c.name(5); first == none || again != none || c.private != 1 {
		t.Errorf("slots %d and %d with %d private, want a slot, none and 1", first, again, c.private)
	}
}

func TestCachePanicsOnImpossibleCounts(t *testing.T) {
	for name, f := range map[string]func(c *prefixCache){
		"take":    func(c *prefixCache) { c.take(3) },
		"give":    func(c *prefixCache) { c.give(1) },
		"name":    func(c *prefixCache) { c.name(1) },
		"release": func(c *prefixCache) { fill(c, 1); c.releaseSlot(0) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			c := newPrefixCache(2)
			f(&c)
		})
	}
}

func TestSharedPrefixIsComputedOnce(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.Overhead = 0 })
	prefix := []uint64{1, 2, 3, 4}
	submit(t, e, 0, Request{ID: 1, PromptTokens: 64, MaxTokens: 3, Blocks: prefix})
	// Of the same step: shares at once. The last full block is computed again, as a prefill must compute its last token.
	submit(t, e, 0, Request{ID: 2, PromptTokens: 64, MaxTokens: 3, Blocks: prefix})
	e.Step(0)
	want := int64(e.config.StepTime(Load{Tokens: 64 + 16, Sequences: 2, HalfPairs: 64*64 + 16*(2*48+16)}))
	if got := e.Next(); got != want {
		t.Errorf("the step takes %d ns, want %d", got, want)
	}
	if got, want := e.cache.inUse(), 5; got != want {
		t.Errorf("%d blocks in use, want %d", got, want)
	}
	for _, ev := range drain(t, e) {
		if want := map[uint64]int{1: 0, 2: 48}[ev.ID]; ev.CachedTokens != want {
			t.Errorf("request %d had %d cached tokens, want %d", ev.ID, ev.CachedTokens, want)
		}
	}
	if s := e.Stats(); s.PrefixHits != 48 || s.PrefixQueries != 128 || s.KVUsage != 0 {
		t.Errorf("stats %+v", s)
	}
	if got := e.cache.idle; got != 4 {
		t.Errorf("%d blocks stay cached, want 4", got)
	}
}

func TestNextTurnFindsTheAnswerInTheCache(t *testing.T) {
	e := newEngine(t, nil)
	turn := []uint64{1, 2, 3, 4, 5, 6}
	// 40 prompt tokens and 40 generated ones, of which the last is never computed: 79 tokens, 4 full blocks.
	submit(t, e, 0, Request{ID: 1, PromptTokens: 40, MaxTokens: 40, Blocks: turn})
	drain(t, e)
	submit(t, e, e.lastNow, Request{ID: 2, PromptTokens: 96, MaxTokens: 1, Blocks: turn})
	if events := drain(t, e); events[0].CachedTokens != 64 {
		t.Errorf("%d tokens cached, want 64", events[0].CachedTokens)
	}
}

func TestWaitingForBlocksDoesNotRefreshThem(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.KVTokens, c.Overhead = 16*8, 0 })
	fill(&e.cache, 1, 2)
	fill(&e.cache, 3)
	submit(t, e, 0, Request{ID: 1, PromptTokens: 64, MaxTokens: 10})
	submit(t, e, 0, Request{ID: 2, PromptTokens: 100, MaxTokens: 1, Blocks: []uint64{1, 2}})
	e.Step(0)
	if got, want := e.cache.idleNames(), []uint64{2, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("idle blocks %v, want %v", got, want)
	}
	if s := e.Stats(); s.Waiting != 1 || s.PrefixQueries != 64 {
		t.Errorf("stats %+v, want one waiting and only the admitted request's lookup counted", s)
	}
}
