package balancer

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// prompted returns endpoints with these many prompt tokens outstanding.
func prompted(tokens ...int64) []*Endpoint {
	eps := pool(len(tokens))
	for i, n := range tokens {
		eps[i].tokens.Store(n)
	}
	return eps
}

func TestLeastTokensPicksTheLeast(t *testing.T) {
	tests := []struct {
		name             string
		tokens, inFlight []int64
		capacity         []float64
		prompt           int64
		want             int
	}{
		{"fewest tokens", []int64{500, 300, 400}, []int64{1, 1, 1}, nil, 100, 1},
		{"a long prompt outweighs many short ones", []int64{50_000, 5000, 60_000}, []int64{1, 50, 1}, nil, 100, 1},
		{"requests that generate count, too", []int64{0, 100, 200}, []int64{10, 1, 1}, nil, 100, 1},                          // 320, 132, 232
		{"of equals, the one with fewer in flight", []int64{0, 32, 64}, []int64{4, 3, 2}, nil, 100, 2},                       // 128 each
		{"nothing is known of prompts", []int64{0, 0, 0}, []int64{5, 3, 4}, nil, 0, 1},                                       //
		{"by capacity", []int64{4000, 3000, 3000}, []int64{1, 1, 1}, []float64{4, 1, 1}, 100, 0},                             //
		{"a long prompt goes to a large one", []int64{1000, 0, 0}, []int64{1, 0, 0}, []float64{4, 1, 1}, 10_000, 0},          // 2766, 10032
		{"a short prompt goes to an idle one", []int64{1000, 10, 2000}, []int64{1, 0, 1}, []float64{4, 1, 1}, 10, 1},         // 268.5, 52
		{"a senseless estimate counts as none", []int64{500, 300, 400}, []int64{1, 1, 1}, []float64{1, 2, 1}, -1_000_000, 1}, //
	}
	for _, test := range tests {
		eps := prompted(test.tokens...)
		for i, n := range test.inFlight {
			eps[i].inFlight.Store(n)
		}
		for i, c := range test.capacity {
			eps[i].SetCapacity(c)
		}
		s := NewSnapshot(eps, Options{})
		for i := range 100 {
			r := request(i)
			r.Tokens = test.prompt
			if got := slices.Index(eps, (leastTokens{}).Pick(s, r)); got != test.want {
				t.Fatalf("%s: endpoint %d was picked, want %d", test.name, got, test.want)
			}
		}
	}
}

// While a starting endpoint's share is low, it is given fewer tokens.
func TestLeastTokensSlowStart(t *testing.T) {
	eps := pool(4)
	eps[0].SetStartedAt(0, 1000)
	b := New(leastTokens{})
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	for i := range 640 {
		r := request(i)
		r.Now, r.Tokens = 111, 1000 // a share of 0.2
		b.Acquire(r)
	}
	if n := eps[0].PromptTokens(); n < 39_000 || n > 41_000 {
		t.Errorf("the starting endpoint has %d prompt tokens where others have %d, want a fifth of these, 40,000", n, eps[1].PromptTokens())
	}
}

// Of a large pool only some endpoints are looked at; the least of these is chosen, and none is left out.
func TestLeastTokensOfLargePools(t *testing.T) {
	const n, picks = 200, 40_000
	eps := pool(n)
	for i, k := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		eps[i].tokens.Store(int64(1000 + k))
	}
	s := NewSnapshot(eps, Options{})
	counts := tally(t, leastTokens{}, s, picks, nil)
	quarter, best := 0, (*Endpoint)(nil)
	for _, e := range eps {
		if e.PromptTokens() < 1000+n/4 {
			quarter += counts[e]
		}
		if e.PromptTokens() == 1000 {
			best = e
		}
	}
	// All 16 are outside of the best quarter with a probability of 0.75^16, 1 %, a little less as they are distinct.
	if missed := picks - quarter; missed < picks/250 || missed > picks/80 {
		t.Errorf("%d of %d picks missed the best quarter, want about 1 %%", missed, picks)
	}
	// The very best is chosen whenever it is looked at.
	wantShares(t, []*Endpoint{best, nil}, map[*Endpoint]int{best: counts[best], nil: picks - counts[best]}, []float64{several, n - several})
}

// Sizes around the one from which on not all are looked at.
func TestLeastTokensFindsTheOnlyRoom(t *testing.T) {
	for _, n := range []int{1, 2, readWhole - 1, readWhole, readWhole + 1, 257, 1000} {
		for _, at := range []int{0, n / 2, n - 1} {
			eps := pool(n)
			for _, e := range eps {
				e.inFlight.Store(2)
			}
			eps[at].inFlight.Store(1)
			eps[at].tokens.Store(1 << 30)
			s := NewSnapshot(eps, Options{MaxInFlight: 2})
			for i := range 20 {
				if got := slices.Index(eps, (leastTokens{}).Pick(s, request(i))); got != at {
					t.Fatalf("of %d endpoints, %d was picked, want %d, the only one with room", n, got, at)
				}
			}
		}
	}
}

// Prompts of very different lengths come out even in tokens.
func TestLeastTokensEvensOutTokens(t *testing.T) {
	for _, n := range []int{8, 64, 300} {
		b := New(leastTokens{})
		eps := pool(n)
		b.SetSnapshot(NewSnapshot(eps, Options{}))
		const longest = 20_000
		for i := range 50 * n {
			r := request(i)
			r.Tokens = 100
			if i%10 == 0 {
				r.Tokens = int64(nextRandom(uint64(i)) % longest)
			}
			b.Acquire(r)
		}
		least, most := int64(1<<62), int64(0)
		for _, e := range eps {
			load := e.PromptTokens() + decodeTokens*e.InFlight()
			least, most = min(least, load), max(most, load)
		}
		apart := int64(longest)
		if n > readWhole {
			apart *= 2 // the least of all is not always looked at
		}
		if most-least > apart {
			t.Errorf("of %d endpoints, one has a load of %d tokens and another of %d, want them no further apart than %d", n, least, most, apart)
		}
	}
}
