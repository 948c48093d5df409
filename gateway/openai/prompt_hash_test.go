package openai

import (
	"bytes"
	"math/bits"
	"testing"
)

// TestPromptHashIsStable holds the keys to what other gateways, of other releases too, compute.
func TestPromptHashIsStable(t *testing.T) {
	for text, want := range map[string]uint64{"": 0xa436fc45266b86cc, "a": 0xfaab197c6b3195, "0123456789abcdef0123456789abcdef": 0xc3ef5104b4cde2e8, "The quick brown fox jumps over the lazy dog, twice.": 0x928e80ae54312f3a} {
		if got := hashOf([]byte(text)); got != want {
			t.Errorf("the hash of %q is %#x, want %#x", text, got, want)
		}
	}
	p := scanPrompt(chatPath, turns("You are a helpful assistant.", text("Tell me a story.", 1800), text("Once upon a time", 1200)))
	if p.System != 0x7d5062a97cbfb3b2 || p.KeyCount != 2 || p.Keys[0] != 0xea91ccbe8f57b667 || p.Keys[1] != 0xf5fc538d1d1762d7 {
		t.Errorf("the keys of a conversation are %#x, %#x", p.System, p.Keys[:p.KeyCount])
	}
	// The rest of them, by the hash of all.
	p = scanPrompt("/v1/completions", `{"model":"m","prompt":"`+text("Once upon a time", 260<<10)+`"}`)
	all := uint64(0)
	for _, key := range p.Keys {
		all = combine(all, key)
	}
	if p.KeyCount != PromptKeys || all != 0xbb9a7b2457b916f8 {
		t.Errorf("the %d keys of a long prompt have the hash %#x", p.KeyCount, all)
	}
}

// However text is cut, its hash is the same.
func TestHashDoesNotSeePieces(t *testing.T) {
	data := []byte(prose(300))
	for n := range len(data) {
		want := hashOf(data[:n])
		for _, step := range []int{1, 3, 31, 32, 33, 64} {
			var h textHash
			for rest := data[:n]; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				h.feed(rest[:min(step, len(rest))])
				h.sum()
			}
			if got := h.sum(); got != want {
				t.Fatalf("%d bytes in pieces of %d have the hash %#x, want %#x", n, step, got, want)
			}
		}
	}
}

// Every bit of the text changes about half of the hash's bits, and lengths tell texts of zeros apart.
func TestHashSpreads(t *testing.T) {
	data := []byte(prose(70))
	base := hashOf(data)
	for i := range 8 * len(data) {
		data[i/8] ^= 1 << (i % 8)
		if n := bits.OnesCount64(base ^ hashOf(data)); n < 12 || n > 52 { // five standard deviations of a fair coin's 64 throws
			t.Errorf("bit %d changes %d bits of the hash", i, n)
		}
		data[i/8] ^= 1 << (i % 8)
	}
	seen := make(map[uint64]int)
	for n := range 100 {
		h := hashOf(bytes.Repeat([]byte{0}, n))
		if other, ok := seen[h]; ok {
			t.Errorf("%d and %d zeros have the same hash", other, n)
		}
		seen[h] = n
	}
}

func TestCombineSeesTheOrder(t *testing.T) {
	if combine(1, 2) == combine(2, 1) || combine(0, 0) == 0 {
		t.Error("combine is symmetric, or 0")
	}
}
