package loadgen

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/trace"
)

// sent is what a body says.
type sent struct {
	Model         string
	Prompt        string
	MaxTokens     int `json:"max_tokens"`
	Stream        bool
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Messages []struct{ Role, Content string }
}

func bodyOf(t *testing.T, tr *trace.Trace, i int, o Options) sent {
	t.Helper()
	o.fill()
	var s sent
	body := appendBody(nil, tr, i, &o)
	if err := json.Unmarshal(body, &s); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return s
}

func TestBodies(t *testing.T) {
	tr := &trace.Trace{BlockTokens: 16, Requests: []trace.Request{{PromptTokens: 40, OutputTokens: 9, SystemTokens: 12}, {PromptTokens: 1, OutputTokens: 1}}}
	s := bodyOf(t, tr, 0, Options{Model: `a "model"` + "\x01"})
	if s.Model != `a "model"`+"\x01" || s.MaxTokens != 9 || !s.Stream || !s.StreamOptions.IncludeUsage || len(s.Messages) != 2 {
		t.Errorf("%+v", s)
	}
	// The roles of both messages and of the answer are a token each.
	if m := s.Messages; m[0].Role != "system" || len(m[0].Content) != 11*tokenBytes || m[1].Role != "user" || len(m[1].Content) != 26*tokenBytes {
		t.Errorf("messages %+v", s.Messages)
	}
	if s = bodyOf(t, tr, 1, Options{Whole: true}); s.Stream || len(s.Messages) != 1 || len(s.Messages[0].Content) != tokenBytes || s.Model != DefaultOptions.Model {
		t.Errorf("the shortest chat: %+v", s)
	}
	if s = bodyOf(t, tr, 0, Options{API: Completions}); len(s.Prompt) != 40*tokenBytes || s.Messages != nil || !s.Stream {
		t.Errorf("completions: %+v", s)
	}
	for _, word := range strings.Fields(s.Prompt) {
		if len(word) != tokenBytes-1 {
			t.Errorf("%q is no word", word)
		}
	}
}

func TestEqualBlocksHaveEqualText(t *testing.T) {
	const block = 64
	tr := &trace.Trace{BlockTokens: block, Requests: []trace.Request{
		{PromptTokens: 200, Blocks: []uint64{1, 2, 3}, OutputTokens: 1, SystemTokens: 70},
		{PromptTokens: 300, Blocks: []uint64{1, 2, 9, 10}, OutputTokens: 1, SystemTokens: 70},
		{PromptTokens: 200, Blocks: []uint64{1, 2, 3}, OutputTokens: 1, SystemTokens: 70},
		{PromptTokens: 140, Blocks: []uint64{1, 2, 3}, OutputTokens: 60, SystemTokens: 70}, // its answer ends in block 3
		{PromptTokens: 100, OutputTokens: 1},
		{PromptTokens: 100, OutputTokens: 1},
	}}
	text := func(i int, o Options) string { o.API = Completions; return bodyOf(t, tr, i, o).Prompt }
	common := func(a, b string) int {
		n := 0
		for n < min(len(a), len(b)) && a[n] == b[n] {
			n++
		}
		return n / tokenBytes
	}
	whole := text(0, Options{})
	for _, c := range []struct{ a, b, want int }{{0, 1, 2 * block}, {0, 2, 3 * block}, {0, 3, 140}, {4, 5, 0}, {0, 4, 0}} {
		// By chance some words after the beginning that is shared may be equal, too.
		if got := common(text(c.a, Options{}), text(c.b, Options{})); got < c.want || got > c.want+3 {
			t.Errorf("requests %d and %d have %d tokens in common, want %d", c.a, c.b, got, c.want)
		}
	}
	if again := text(0, Options{}); again != whole {
		t.Error("the same request has another text the second time")
	}
	if got := common(text(0, Options{Salt: 1}), text(0, Options{Salt: 2})); got > 3 {
		t.Errorf("with another salt %d tokens are the same", got)
	}
	// In a chat the tokens stay where they are, so the text after both system prompts is the same.
	a, b := bodyOf(t, tr, 0, Options{}).Messages, bodyOf(t, tr, 1, Options{}).Messages
	if a[0].Content != b[0].Content || a[0].Content != whole[tokenBytes:70*tokenBytes] || a[1].Content != whole[71*tokenBytes:199*tokenBytes] {
		t.Error("a chat has other text than the blocks say")
	}
}

// TestMockCountsTokensAsTheTraceDoes sends to a mock replica, and checks the lengths and the cache hits that it counts.
func TestMockCountsTokensAsTheTraceDoes(t *testing.T) {
	for _, api := range []API{Chat, Completions} {
		s, err := mock.New(mock.Options{Speed: 1000})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(l); err != nil {
			t.Fatal(err)
		}
		// A run for each, as a prefix is cached only when an answer before has begun.
		for i, r := range []trace.Request{
			{PromptTokens: 1100, SystemTokens: 600, Blocks: []uint64{1, 2}},
			{PromptTokens: 2000, SystemTokens: 600, Blocks: []uint64{1, 2, 3}},
			{PromptTokens: 777}, {PromptTokens: 3}, {PromptTokens: 1536, Blocks: []uint64{4, 5, 6}}, {PromptTokens: 2048, Blocks: []uint64{4, 5, 6, 7}},
		} {
			r.OutputTokens = 5 + i
			want := []int32{0, 1024, 0, 0, 0, 1536}[i]
			if api == Chat && i == 5 {
				want -= 16 // the answer's role ended the shorter prompt's last block
			}
			tr := &trace.Trace{BlockTokens: 512, Requests: []trace.Request{r}}
			x := mustRun(t, t.Context(), tr, Options{URL: "http://" + s.Addr(), API: api}).Samples[0]
			if x.Outcome != report.OK || int(x.PromptTokens) != r.PromptTokens || int(x.OutputTokens) != r.OutputTokens || x.CachedTokens != want {
				t.Errorf("%s, request %d: %v with %d prompt, %d cached and %d output tokens, want %d, %d and %d", api, i, x.Outcome,
					x.PromptTokens, x.CachedTokens, x.OutputTokens, r.PromptTokens, want, r.OutputTokens)
			}
		}
	}
}
