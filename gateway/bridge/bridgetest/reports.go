package bridgetest

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/balancer/load"
)

// Reports collects the load reports that engines hand on. The zero value is ready.
type Reports struct {
	// Publish has reports become signals, as the gateway has it, instead of being collected.
	Publish atomic.Bool

	mu  sync.Mutex
	all []string
}

// Take is what dispatch.Options.Report is set to.
func (r *Reports) Take(e *balancer.Endpoint, value []byte, binary bool, now int64) {
	if r.Publish.Load() {
		load.TakeReport(e, value, binary, now)
		return
	}
	text := string(value)
	if binary {
		text = "binary " + text
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, text)
}

// All returns the reports so far, in their order; those of the -bin field have "binary " before them.
func (r *Reports) All() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}
