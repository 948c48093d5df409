package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// compare runs the engine and the oracle through the same random life and fails where they differ.
type compare struct {
	t      testing.TB
	engine *Engine
	oracle *naive
	now    int64
	lastID uint64
	tokens map[uint64]int // tokens seen of each request
	wanted map[uint64]int
	cancel int
}

func newCompare(t testing.TB, c Config) *compare {
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	c = e.Config()
	return &compare{
		t: t, engine: e, oracle: &naive{config: c, total: c.KVTokens / c.BlockTokens},
		tokens: map[uint64]int{}, wanted: map[uint64]int{},
	}
}

func (c *compare) submit(r Request) {
	c.lastID++
	r.ID = c.lastID
	if err := c.engine.Submit(c.now, r); err != nil {
		return // too long for this engine
	}
	c.wanted[r.ID] = r.MaxTokens
	c.oracle.arriving = append(c.oracle.arriving, &naiveSequence{request: r, ready: c.now + int64(c.oracle.config.Overhead)})
}

func (c *compare) abort(id uint64) {
	got, want := c.engine.Cancel(id), c.oracle.cancel(id)
	if got != want {
		c.t.Fatalf("cancel of %d gives %v, want %v", id, got, want)
	}
	if got {
		delete(c.wanted, id)
		c.cancel++
	}
	c.check()
}

func (c *compare) step() {
	at := c.engine.Next()
	if want := c.oracle.next(); at != want {
		c.t.Fatalf("next step at %d, want %d", at, want)
	}
	if at == Never {
		return
	}
	c.now = max(c.now, at)
	_, events := c.engine.Step(at)
	var want []Event
	if c.oracle.busy {
		want = c.oracle.complete()
		c.oracle.finish(events)
	}
	c.oracle.schedule(at)
	for _, ev := range events {
		c.tokens[ev.ID]++
		if ev.Tokens != c.tokens[ev.ID] {
			c.t.Fatalf("request %d: token %d after %d tokens", ev.ID, ev.Tokens, c.tokens[ev.ID]-1)
		}
	}
	byID := func(a, b Event) int { return int(a.ID) - int(b.ID) }
	got := slices.SortedFunc(slices.Values(events), byID)
	slices.SortFunc(want, byID)
	if !slices.Equal(got, want) {
		c.t.Fatalf("step at %d gives\n%+v\nwant\n%+v", at, got, want)
	}
	c.check()
}

func (c *compare) check() {
	checkInvariants(c.t, c.engine)
	if got, want := c.engine.Stats(), c.oracle.snapshot(); got != want {
		c.t.Fatalf("stats\n%+v\nwant\n%+v", got, want)
	}
}

// finish runs what is left and checks that tokens and blocks are conserved.
func (c *compare) finish() {
	for range 1_000_000 {
		if c.engine.Next() == Never {
			break
		}
		c.step()
	}
	for id, want := range c.wanted {
		if c.tokens[id] != want {
			c.t.Fatalf("request %d got %d tokens, want %d", id, c.tokens[id], want)
		}
	}
	s := c.engine.Stats()
	if s.Running+s.Waiting+s.Arriving != 0 || s.KVUsage != 0 || s.Finished != int64(len(c.wanted)) || s.Cancelled != int64(c.cancel) {
		c.t.Fatalf("at the end: %+v", s)
	}
	total := 0
	for _, n := range c.tokens {
		total += n
	}
	if s.GenerationTokens != int64(total) {
		c.t.Fatalf("%d tokens generated, %d reported", s.GenerationTokens, total)
	}
}

// conversation makes block names such that equal values mean equal prefixes: a tree with two branches at every block.
func conversation(branch uint64, blocks int) []uint64 {
	names := make([]uint64, blocks)
	name := uint64(1)
	for i := range names {
		name = name<<1 | branch>>i&1
		names[i] = name
	}
	return names
}

// live turns bytes into a life: each byte submits, steps or cancels.
func live(t testing.TB, life []byte) {
	p, err := LookupProfile(DefaultProfile)
	if err != nil {
		t.Fatal(err)
	}
	p.KVTokens, p.MaxBatchedTokens, p.MaxSequences = 240, 24, 6
	p.Overhead /= 4
	c := newCompare(t, Config{Profile: p, BlockTokens: 4, EveryToken: true})
	for len(life) >= 3 {
		op, a, b := life[0], int(life[1]), int(life[2])
		life = life[3:]
		switch op % 8 {
		case 0, 1, 2:
			prompt, output := 1+a%100, 1+b%90
			c.submit(Request{
				PromptTokens: prompt, MaxTokens: output,
				Blocks: conversation(uint64(op>>3)&7, min((prompt+output)/4, int(op>>6)*15)),
			})
		case 3:
			if c.lastID > 0 {
				c.abort(1 + uint64(a)%c.lastID)
			}
		default:
			for range 1 + a%10 {
				c.step()
			}
		}
	}
	c.finish()
}

func TestEngineAgreesWithTheOracle(t *testing.T) {
	preemptions, hits := int64(0), int64(0)
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		life := make([]byte, 3*120)
		for i := range life {
			life[i] = byte(random.Uint32())
		}
		live(t, life)
	}
	// The comparison means little if the lives avoid the hard parts.
	p, _ := LookupProfile(DefaultProfile)
	p.KVTokens, p.MaxBatchedTokens, p.MaxSequences = 240, 24, 6
	c := newCompare(t, Config{Profile: p, BlockTokens: 4, EveryToken: true})
	random := rand.New(rand.NewPCG(9, 9))
	for range 300 {
		prompt, output := 1+random.IntN(60), 1+random.IntN(60)
		c.submit(Request{PromptTokens: prompt, MaxTokens: output, Blocks: conversation(random.Uint64(), (prompt+output)/4)})
		for range 5 {
			c.step()
		}
	}
	c.finish()
	preemptions, hits = c.engine.Stats().Preemptions, c.engine.Stats().PrefixHits
	if preemptions < 50 || hits < 100 {
		t.Errorf("only %d preemptions and %d hits", preemptions, hits)
	}
}

func FuzzEngine(f *testing.F) {
	f.Add([]byte{0, 90, 80, 200, 90, 80, 4, 9, 0, 3, 1, 0})
	f.Add([]byte{0xff, 99, 89, 0xfe, 99, 89, 0xfd, 99, 89, 4, 9, 0, 4, 9, 0})
	f.Fuzz(func(t *testing.T, life []byte) {
		if len(life) > 600 {
			return
		}
		live(t, life)
	})
}
