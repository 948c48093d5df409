package trace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Superpose returns n copies of the trace over each other, which is n times the load with the same statistics. All but the first are
// rotated in time: each is delayed by a random time, and what passes the end comes at the beginning. Each copy has its own conversations
// and its own blocks, except for blocks of the system prompt, which all share. A conversation that passes the end plays its last turns
// before its first ones. With n of 1 or less the result equals t. Copies of blocks share memory as the blocks of t do. Who superposes a
// result again needs another seed, as new names depend on it.
func (t *Trace) Superpose(n int, seed uint64) *Trace {
	n = max(n, 1)
	all := *t
	if n > 1 {
		all.Name = fmt.Sprintf("%s, %d times", t.Name, n)
	}
	all.Requests = make([]Request, 0, n*len(t.Requests))
	all.Requests = append(all.Requests, t.Requests...)
	random := rand.New(rand.NewPCG(seed, 0))
	for k := 1; k < n; k++ {
		delay := time.Duration(random.Int64N(int64(t.Duration()) + 1))
		all.Requests = t.appendCopy(all.Requests, chain(seed, uint64(k)), delay)
	}
	all.sort()
	return &all
}

// appendCopy appends a copy of t's requests. Its name is a hash: a small number would give names that also follow in a chain.
func (t *Trace) appendCopy(to []Request, name uint64, delay time.Duration) []Request {
	blocks := t.copyBlocks(name)
	for _, r := range t.Requests {
		// Not r.At+delay > t.Duration(), which might overflow.
		if r.At > t.Duration()-delay {
			r.At -= t.Duration()
		}
		r.At += delay
		if len(r.Blocks) > 0 {
			r.Blocks = blocks[t.run(&r)][:len(r.Blocks):len(r.Blocks)]
		}
		if r.Session != 0 {
			r.Session = session(r.Session, name)
		}
		to = append(to, r)
	}
	return to
}

// run identifies the blocks of requests that share an array, as the turns of a generated conversation do.
type run struct {
	first  *uint64
	system int // leading blocks that lie in the system prompt
}

func (t *Trace) run(r *Request) run { return run{&r.Blocks[0], r.SystemTokens / t.BlockTokens} }

// copyBlocks renames the blocks for the copy of that name. The longest of the slices that share an array stands for all of them.
func (t *Trace) copyBlocks(name uint64) map[run][]uint64 {
	longest := make(map[run][]uint64)
	for i := range t.Requests {
		r := &t.Requests[i]
		if len(r.Blocks) == 0 {
			continue
		}
		if key := t.run(r); len(r.Blocks) > len(longest[key]) {
			longest[key] = r.Blocks
		}
	}
	for key, blocks := range longest {
		renamed := slices.Clone(blocks)
		for i := min(key.system, len(renamed)); i < len(renamed); i++ {
			renamed[i] = chain(renamed[i], name)
		}
		longest[key] = renamed
	}
	return longest
}
