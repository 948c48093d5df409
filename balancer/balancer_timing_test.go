package balancer

import (
	"fmt"
	"sync/atomic"
	"testing"
)

var benchSizes = []int{8, 64, 1000}

// busyPool returns n endpoints with 1 to 8 requests in flight and some prompts each, so that no scan ends early, and latencies known.
func busyPool(n int) []*Endpoint {
	eps := pool(n)
	for i, e := range eps {
		e.inFlight.Store(1 + int64(mix(uint64(i))%8))
		e.tokens.Store(int64(mix(uint64(i)) >> 32 % 20_000))
		e.latency.Store(uint64(newEWMA(float64(1e6*(1+i%7)), 0)))
	}
	return eps
}

// BenchmarkPick is one policy's choice alone.
func BenchmarkPick(b *testing.B) {
	for _, name := range PolicyNames() {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				p := mustPolicy(b, name)
				s := NewSnapshot(busyPool(n), Options{MaxInFlight: 64})
				r := Request{Now: 1e9, SessionSet: true, Tokens: 500, KeyCount: 1}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					r.Rand, r.Session, r.Keys[0] = nextRandom(uint64(i)), uint64(i), uint64(i)
					if p.Pick(s, &r) == nil {
						b.Fatal("no endpoint")
					}
				}
			})
		}
	}
}

// BenchmarkPickWeighted is one policy's choice while capacities differ and one endpoint starts slowly.
func BenchmarkPickWeighted(b *testing.B) {
	for _, name := range PolicyNames() {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				p := mustPolicy(b, name)
				eps := busyPool(n)
				for i, e := range eps {
					e.SetCapacity(float64(1 + i%2))
				}
				eps[n/2].SetStartedAt(0, 2e9)
				s := NewSnapshot(eps, Options{MaxInFlight: 64})
				r := Request{Now: 1e9, SessionSet: true, Tokens: 500, KeyCount: 1}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					r.Rand, r.Session, r.Keys[0] = nextRandom(uint64(i)), uint64(i), uint64(i)
					if p.Pick(s, &r) == nil {
						b.Fatal("no endpoint")
					}
				}
			})
		}
	}
}

// BenchmarkLightest is what leastTokens takes to read all endpoints, and to read several.
func BenchmarkLightest(b *testing.B) {
	for _, n := range benchSizes {
		s := NewSnapshot(busyPool(n), Options{MaxInFlight: 64})
		r := Request{Now: 1e9, Tokens: 500}
		b.Run(fmt.Sprintf("all/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				r.Rand = nextRandom(uint64(i))
				s.lightestOf(&r, nil)
			}
		})
		if n < several {
			continue
		}
		b.Run(fmt.Sprintf("several/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				r.Rand = nextRandom(uint64(i))
				s.lightestOfSeveral(&r)
			}
		})
	}
}

// BenchmarkHotPrefix is a pick for a prefix whose owners are overloaded, so that the pool is added up and all is looked at.
func BenchmarkHotPrefix(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := NewSnapshot(busyPool(n), Options{})
			r := Request{Now: 1e9, Tokens: 500, KeyCount: PrefixKeys}
			r.Keys[PrefixKeys-1] = 1
			for _, key := range []uint64{0, 1} {
				owner, _ := s.highest(mix(key), 0)
				s.endpoints[owner].tokens.Store(1e9)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Rand = nextRandom(uint64(i))
				prefix{}.Pick(s, &r)
			}
		})
	}
}

// BenchmarkAcquire is Acquire and Release, as every request pays for them, on all cores at once (-cpu says how many).
func BenchmarkAcquire(b *testing.B) {
	for _, name := range PolicyNames() {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				bal := New(mustPolicy(b, name))
				bal.SetSnapshot(NewSnapshot(busyPool(n), Options{MaxInFlight: 64}))
				var seeds atomic.Uint64
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					seed := mix(seeds.Add(1))
					r := Request{Now: 1e9, SessionSet: true, Tokens: 500, KeyCount: 1}
					for pb.Next() {
						seed = nextRandom(seed)
						r.Rand, r.Session, r.Keys[0] = seed, seed, seed
						e, result := bal.Acquire(&r)
						if result != Acquired {
							b.Error(result)
							return
						}
						bal.Release(e, &r, Done{Started: 1e9, FirstByte: 1e9 + 1e6, Now: 1e9 + 2e6})
					}
				})
			})
		}
	}
}

// BenchmarkIdle is Acquire and Release on a pool where nothing else is in flight, where a scan may end early.
func BenchmarkIdle(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bal := New(leastOutstanding{})
			bal.SetSnapshot(NewSnapshot(pool(n), Options{}))
			r := Request{}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Rand = nextRandom(uint64(i))
				e, _ := bal.Acquire(&r)
				bal.Release(e, &r, Done{})
			}
		})
	}
}

// BenchmarkQueue is a request that waits its turn: Enqueue on a full pool, and the Release that grants it.
func BenchmarkQueue(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bal := New(leastOutstanding{})
			bal.SetQueue(1)
			bal.SetSnapshot(NewSnapshot(pool(n), Options{MaxInFlight: 1}))
			var held *Endpoint
			for range n {
				held, _ = bal.Acquire(&Request{})
			}
			w := &Waiter{Notify: func(_ *Waiter, e *Endpoint) { held = e }}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.Rand, w.Deadline = nextRandom(uint64(i)), int64(i+1)
				if !bal.Enqueue(w) {
					b.Fatal("queue is full")
				}
				bal.Release(held, &Request{}, Done{})
			}
		})
	}
}

func BenchmarkNewSnapshot(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			eps := pool(n)
			b.ReportAllocs()
			for b.Loop() {
				NewSnapshot(eps, Options{})
			}
		})
	}
}

func BenchmarkHash64(b *testing.B) {
	for _, n := range []int{8, 21, 64, 1024, 48 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				Hash64(data)
			}
		})
	}
}
