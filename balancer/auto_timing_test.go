package balancer

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// conversed returns auto, a busy pool of n endpoints, and requests of conversations with 16 keys each; known says that the pool has had all
// but their last three keys, and full that the index has no free entry left.
func conversed(n int, known, full bool) (*auto, *Snapshot, []Request) {
	a := newAuto(Objectives{}).(*auto)
	eps := busyPool(n)
	s := NewSnapshot(eps, Options{MaxInFlight: 1 << 40})
	if full {
		for i := range uint64(3 << 20) {
			a.index.note(mix(i<<20), eps[i%uint64(n)])
		}
	}
	requests := make([]Request, 1<<10)
	for i := range requests {
		r := chat(i, PrefixKeys-1, 1e9)
		r.System, r.SystemTokens = 5, 500
		if known {
			r.KeyCount -= 3
			for k := range 2 {
				a.index.noteAll(r, eps[(i+k)%n])
			}
			r.KeyCount += 3
		}
		requests[i] = *r
	}
	return a, s, requests
}

// anew makes r a request of another conversation.
func (r *Request) anew(seed uint64) {
	r.Rand = nextRandom(seed)
	for k := range r.Keys {
		r.Keys[k] = seed<<8 + uint64(k) + 1<<50
	}
}

func eachConversed(b *testing.B, run func(b *testing.B, a *auto, s *Snapshot, requests []Request, known bool)) {
	for _, n := range benchSizes {
		for _, known := range []bool{true, false} {
			for _, full := range []bool{false, true} {
				b.Run(fmt.Sprintf("%d/known=%v/full=%v", n, known, full), func(b *testing.B) {
					a, s, requests := conversed(n, known, full)
					b.ReportAllocs()
					b.ResetTimer()
					run(b, a, s, requests, known)
				})
			}
		}
	}
}

// BenchmarkAutoPick is auto's choice for conversations of 16 keys.
func BenchmarkAutoPick(b *testing.B) {
	eachConversed(b, func(b *testing.B, a *auto, s *Snapshot, requests []Request, known bool) {
		for i := 0; b.Loop(); i++ {
			r := &requests[i%len(requests)]
			if r.Rand = nextRandom(uint64(i)); !known {
				r.anew(uint64(i))
			}
			r.Now += 1e6
			a.Pick(s, r)
		}
	})
}

// BenchmarkAutoCycle is all that the balancer does for a conversation's request, on all cores at once (-cpu says how many).
func BenchmarkAutoCycle(b *testing.B) {
	eachConversed(b, func(b *testing.B, a *auto, s *Snapshot, requests []Request, known bool) {
		bal := New(a)
		bal.SetSnapshot(s)
		var seeds atomic.Uint64
		b.RunParallel(func(pb *testing.PB) {
			seed := mix(seeds.Add(1))
			var r Request
			for pb.Next() {
				seed = nextRandom(seed)
				r = requests[seed%uint64(len(requests))]
				if r.Rand = seed; !known {
					r.anew(seed)
				}
				e, _ := bal.Acquire(&r)
				bal.Answered(&r)
				bal.Release(e, &r, Done{
					Started: r.Now, FirstByte: r.Now + 2e8, FirstToken: r.Now + 2e8, Now: r.Now + 5e9, Streamed: true,
					Told: true, PromptTokens: r.Tokens, CachedTokens: r.Tokens / 2, OutputTokens: 200,
				})
			}
		})
	})
}

// Neither a pick nor anything else that a request takes allocates.
func TestAutoAllocatesNothing(t *testing.T) {
	for _, n := range benchSizes {
		for _, known := range []bool{true, false} {
			a, s, requests := conversed(n, known, false)
			b := New(a)
			b.SetSnapshot(s)
			s.ownerOf(1) // large snapshots make a table of owners, once
			i := uint64(0)
			allocated := testing.AllocsPerRun(2000, func() {
				i++
				r := &requests[i%uint64(len(requests))]
				if r.Rand = nextRandom(i); !known {
					r.anew(i)
				}
				e, _ := b.Acquire(r)
				b.Answered(r)
				b.Release(e, r, Done{Started: 1, FirstToken: 2e8, Now: 5e9, Streamed: true, Told: true, PromptTokens: r.Tokens, OutputTokens: 200})
			})
			if allocated != 0 {
				t.Errorf("with %d endpoints, a request allocates %v times", n, allocated)
			}
		}
	}
}
