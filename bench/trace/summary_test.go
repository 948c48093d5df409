package trace

import (
	"testing"
	"time"
)

func TestSummary(t *testing.T) {
	tr := &Trace{Name: "four", BlockTokens: 10, Requests: []Request{
		{At: 0, PromptTokens: 25, OutputTokens: 10, Blocks: []uint64{1, 2, 3}},                // the third is of the answer
		{At: time.Second, PromptTokens: 35, OutputTokens: 1, Blocks: []uint64{1, 2, 3}},       // finds all
		{At: 2 * time.Second, PromptTokens: 20, OutputTokens: 10, Blocks: []uint64{1, 4, 5}},  // finds one
		{At: 4 * time.Second, PromptTokens: 20, OutputTokens: 19, Blocks: []uint64{6, 4, 99}}, // finds none, as the first is new
	}}
	mustValidate(t, tr)
	const want = "four: 4 requests in 4s (1.00/s), prompts 25 tokens (p50 20, p99 35), answers 10 tokens (p50 10, p99 19), ideal hit rate 0.400"
	if got := tr.Summary().String(); got != want {
		t.Errorf("summary\n%s\nwant\n%s", got, want)
	}
	empty := (&Trace{BlockTokens: 1}).Summary()
	if empty != (Summary{}) {
		t.Errorf("summary of nothing: %v", empty)
	}
}

func TestValidate(t *testing.T) {
	good := Request{At: 1, PromptTokens: 20, OutputTokens: 12}
	for _, c := range []struct {
		change func(r *Request)
		want   string
	}{
		{func(r *Request) { r.At = -1 }, "cannot use request 1: it comes at -1ns, which is before the trace begins"},
		{func(r *Request) { r.At = 0 }, "cannot use request 1: it comes at 0s, before the previous one at 1ns"},
		{func(r *Request) { r.PromptTokens = 0 }, "cannot use request 1: its prompt has 0 tokens, want 1 to 999999999"},
		{func(r *Request) { r.OutputTokens = 1e9 }, "cannot use request 1: its answer has 1000000000 tokens, want 1 to 999999999"},
		{func(r *Request) { r.SystemTokens = 21 }, "cannot use request 1: its system prompt has 21 tokens, want 0 to 20, the prompt's length"},
		{func(r *Request) { r.Blocks = make([]uint64, 3) },
			"cannot use request 1: it has 3 blocks, want at most 2 of 16 tokens for prompt and answer"},
	} {
		bad := good
		c.change(&bad)
		if err := (&Trace{BlockTokens: 16, Requests: []Request{good, bad}}).Validate(); err == nil || err.Error() != c.want {
			t.Errorf("error is\n%v\nwant\n%s", err, c.want)
		}
	}
	if err := (&Trace{}).Validate(); err == nil || err.Error() != "cannot use blocks of 0 tokens: they must have at least 1" {
		t.Errorf("without a block size: %v", err)
	}
}
