package simulate

import (
	"math"
	"testing"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/trace"
)

// describedBy is what gateways read of the requests of a load.
func describedBy(t *testing.T, load *trace.Trace, change func(o *Options)) []balancer.Request {
	w := newTestWorld(t, testOptions(t, load, 1, change))
	described := make([]balancer.Request, len(load.Requests))
	for i := range described {
		w.describe(&described[i], i)
	}
	return described
}

// TestKeysTellCommonBeginnings: two prompts have as many keys in common as they have tokens in common, rounded down to keys and blocks.
func TestKeysTellCommonBeginnings(t *testing.T) {
	load := &trace.Trace{Name: "beginnings", BlockTokens: 64}
	begin := beginning(1, 40)
	for _, common := range []int{40, 8, 12, 13, 16, 20, 39, 40} { // the first 8 blocks are the system prompt
		blocks := append(begin[:common:common], beginning(100+common, 40)[common:]...)
		load.Requests = append(load.Requests, trace.Request{PromptTokens: 40*64 + 10, OutputTokens: 1, SystemTokens: 512, Blocks: blocks})
	}
	described := describedBy(t, load, nil)
	for i, want := range []int{6, 0, 1, 1, 2, 3, 5, 6} { // of 256, 512, 768, 1024, 1536 and 2048 tokens
		r := &described[i]
		same := 0
		for same < r.KeyCount && r.Keys[same] == described[0].Keys[same] {
			same++
		}
		if r.KeyCount != 6 || same != want {
			t.Errorf("prompt %d has %d keys, %d of them in common with the first, want 6 and %d", i, r.KeyCount, same, want)
		}
		if r.System == 0 || r.System != described[0].System {
			t.Errorf("prompt %d does not have the same system prompt", i)
		}
	}
}

func TestWithoutBlocksNothingIsShared(t *testing.T) {
	load := even(3, 0, 5000, 1)
	for i := range load.Requests {
		load.Requests[i].SystemTokens = 600
	}
	seen := make(map[uint64]bool)
	for i, r := range describedBy(t, load, nil) {
		if r.System != 0 || r.KeyCount != 8 {
			t.Errorf("prompt %d has the system prompt %d and %d keys", i, r.System, r.KeyCount)
		}
		for _, key := range r.Keys[:r.KeyCount] {
			if seen[key] {
				t.Errorf("prompt %d shares a key", i)
			}
			seen[key] = true
		}
	}
}

func TestEstimates(t *testing.T) {
	load := even(20_000, 0, 10_000, 1)
	for _, spread := range []float64{0, .1, .5} {
		sum, squares := 0.0, 0.0
		for _, r := range describedBy(t, load, func(o *Options) { o.EstimateError = spread }) {
			x := math.Log(float64(r.Tokens) / 10_000)
			sum += x
			squares += x * x
		}
		n := float64(len(load.Requests))
		if mean, sd := sum/n, math.Sqrt(squares/n); math.Abs(mean) > .02*spread || math.Abs(sd-spread) > .02*spread {
			t.Errorf("logarithms of estimates are off by %v +-%v, want 0 +-%v", mean, sd, spread)
		}
	}
}

// TestSessions: only the policy that needs them is told which session a request belongs to, as with a gateway's defaults.
func TestSessions(t *testing.T) {
	load := even(2, 0, 100, 1)
	load.Requests[1].Session = 7
	for policy, want := range map[string]bool{"session": true, "auto": false} {
		described := describedBy(t, load, func(o *Options) { o.Policy = policy })
		if r := described[1]; r.Tokens > 0 == want {
			t.Errorf("%s: the prompt is told: %v", policy, r.Tokens)
		} else if described[0].SessionSet || r.SessionSet != want || want && r.Session != 7 {
			t.Errorf("%s: sessions are %v and %v", policy, described[0].SessionSet, r.SessionSet)
		}
	}
}
