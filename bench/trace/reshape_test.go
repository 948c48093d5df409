package trace

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestSuperposeOnceIsEqual(t *testing.T) {
	tr := generateChats(t, smallChats())
	if got := tr.Superpose(1, 5); !reflect.DeepEqual(got, tr) {
		t.Error("one copy differs from the trace")
	}
}

func TestSuperpose(t *testing.T) {
	tr := generateChats(t, smallChats())
	const n = 3
	all := tr.Superpose(n, 5)
	mustValidate(t, all)
	if len(all.Requests) != n*len(tr.Requests) || all.Duration() > tr.Duration() {
		t.Fatalf("%d requests in %v", len(all.Requests), all.Duration())
	}
	if !reflect.DeepEqual(all, tr.Superpose(n, 5)) {
		t.Error("the same seed gives another trace")
	}
	if reflect.DeepEqual(all, tr.Superpose(n, 6)) {
		t.Error("another seed gives the same trace")
	}
	// The first copy is unchanged: taking away what is the trace's leaves the others.
	sessions := map[uint64]bool{}
	for _, r := range tr.Requests {
		sessions[r.Session] = true
	}
	var first []Request
	for _, r := range all.Requests {
		if sessions[r.Session] {
			first = append(first, r)
		}
	}
	if !reflect.DeepEqual(first, tr.Requests) {
		t.Error("the first copy is not the trace")
	}
	if got, want := distinct(all, func(r Request) []uint64 { return []uint64{r.Session} }), n*len(sessions); got != want {
		t.Errorf("%d conversations, want %d", got, want)
	}
}

// distinct counts what requests have.
func distinct(tr *Trace, have func(Request) []uint64) int {
	seen := map[uint64]bool{}
	for _, r := range tr.Requests {
		for _, x := range have(r) {
			seen[x] = true
		}
	}
	return len(seen)
}

func TestSuperposedCopiesShareOnlySystemPrompts(t *testing.T) {
	tr := generateChats(t, smallChats())
	all := tr.Superpose(4, 5)
	system := func(r Request) []uint64 { return r.Blocks[:r.SystemTokens/16] }
	rest := func(r Request) []uint64 { return r.Blocks[r.SystemTokens/16:] }
	if got, want := distinct(all, system), distinct(tr, system); got != want {
		t.Errorf("%d different blocks of system prompts, want %d", got, want)
	}
	if got, want := distinct(all, rest), 4*distinct(tr, rest); got != want {
		t.Errorf("%d different blocks after system prompts, want %d", got, want)
	}
	arrays := func(tr *Trace) int {
		seen := map[*uint64]bool{}
		for _, r := range tr.Requests {
			seen[&r.Blocks[0]] = true
		}
		return len(seen)
	}
	if got, want := arrays(all), 4*arrays(tr); got != want {
		t.Errorf("blocks lie in %d arrays, want %d", got, want)
	}
}

func TestSuperposeRotates(t *testing.T) {
	tr := &Trace{BlockTokens: 16}
	for i := range 10 {
		tr.Requests = append(tr.Requests, Request{At: time.Duration(i) * time.Second, PromptTokens: i + 1, OutputTokens: 1, Session: 1})
	}
	for seed := range uint64(20) {
		copied := tr.Superpose(2, seed)
		mustValidate(t, copied)
		var delays []time.Duration
		for _, r := range copied.Requests {
			if r.Session != 1 {
				delay := r.At - time.Duration(r.PromptTokens-1)*time.Second
				delays = append(delays, (delay+9*time.Second)%(9*time.Second))
			}
		}
		if len(delays) != 10 || len(slices.Compact(delays)) != 1 {
			t.Errorf("requests are delayed by %v", delays)
		}
	}
}

func TestSpeedCutLimit(t *testing.T) {
	tr := NoReuse(1, 100, 1)
	fast := tr.Speed(4)
	mustValidate(t, fast)
	for i := range tr.Requests {
		if fast.Requests[i].At != tr.Requests[i].At/4 {
			t.Fatalf("request %d comes at %v instead of %v / 4", i, fast.Requests[i].At, tr.Requests[i].At)
		}
	}
	mustValidate(t, tr.Speed(1e-300))
	at := tr.Requests[40].At
	for _, c := range []struct {
		what string
		got  *Trace
		want int
	}{
		{"cut before", tr.Cut(at), 40}, {"cut after", tr.Cut(at + 1), 41}, {"cut at nothing", tr.Cut(0), 0},
		{"cut at the end", tr.Cut(time.Hour), 100},
		{"limit", tr.Limit(7), 7}, {"limit to nothing", tr.Limit(-1), 0}, {"limit to more", tr.Limit(101), 100},
	} {
		if len(c.got.Requests) != c.want || c.got.Name != tr.Name {
			t.Errorf("%s: %d requests, want %d", c.what, len(c.got.Requests), c.want)
		}
		mustValidate(t, c.got)
	}
}

func TestSpeedPanicsOnNonsense(t *testing.T) {
	for _, factor := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic with %v", factor)
				}
			}()
			NoReuse(1, 1, 1).Speed(factor)
		}()
	}
}
