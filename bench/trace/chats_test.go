package trace

import (
	"math"
	"testing"
	"time"
)

// smallChats is a load whose lengths are no multiples of its blocks.
func smallChats() ChatOptions {
	return ChatOptions{
		Rate: 5, Requests: 5000, Seed: 11,
		SystemPrompts: 2, SystemTokens: 50,
		Documents: 5, DocumentTokens: Lengths{Mean: 100, Spread: .5}, DocumentSkew: 1,
		Turns: 3, Think: 5 * time.Second,
		UserTokens: Lengths{Mean: 20, Spread: .5}, OutputTokens: Lengths{Mean: 30, Spread: .5},
	}
}

func generateChats(t *testing.T, o ChatOptions) *Trace {
	t.Helper()
	tr, err := Chats(o)
	if err != nil {
		t.Fatal(err)
	}
	mustValidate(t, tr)
	return tr
}

func TestChatsKeepTheirRateFromTheBeginning(t *testing.T) {
	o := smallChats()
	o.Rate, o.Requests = 500, 100_000
	tr := generateChats(t, o)
	for from := time.Duration(0); from < 200*time.Second; from += 10 * time.Second {
		n := len(tr.Cut(from+10*time.Second).Requests) - len(tr.Cut(from).Requests)
		within(t, "requests of 10 s from "+from.String(), float64(n), 5000, .08)
	}
}

func TestConversations(t *testing.T) {
	o := smallChats()
	o.Requests = 30_000
	tr := generateChats(t, o)
	last := map[uint64]Request{}
	turns := map[uint64]int{}
	for i, r := range tr.Requests {
		if r.Session == 0 {
			t.Fatal("a request without conversation")
		}
		turns[r.Session]++
		before, ok := last[r.Session]
		last[r.Session] = r
		if !ok {
			continue
		}
		if r.At < before.At+time.Duration(before.OutputTokens)*answerTime {
			t.Fatalf("request %d comes before the answer of the one before it", i)
		}
		if r.PromptTokens <= before.PromptTokens+before.OutputTokens {
			t.Fatalf("request %d has %d tokens of prompt after %d and %d of answer", i, r.PromptTokens, before.PromptTokens, before.OutputTokens)
		}
		if n := (before.PromptTokens + before.OutputTokens) / o.blockSize(); len(before.Blocks) != n {
			t.Fatalf("request %d has %d blocks, want %d", i, len(before.Blocks), n)
		}
		if len(before.Blocks) > 0 && &before.Blocks[0] != &r.Blocks[0] {
			t.Fatalf("request %d has its blocks for itself", i)
		}
	}
	within(t, "turns", float64(len(tr.Requests))/float64(len(turns)), o.Turns, .05)
}

// blockSize is what BlockTokens comes to.
func (o ChatOptions) blockSize() int {
	if o.BlockTokens == 0 {
		return defaultBlockTokens
	}
	return o.BlockTokens
}

// TestNamesStandForAllBeforeThem rebuilds what each block of a trace covers from its name: one name comes always after the same names.
func TestNamesStandForAllBeforeThem(t *testing.T) {
	type place struct {
		index    int
		previous uint64
	}
	places := map[uint64]place{}
	shared := map[int]map[uint64]bool{} // by index, the names that several conversations have
	first := map[uint64]uint64{}
	for _, r := range generateChats(t, smallChats()).Requests {
		var previous uint64
		for i, name := range r.Blocks {
			p := place{i, previous}
			if old, ok := places[name]; ok && old != p {
				t.Fatalf("name %x stands for %v and %v", name, old, p)
			}
			places[name] = p
			if first[name] == 0 {
				first[name] = r.Session
			} else if first[name] != r.Session {
				if shared[i] == nil {
					shared[i] = map[uint64]bool{}
				}
				shared[i][name] = true
			}
			previous = name
		}
	}
	// 50 tokens are three full blocks and part of the fourth, which begins a document.
	for i, want := range []int{2, 2, 2, 2 * 5} {
		if len(shared[i]) != want {
			t.Errorf("block %d: conversations share %d different ones, want %d", i, len(shared[i]), want)
		}
	}
}

func TestSeedsHaveNoNamesInCommon(t *testing.T) {
	seen := map[uint64]uint64{}
	for seed := range uint64(8) {
		o := smallChats()
		o.Seed, o.Requests = seed, 500
		for _, r := range generateChats(t, o).Requests {
			for _, name := range append([]uint64{r.Session}, r.Blocks...) {
				if other, ok := seen[name]; ok && other != seed {
					t.Fatalf("seeds %d and %d both have the name %x", other, seed, name)
				}
				seen[name] = seed
			}
		}
	}
}

func TestDocumentsFollowZipf(t *testing.T) {
	o := smallChats()
	o.SystemPrompts, o.SystemTokens, o.DocumentTokens, o.Turns = 0, 0, Lengths{Mean: 16}, 1
	counts := map[uint64]int{}
	for _, r := range generateChats(t, o).Requests {
		counts[r.Blocks[0]]++
	}
	if len(counts) != o.Documents {
		t.Fatalf("%d documents, want %d", len(counts), o.Documents)
	}
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	within(t, "share of the most popular", float64(most)/float64(o.Requests), 1/(1+1./2+1./3+1./4+1./5), .05)
}

func TestPromptsEndAtTheirLimit(t *testing.T) {
	o := smallChats()
	o.MaxPromptTokens, o.Turns, o.DocumentTokens.Spread = 200, 20, 2
	longest := 0
	for _, r := range generateChats(t, o).Requests {
		longest = max(longest, r.PromptTokens)
	}
	if longest > 200 || longest < 190 {
		t.Errorf("the longest prompt has %d tokens", longest)
	}
}

func TestPlainChats(t *testing.T) {
	tr := generateChats(t, ChatOptions{Rate: 1, Requests: 1000, Turns: 1, UserTokens: Lengths{Mean: 160}, OutputTokens: Lengths{Mean: 16}})
	if s := tr.Summary(); s.HitRate != 0 || s.Prompt.P99 != 160 {
		t.Errorf("summary %v", s)
	}
}

func TestChatOptionErrors(t *testing.T) {
	for _, c := range []struct {
		change func(o *ChatOptions)
		want   string
	}{
		{func(o *ChatOptions) { o.Rate = -1 }, "cannot use Rate = -1: it must be a positive number of requests a second"},
		{func(o *ChatOptions) { o.Requests = -1 }, "cannot use Requests = -1: it must be between 1 and 10000000"},
		{func(o *ChatOptions) { o.MaxPromptTokens = 1 }, "cannot use MaxPromptTokens = 1: it must be between 2 and 10000000"},
		{func(o *ChatOptions) { o.BlockTokens = -1 }, "cannot use BlockTokens = -1: it must be between 1 and 65536"},
		{func(o *ChatOptions) { o.SystemPrompts = -1 }, "cannot use SystemPrompts = -1: it must be between 0 and 1000000"},
		{func(o *ChatOptions) { o.SystemPrompts = 0 }, "cannot use SystemPrompts = 0 with SystemTokens = 50: either both or none must be 0"},
		{func(o *ChatOptions) { o.SystemTokens = 32767 },
			"cannot use SystemTokens = 32767: it must be between 0 and 32766, so that a document and a message fit after it"},
		{func(o *ChatOptions) { o.Documents = 1_000_001 }, "cannot use Documents = 1000001: it must be between 0 and 1000000"},
		{func(o *ChatOptions) { o.DocumentTokens.Mean = 0 }, "cannot use DocumentTokens.Mean = 0: it must be between 1 and 1000000 tokens"},
		{func(o *ChatOptions) { o.DocumentSkew = math.NaN() }, "cannot use DocumentSkew = NaN: it must be between 0 and 10"},
		{func(o *ChatOptions) { o.Turns = .5 }, "cannot use Turns = 0.5: it must be between 1 and 1000"},
		{func(o *ChatOptions) { o.Think = -1 }, "cannot use Think = -1ns: it must be between 0 and 24h"},
		{func(o *ChatOptions) { o.UserTokens.Spread = 4 }, "cannot use UserTokens.Spread = 4: it must be between 0 and 3"},
		{func(o *ChatOptions) { o.OutputTokens.Mean = -1 }, "cannot use OutputTokens.Mean = -1: it must be between 1 and 1000000 tokens"},
		{func(o *ChatOptions) { o.Rate, o.Turns, o.Think = 30, 2, 24*time.Hour },
			"cannot use Rate = 30 with a pause of 24h0m0.6s between requests: 1296009 conversations go on at a time, at most 1000000 may"},
	} {
		o := smallChats()
		c.change(&o)
		if _, err := Chats(o); err == nil || err.Error() != c.want {
			t.Errorf("error is\n%v\nwant\n%s", err, c.want)
		}
	}
}
