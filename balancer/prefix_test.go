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

// ownerOf returns the owner of the prefix of that number.
func ownerOf(s *Snapshot, key int) *Endpoint {
	i, _ := s.highest(mix(uint64(key)), 0)
	return s.endpoints[i]
}

func prefixPick(s *Snapshot, key int) *Endpoint { return prefix{}.Pick(s, prefixRequest(key)) }

// Keys numbered 0, 1, 2 and so on, the worst of hashes, spread evenly all the same.
func TestPrefixesSpreadEvenly(t *testing.T) {
	for _, n := range []int{2, 8, 50} {
		eps := pool(n)
		s := NewSnapshot(eps, Options{})
		counts := make(map[*Endpoint]int)
		for i := range prefixes {
			counts[prefixPick(s, i)]++
		}
		wantShares(t, eps, counts, equalShares(n))
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
		if ea, eb := prefixPick(sa, i), prefixPick(sb, i); ea.Name != eb.Name {
			t.Fatalf("prefix %d goes to %s here and to %s there", i, ea.Name, eb.Name)
		}
	}
}

// The same owners in every release: who knows of a prefix today still knows of it after an upgrade.
func TestOwnersAreStable(t *testing.T) {
	eps := pool(10)
	s := NewSnapshot(eps, Options{})
	var got []int
	for i := range 8 {
		got = append(got, slices.Index(eps, prefixPick(s, i)))
	}
	if want := []int{6, 4, 3, 3, 5, 6, 4, 0}; !slices.Equal(got, want) {
		t.Errorf("the owners are %v, want %v", got, want)
	}
}

// A removed endpoint's prefixes move, evenly over the others, and no other does. Read backwards: an added endpoint
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
			old, new := prefixPick(before, i), prefixPick(after, i)
			if old == eps[4] {
				moved[new]++
			} else if old != new {
				t.Fatalf("%s: prefix %d moved from %s to %s, which stayed both", weights, i, old.Name, new.Name)
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

// Within the bound, a hot prefix stays with its owner, which has what it may have.
func TestHotPrefixFillsItsOwner(t *testing.T) {
	eps := pool(8)
	s := NewSnapshot(eps, Options{})
	owner := ownerOf(s, 7)
	flood(t, eps, 60, func(i int) *Request { return prefixRequest(7) }, func(*Endpoint, int64, int64, int64, int64) {})
	// 480 requests: an owner may have 1.25 * 60 + 8 = 83, or in tokens 1.25 * 60,000 + 8,192, which is about as many.
	if n := owner.InFlight(); n < 80 || n > 84 {
		t.Errorf("the owner has %d requests in flight, want the 83 that it may have", n)
	}
	for _, e := range eps {
		if n := e.InFlight(); e != owner && (n < 55 || n > 58) {
			t.Errorf("another endpoint has %d requests in flight, want its part of what is left, 57", n)
		}
	}
}

// A quiet pool sends a prefix to its owner even if that alone is busy, within the slack.
func TestQuietPoolKeepsPrefixes(t *testing.T) {
	eps := pool(8)
	s := NewSnapshot(eps, Options{})
	for i := range 100 {
		owner := ownerOf(s, i)
		owner.inFlight.Store(slackRequests)
		owner.tokens.Store(slackTokens)
		if got := prefixPick(s, i); got != owner {
			t.Fatalf("prefix %d went to %s, want its owner, which has no more than the slack", i, got.Name)
		}
		owner.tokens.Store(2 * slackTokens)
		if prefixPick(s, i) == owner {
			t.Fatalf("prefix %d went to its owner, which has too many tokens", i)
		}
		owner.tokens.Store(0)
		owner.inFlight.Store(2 * slackRequests)
		if prefixPick(s, i) == owner {
			t.Fatalf("prefix %d went to its owner, which has too many requests", i)
		}
		owner.inFlight.Store(0)
	}
}

// What a hot prefix has too much of is divided up by how prompts go on, and so stays together, too.
func TestHotPrefixIsDividedByWhatFollows(t *testing.T) {
	eps := pool(16)
	s := NewSnapshot(eps, Options{})
	owner := ownerOf(s, 7)
	owner.tokens.Store(100_000)
	counts := make(map[*Endpoint]int)
	for i := range 4000 {
		r := prefixRequest(7)
		r.KeyCount = PrefixKeys
		r.Keys[dividingKey] = uint64(i)
		if ownerOf(s, i) == owner {
			continue // both its owners are the same
		}
		e := prefix{}.Pick(s, r)
		counts[e]++
		r.Rand = nextRandom(r.Rand)
		if again := (prefix{}).Pick(s, r); again != e {
			t.Fatalf("a conversation went to %s and then to %s", e.Name, again.Name)
		}
	}
	others := slices.DeleteFunc(slices.Clone(eps), func(e *Endpoint) bool { return e == owner })
	if counts[owner] != 0 {
		t.Error("the overloaded owner was picked")
	}
	wantShares(t, others, counts, equalShares(len(others)))
}

// Owners that are full or were tried are passed over, and prefixes come back to them.
func TestPrefixPassesOverFullOwners(t *testing.T) {
	eps := pool(8)
	s := NewSnapshot(eps, Options{MaxInFlight: 1})
	for i := range 200 {
		owner := ownerOf(s, i)
		owner.inFlight.Store(1)
		if prefixPick(s, i) == owner {
			t.Fatalf("prefix %d went to its owner, which is full", i)
		}
		owner.inFlight.Store(0)
		r := prefixRequest(i)
		r.Tried = []*Endpoint{owner}
		if (prefix{}).Pick(s, r) == owner {
			t.Fatalf("prefix %d went to its owner again, which had failed", i)
		}
		if prefixPick(s, i) != owner {
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
