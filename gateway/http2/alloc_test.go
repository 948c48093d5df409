package http2

import (
	"runtime"
	"testing"
)

// callBudget is how many objects a unary call may allocate whose fields are all in the connections' tables: none, and a little for the
// runtime's own.
const callBudget = 0.05

func TestUnaryCallKeepsToItsBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what is put into them")
	}
	e := startEndpoint(t)
	serveBare(e, "answer")
	g := startGateway(t, simple, e)
	g.finished.quiet.Store(true)
	c := dialBare(t, g, callOf("/test.Service/Method").with("user-agent", "test"), "question")
	c.calls(t, 500, 1)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 3000
	c.calls(t, n, 1)
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / n; per > callBudget {
		t.Errorf("%.2f allocations a call, want %v at most", per, callBudget)
	}
}
