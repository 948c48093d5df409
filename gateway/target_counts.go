package gateway

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/gateway/live"
)

// targetCounts counts requests by target where a split has one pool more than once, as with two models: the metrics do not tell those apart, and the
// dashboard shows what splits became of. Other targets are not in it, as their requests are those of their route and pool.
type targetCounts struct {
	mu sync.Mutex
	of map[live.TargetKey]*atomic.Uint64
}

// widen begins the counts of targets that have none yet.
func (c *targetCounts) widen(targets map[live.TargetKey]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range targets {
		if c.of[k] == nil {
			c.of[k] = new(atomic.Uint64)
		}
	}
}

// narrow ends the counts of all other targets. Whoever still has one counts where nobody looks.
func (c *targetCounts) narrow(targets map[live.TargetKey]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.of, func(k live.TargetKey, _ *atomic.Uint64) bool { return !targets[k] })
}

// find returns the count of a target; nil if it has none.
func (c *targetCounts) find(k live.TargetKey) *atomic.Uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[k]
}

// read returns all counts.
func (c *targetCounts) read() map[live.TargetKey]uint64 {
	c.mu.Lock()
	all := maps.Clone(c.of)
	c.mu.Unlock()
	counts := make(map[live.TargetKey]uint64, len(all))
	for k, n := range all {
		counts[k] = n.Load()
	}
	return counts
}
