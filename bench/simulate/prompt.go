package simulate

import (
	"math"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/trace"
)

// describe fills in what a gateway with the default settings tells the policy of a request: its session to the policy that goes by sessions, and
// its prompt to those that look at prompts.
func (w *world) describe(r *balancer.Request, index int) {
	q := &w.o.Trace.Requests[index]
	if q.Session != 0 && w.o.Policy == "session" {
		r.Session, r.SessionSet = q.Session, true
	}
	if w.readsPrompt {
		w.describePrompt(r, q, index)
	}
}

// describePrompt fills in what a gateway would read of a prompt (gateway/openai.PromptScan): an estimate of its tokens, and keys of its
// beginning. Where the trace's blocks are larger than the keys' steps, a key stands for the block that it ends in.
func (w *world) describePrompt(r *balancer.Request, q *trace.Request, index int) {
	w.estimate.Seed(w.o.Seed, uint64(index))
	scale := math.Exp(w.estimates.NormFloat64() * w.o.EstimateError)
	r.Tokens = max(1, int64(float64(q.PromptTokens)*scale))
	if n := min(q.SystemTokens/w.blockTokens, len(q.Blocks)); n > 0 { // else nothing of it is in caches
		r.System, r.SystemTokens = mix(q.Blocks[n-1]), int64(float64(q.SystemTokens)*scale)
	}
	for i, at := range balancer.KeyTokens {
		end := q.SystemTokens + int(at)
		if end > q.PromptTokens {
			break
		}
		key := uint64(index+1) << 20 // nobody else's, where the trace does not know what is shared
		if block := (end - 1) / w.blockTokens; block < min(len(q.Blocks), q.PromptTokens/w.blockTokens) {
			key = q.Blocks[block]
		} else if len(q.Blocks) > 0 {
			break
		}
		r.Keys[i] = mix(key + uint64(i))
		r.KeyCount = i + 1
	}
}

// mix spreads every bit of x over the result (the finalizer of SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014; constants by D. Stafford).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
