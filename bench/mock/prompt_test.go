package mock

import (
	"slices"
	"strings"
	"testing"
)

func TestPromptCountsTokens(t *testing.T) {
	for name, c := range map[string]struct {
		build func(*prompt)
		want  int
	}{
		"nothing":   {func(p *prompt) {}, 1},
		"one byte":  {func(p *prompt) { p.text = []byte("x") }, 1},
		"five":      {func(p *prompt) { p.text = []byte("12345") }, 2},
		"message":   {func(p *prompt) { p.addMessage("user", []byte("12345")) }, 3},
		"role":      {func(p *prompt) { p.addRole("") }, 1},
		"token ids": {func(p *prompt) { p.addTokens([]uint32{1, 2, 3}) }, 3},
	} {
		var p prompt
		c.build(&p)
		if p.close(); p.tokens() != c.want {
			t.Errorf("%s: %d tokens, want %d", name, p.tokens(), c.want)
		}
	}
}

// common is how many leading blocks two prompts share.
func common(a, b []uint64) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func TestBlocksNamePrefixes(t *testing.T) {
	blocks := func(model, text string, output int) []uint64 {
		p := prompt{text: []byte(text)}
		r, answer := p.request(model, output)
		if len(answer) != output*tokenBytes || r.PromptTokens != (len(text)+3)/4 || len(r.Blocks) != (r.PromptTokens+output)/16 {
			t.Errorf("%d bytes: %d prompt tokens, %d blocks, answer %q", len(text), r.PromptTokens, len(r.Blocks), answer)
		}
		return r.Blocks
	}
	base := strings.Repeat("0123456789abcdef", 40) // 10 blocks
	whole := blocks("m", base, 1)
	for _, c := range []struct {
		name string
		got  []uint64
		want int
	}{
		{"equal", blocks("m", base, 1), 10},
		{"one byte differs in the fifth block", blocks("m", base[:300]+"X"+base[301:], 1), 4},
		{"longer", blocks("m", base+"more and more and more", 1), 10},
		{"shifted", blocks("m", "x"+base, 1), 0},
		{"other model", blocks("n", base, 1), 0},
	} {
		if got := common(whole, c.got); got != c.want {
			t.Errorf("%s: %d common blocks, want %d", c.name, got, c.want)
		}
	}
	sorted := slices.Sorted(slices.Values(whole))
	if len(slices.Compact(sorted)) != len(whole) {
		t.Error("blocks of a repetitive text must differ, as their prefixes do")
	}
}

func TestAnswersAreOneTokenAWord(t *testing.T) {
	for _, w := range words {
		if len(w) != tokenBytes-1 || strings.ContainsAny(w, `"\ `) {
			t.Errorf("word %q", w)
		}
	}
}
