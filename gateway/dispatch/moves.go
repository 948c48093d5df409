package dispatch

import (
	"fmt"
	"strings"
)

// tellMoves logs which endpoints the pool has got and which begin to drain: a line for all that move at once, as large pools' may do by the
// hundred. The lock is held.
func (p *Pool) tellMoves(joined, drain []*Endpoint) {
	if p.removed.Load() { // which is told otherwise
		return
	}
	if len(joined) > 0 {
		p.logger.Info("endpoints are added", "count", len(joined), "endpoints", addresses(joined), "total", len(p.endpoints))
	}
	if len(drain) > 0 {
		inFlight := 0
		for _, e := range drain {
			inFlight += e.InFlight()
		}
		p.logger.Info("endpoints drain", "count", len(drain), "endpoints", addresses(drain), "inFlight", inFlight, "ready", p.Ready())
	}
}

// addresses names some endpoints, the first few of many.
func addresses(list []*Endpoint) string {
	const most = 4
	var b strings.Builder
	for i, e := range list[:min(len(list), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.Address)
	}
	if more := len(list) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}
