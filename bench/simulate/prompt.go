package simulate

import (
	"math"
	"math/rand/v2"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/trace"
)

// describe fills in what a gateway would read of a request's prompt (gateway/openai.PromptScan): an estimate of its tokens, and keys of its
// beginning. Where the trace's blocks are larger than the keys' steps, a key stands for the block that it ends in.
func (w *world) describe(r *balancer.Request, index int) {
	q := &w.o.Trace.Requests[index]
	random := rand.New(rand.NewPCG(w.o.Seed, uint64(index)))
	scale := math.Exp(random.NormFloat64() * w.o.EstimateError)
	r.Tokens = max(1, int64(float64(q.PromptTokens)*scale))
	if q.SystemTokens > 0 {
		r.System, r.SystemTokens = systemKey(q, w.blockTokens), int64(float64(q.SystemTokens)*scale)
	}
	if q.Session != 0 {
		r.Session, r.SessionSet = q.Session, true
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

func systemKey(q *trace.Request, blockTokens int) uint64 {
	if n := min(q.SystemTokens/blockTokens, len(q.Blocks)); n > 0 {
		return mix(q.Blocks[n-1])
	}
	return 1
}

// mix spreads every bit of x over the result (the finalizer of SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014; constants by D. Stafford).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
