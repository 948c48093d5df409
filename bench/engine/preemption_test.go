package engine

import "testing"

func TestNewestIsPreemptedAndComputedAgain(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.KVTokens, c.Overhead = 16*10, 0 })
	// 4 blocks each and 2 to spare: at 64 tokens both need a fifth, at 80 a sixth, and there are 10.
	submit(t, e, 0, Request{ID: 1, PromptTokens: 60, MaxTokens: 50})
	submit(t, e, 0, Request{ID: 2, PromptTokens: 60, MaxTokens: 50})
	tokens := map[uint64]int{}
	var preemptedAt int
	for next := e.Next(); next != Never; {
		var events []Event
		next, events = e.Step(next)
		checkInvariants(t, e)
		for _, ev := range events {
			tokens[ev.ID]++
			if ev.Tokens != tokens[ev.ID] || ev.First != (ev.Tokens == 1) || ev.Last != (ev.Tokens == 50) {
				t.Fatalf("after %d tokens came %+v", tokens[ev.ID]-1, ev)
			}
		}
		if e.Stats().Preemptions == 1 && preemptedAt == 0 {
			preemptedAt = tokens[2]
			if s := e.Stats(); s.Running != 1 || s.Waiting != 1 {
				t.Errorf("after the preemption %+v", s)
			}
			if e.sequences[e.running.head].request.ID != 1 {
				t.Error("the older sequence was preempted")
			}
		}
	}
	// The 21st decode step would store the 81st token.
	if preemptedAt != 21 {
		t.Errorf("preempted after %d tokens, want 21", preemptedAt)
	}
	s := e.Stats()
	if s.Preemptions != 1 || s.PromptTokens != 120 || s.GenerationTokens != 100 || s.Finished != 2 || s.PrefixQueries != 120 {
		t.Errorf("stats %+v", s)
	}
}

func TestRecomputeUsesWhatTheCacheKept(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.KVTokens, c.Overhead = 16*10, 0 })
	submit(t, e, 0, Request{ID: 1, PromptTokens: 60, MaxTokens: 22, Blocks: []uint64{1, 2, 3}})
	submit(t, e, 0, Request{ID: 2, PromptTokens: 60, MaxTokens: 50, Blocks: []uint64{11, 12, 13, 14, 15}})
	for e.Stats().Preemptions == 0 {
		e.Step(e.Next())
	}
	// Preempted with 80 tokens computed: all five blocks are named, one is evicted for the older sequence's 81st token.
	for e.Stats().Finished == 0 {
		e.Step(e.Next())
	}
	if got, want := len(e.prefills), 1; got != want {
		t.Fatalf("%d prefills in the step after the older sequence ended, want %d", got, want)
	}
	if c := e.prefills[0]; c.computed != 64 || c.tokens != 81-64 {
		t.Errorf("recompute of %d tokens after %d cached ones, want 17 after 64", c.tokens, c.computed)
	}
	drain(t, e)
}

func TestPartialPrefillGivesWay(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.KVTokens, c.MaxBatchedTokens, c.MaxSequences, c.Overhead = 16*10, 32, 8, 0 })
	submit(t, e, 0, Request{ID: 1, PromptTokens: 32, MaxTokens: 100})
	submit(t, e, 0, Request{ID: 2, PromptTokens: 140, MaxTokens: 2})
	for e.Stats().Preemptions == 0 {
		e.Step(e.Next())
		checkInvariants(t, e)
	}
	if s := e.Stats(); s.Running != 1 || s.Waiting != 1 {
		t.Errorf("after the preemption %+v", s)
	}
	if got := len(drain(t, e)); e.Stats().Finished != 2 || got == 0 {
		t.Errorf("stats %+v", e.Stats())
	}
}
