package balancer

import (
	"slices"
	"testing"
)

const prefixes = 20000

// prefixRequest returns a request whose prompt begins with the prefix of that number.
func prefixRequest(key int) *Request {
	return &Request{Keys: [PrefixKeys]uint64{uint64(key)}, KeyCount: 1, Tokens: 1000, Rand: nextRandom(uint64(key))}
}

func prefixPick(s *Snapshot, key int) *Endpoint { return prefix{}.Pick(s, prefixRequest(key)) }

// Keys numbered 0, 1, 2 and so on, the worst of hashes, spread evenly all the same.
func TestPrefixesSpreadEvenly(t *testing.T) {
	for _, n := range []int{2, 8, 50} {
		eps := pool(n)
		s := NewSnapshot(eps, Options{})
		firsts, seconds := make(map[*Endpoint]int), make(map[*Endpoint]int)
		for i := range prefixes {
			first, second, _ := s.owners(mix(uint64(i)), 0)
			if first == second {
				t.Fatalf("of %d endpoints, one owns prefix %d twice", n, i)
			}
			firsts[eps[first]]++
			seconds[eps[second]]++
		}
		wantShares(t, eps, firsts, equalShares(n))
		wantShares(t, eps, seconds, equalShares(n))
	}
}

func TestPrefixesSpreadByCapacity(t *testing.T) {
	shares := []float64{1, 2, 1, 4, 0.5}
	eps := pool(len(shares))
	for i, e := range eps {
		e.SetCapacity(shares[i])
	}
	s := NewSnapshot(eps, Options{})
	counts := make(map[*Endpoint]int)
	for i := range prefixes {
		counts[prefixPick(s, i)]++
	}
	wantShares(t, eps, counts, shares)
}

// Gateways whose lists are in different orders and whose endpoint objects differ agree.
func TestPrefixIgnoresTheOrderOfEndpoints(t *testing.T) {
	a, b := pool(12), pool(12)
	slices.Reverse(b)
	sa, sb := NewSnapshot(a, Options{}), NewSnapshot(b, Options{})
	for i := range 1000 {
		fa, na, _ := sa.owners(mix(uint64(i)), 0)
		fb, nb, _ := sb.owners(mix(uint64(i)), 0)
		if a[fa].Name != b[fb].Name || a[na].Name != b[nb].Name {
			t.Fatalf("prefix %d belongs to %s and %s here and to %s and %s there", i, a[fa].Name, a[na].Name, b[fb].Name, b[nb].Name)
		}
	}
}

// The same owners in every release: who knows of a prefix today still knows of it after an upgrade.
func TestOwnersAreStable(t *testing.T) {
	eps := pool(10)
	s := NewSnapshot(eps, Options{})
	var got []int
	for i := range 8 {
		first, second, _ := s.owners(mix(uint64(i)), 0)
		got = append(got, first, second)
	}
	if want := []int{6, 9, 4, 0, 3, 5, 3, 6, 5, 0, 6, 9, 4, 7, 0, 7}; !slices.Equal(got, want) {
		t.Errorf("the owners are %v, want %v", got, want)
	}
}

// A removed endpoint's prefixes go to their second owners, evenly over the others, and no other moves. Read backwards: an added endpoint
// takes its prefixes from all others evenly, and moves nobody else.
func TestRemovedEndpointMovesOnlyItsPrefixes(t *testing.T) {
	for _, weights := range []string{"equal", "capacities", "slow start"} {
		eps := pool(9)
		shares := equalShares(9)
		for i, e := range eps {
			switch weights {
			case "capacities":
				shares[i] = float64(1 + i%3)
				e.SetCapacity(shares[i])
			case "slow start":
				if i%2 == 0 {
					e.SetStartedAt(-500, 900)
					shares[i] = 0.6
				}
			}
		}
		without := slices.Delete(slices.Clone(eps), 4, 5)
		before, after := NewSnapshot(eps, Options{}), NewSnapshot(without, Options{})
		moved := make(map[*Endpoint]int)
		for i := range prefixes {
			first, second, _ := before.owners(mix(uint64(i)), 0)
			now := prefixPick(after, i)
			switch {
			case eps[first] != eps[4] && now != eps[first]:
				t.Fatalf("%s: prefix %d moved from %s to %s, which stayed both", weights, i, eps[first].Name, now.Name)
			case eps[first] == eps[4] && now != eps[second]:
				t.Fatalf("%s: prefix %d went to %s, not to its second owner, %s", weights, i, now.Name, eps[second].Name)
			case eps[first] == eps[4]:
				moved[now]++
			}
		}
		wantShares(t, without, moved, slices.Delete(slices.Clone(shares), 4, 5))
	}
}

// flood acquires for one prefix all that a pool of n endpoints is given: perEndpoint requests for each, of so many tokens. After each pick
// check is called with the endpoint and what it and the pool had before.
func flood(t *testing.T, eps []*Endpoint, perEndpoint int, request func(i int) *Request, check func(e *Endpoint, tokens, requests, allTokens, all int64)) {
	t.Helper()
	b := New(prefix{})
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	allTokens := int64(0)
	for i := range perEndpoint * len(eps) {
		r := request(i)
		e, result := b.Acquire(r)
		if result != Acquired {
			t.Fatal(result)
		}
		check(e, e.PromptTokens()-r.Tokens, e.InFlight()-1, allTokens, int64(i))
		allTokens += r.Tokens
	}
}

// A hot prefix never loads an endpoint beyond the bound, in tokens or in requests, whatever the pool's size and weights.
func TestHotPrefixIsBounded(t *testing.T) {
	for _, n := range []int{2, 8, 64} {
		for _, tokens := range []int64{0, 100, 5000} {
			for _, weighted := range []bool{false, true} {
				eps := pool(n)
				weights := 0.0
				for i, e := range eps {
					if weighted {
						e.SetCapacity(float64(1 + i%3))
					}
					weights += e.Capacity()
				}
				hot := func(i int) *Request {
					r := prefixRequest(7)
					r.Tokens, r.Rand = tokens, nextRandom(uint64(i))
					return r
				}
				flood(t, eps, 60, hot, func(e *Endpoint, tokens, requests, allTokens, all int64) {
					share := e.Capacity() / weights
					if most := share * (1.25*float64(allTokens) + slackTokens*float64(n)); float64(tokens) > most+1e-6 {
						t.Fatalf("of %d, an endpoint with %d prompt tokens was picked, above the bound %.1f", n, tokens, most)
					}
					if most := share * (1.25*float64(all) + slackRequests*float64(n)); float64(requests) > most+1e-6 {
						t.Fatalf("of %d, an endpoint with %d requests was picked, above the bound %.1f", n, requests, most)
					}
				})
			}
		}
	}
}

// Within the bound, a hot prefix stays with its owners: they have what they may have.
func TestHotPrefixFillsItsOwners(t *testing.T) {
	eps := pool(8)
	s := NewSnapshot(eps, Options{})
	first, second, _ := s.owners(mix(7), 0)
	flood(t, eps, 60, func(i int) *Request { return prefixRequest(7) }, func(*Endpoint, int64, int64, int64, int64) {})
	// 480 requests: an owner may have 1.25 * 60 + 8 = 83, or in tokens 1.25 * 60,000 + 8,192, which is about as many.
	for _, owner := range []*Endpoint{eps[first], eps[second]} {
		if n := owner.InFlight(); n < 80 || n > 84 {
			t.Errorf("an owner has %d requests in flight, want the 83 that it may have", n)
		}
	}
	for i, e := range eps {
		if n := e.InFlight(); i != first && i != second && (n < 50 || n > 55) {
			t.Errorf("another endpoint has %d requests in flight, want what is left, 52", n)
		}
	}
}

// A quiet pool sends a prefix to its first owner, even if that alone is busy.
func TestQuietPoolKeepsPrefixes(t *testing.T) {
	eps := pool(8)
	s := NewSnapshot(eps, Options{})
	for i := range 100 {
		first, second, _ := s.owners(mix(uint64(i)), 0)
		owner := eps[first]
		owner.inFlight.Store(slackRequests)
		owner.tokens.Store(slackTokens)
		if got := prefixPick(s, i); got != owner {
			t.Fatalf("prefix %d went to %s, want its owner, which has no more than the slack", i, got.Name)
		}
		owner.tokens.Store(2 * slackTokens)
		if got := prefixPick(s, i); got != eps[second] {
			t.Fatalf("prefix %d went to %s, want its second owner, as the first is overloaded", i, got.Name)
		}
		owner.tokens.Store(0)
		owner.inFlight.Store(2 * slackRequests)
		if got := prefixPick(s, i); got != eps[second] {
			t.Fatalf("prefix %d went to %s, want its second owner, as the first has too many requests", i, got.Name)
		}
		owner.inFlight.Store(0)
	}
}

// What a hot prefix has too much of is divided up by how prompts go on, and so stays together, too.
func TestHotPrefixIsDividedByWhatFollows(t *testing.T) {
	eps := pool(16)
	s := NewSnapshot(eps, Options{})
	first, second, _ := s.owners(mix(7), 0)
	eps[first].tokens.Store(100_000)
	eps[second].tokens.Store(100_000)
	counts := make(map[*Endpoint]int)
	for i := range 4000 {
		r := prefixRequest(7)
		r.KeyCount = PrefixKeys
		r.Keys[PrefixKeys-1] = uint64(i)
		if a, b, _ := s.owners(mix(uint64(i)), 0); (a == first || a == second) && (b == first || b == second) {
			continue // all its owners are overloaded
		}
		e := prefix{}.Pick(s, r)
		counts[e]++
		r.Rand = nextRandom(r.Rand)
		if again := (prefix{}).Pick(s, r); again != e {
			t.Fatalf("a conversation went to %s and then to %s", e.Name, again.Name)
		}
	}
	others := slices.DeleteFunc(slices.Clone(eps), func(e *Endpoint) bool { return e == eps[first] || e == eps[second] })
	if counts[eps[first]]+counts[eps[second]] != 0 {
		t.Error("overloaded owners were picked")
	}
	wantShares(t, others, counts, equalShares(len(others)))
}

// Owners that are full or were tried are passed over, and prefixes come back to them.
func TestPrefixPassesOverFullOwners(t *testing.T) {
	eps := pool(8)
	s := NewSnapshot(eps, Options{MaxInFlight: 1})
	for i := range 200 {
		first, second, _ := s.owners(mix(uint64(i)), 0)
		eps[first].inFlight.Store(1)
		if got := prefixPick(s, i); got != eps[second] {
			t.Fatalf("prefix %d, whose owner is full, went to %s, want its second owner", i, got.Name)
		}
		eps[first].inFlight.Store(0)
		r := prefixRequest(i)
		r.Tried = []*Endpoint{eps[first], eps[second]}
		if got := (prefix{}).Pick(s, r); got == eps[first] || got == eps[second] {
			t.Fatalf("prefix %d went to %s again, which had failed", i, got.Name)
		}
		if got := prefixPick(s, i); got != eps[first] {
			t.Fatalf("prefix %d did not come back to its owner", i)
		}
	}
}

func TestNoPrefixGoesByLeastTokens(t *testing.T) {
	eps := prompted(400, 200, 300)
	s := NewSnapshot(eps, Options{})
	for i := range 50 {
		r := prefixRequest(i)
		r.KeyCount = 0
		if got := (prefix{}).Pick(s, r); got != eps[1] {
			t.Fatalf("picked %s", got.Name)
		}
	}
}
