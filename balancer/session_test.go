package balancer

import (
	"slices"
	"testing"
)

const sessions = 20000

func sessionPick(s *Snapshot, session int) *Endpoint {
	return sessionPolicy.Pick(s, &Request{Session: uint64(session), SessionSet: true, Rand: nextRandom(uint64(session))})
}

var sessionPolicy = session{}

// Sessions numbered 0, 1, 2 and so on, the worst of hashes, spread evenly all the same.
func TestSessionsSpreadEvenly(t *testing.T) {
	for _, n := range []int{2, 8, 50} {
		eps := pool(n)
		s := NewSnapshot(eps, Options{})
		counts := make(map[*Endpoint]int)
		for i := range sessions {
			counts[sessionPick(s, i)]++
		}
		wantShares(t, eps, counts, equalShares(n))
	}
}

func TestSessionKeepsItsEndpoint(t *testing.T) {
	s := NewSnapshot(pool(9), Options{})
	for i := range 100 {
		first := sessionPick(s, i)
		for k := range 20 {
			r := &Request{Session: uint64(i), SessionSet: true, Rand: nextRandom(uint64(k)), Now: int64(k) * 1e9}
			if got := sessionPolicy.Pick(s, r); got != first {
				t.Fatalf("session %d went to %s and then to %s", i, first.Name, got.Name)
			}
		}
	}
}

// Gateways whose lists are in different orders and whose endpoint objects differ agree.
func TestSessionIgnoresTheOrderOfEndpoints(t *testing.T) {
	a, b := pool(12), pool(12)
	slices.Reverse(b)
	sa, sb := NewSnapshot(a, Options{}), NewSnapshot(b, Options{})
	for i := range 1000 {
		if ea, eb := sessionPick(sa, i), sessionPick(sb, i); ea.Name != eb.Name {
			t.Fatalf("session %d goes to %s here and to %s there", i, ea.Name, eb.Name)
		}
	}
}

// A removed endpoint's sessions move, evenly over the others, and no other does. Read backwards: an added endpoint takes its
// sessions from all others evenly, and moves nobody else.
func TestRemovedEndpointMovesOnlyItsSessions(t *testing.T) {
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
		for i := range sessions {
			old, new := sessionPick(before, i), sessionPick(after, i)
			if old == eps[4] {
				moved[new]++
			} else if old != new {
				t.Fatalf("%s: session %d moved from %s to %s, which stayed both", weights, i, old.Name, new.Name)
			}
		}
		wantShares(t, without, moved, slices.Delete(slices.Clone(shares), 4, 5))
	}
}

// As a slow start goes on, sessions move to the starting endpoint only, and none leaves it.
func TestSlowStartOnlyAttractsSessions(t *testing.T) {
	eps := pool(6)
	eps[2].SetStartedAt(0, 1000)
	s := NewSnapshot(eps, Options{})
	for i := range 2000 {
		last := (*Endpoint)(nil)
		for now := int64(0); now <= 1000; now += 50 {
			e := sessionPolicy.Pick(s, &Request{Session: uint64(i), SessionSet: true, Now: now})
			if last != nil && e != last && e != eps[2] {
				t.Fatalf("session %d moved from %s to %s at %d", i, last.Name, e.Name, now)
			}
			last = e
		}
	}
}

// One session with everything at once never loads an endpoint beyond 1.25 times the mean, rounded up.
func TestSessionLoadIsBounded(t *testing.T) {
	for _, n := range []int{2, 8, 64} {
		b := New(sessionPolicy)
		eps := pool(n)
		b.SetSnapshot(NewSnapshot(eps, Options{}))
		own := sessionPick(b.Snapshot(), 7)
		for i := range 40 * n {
			e, result := b.Acquire(&Request{Session: 7, SessionSet: true, Rand: nextRandom(uint64(i))})
			if result != Acquired {
				t.Fatal(result)
			}
			// The pick saw one less on e, and i in all.
			if load, bound := float64(e.InFlight()-1), 1.25*float64(i+1)/float64(n); load > bound {
				t.Fatalf("of %d endpoints, one with %.0f in flight was picked, above the bound %.2f", n, load, bound)
			}
		}
		if load := own.InFlight(); load < 50 {
			t.Errorf("the session's own endpoint has %d in flight, want the 1.25*40 that it may have", load)
		}
	}
}

// The bound follows weights: an endpoint with three quarters of the capacity may hold its sessions' load.
func TestSessionBoundCountsWeights(t *testing.T) {
	eps := loaded(6, 2)
	eps[0].SetCapacity(3)
	s := NewSnapshot(eps, Options{}) // the first may have 1.25*9*3/4 = 8.4, so it may be picked with 6
	counts := make(map[*Endpoint]int)
	for i := range 1000 {
		counts[sessionPick(s, i)]++
	}
	wantShares(t, eps, counts, []float64{3, 1})
	eps[0].inFlight.Store(30)
	eps[1].inFlight.Store(0) // now the first may have 1.25*31*3/4 = 29.06
	for i := range 100 {
		if sessionPick(s, i) != eps[1] {
			t.Fatal("an endpoint above its bound was picked")
		}
	}
}

// A session whose endpoint is full goes to the same second choice each time, and comes back.
func TestSessionOverflowsToItsSecondChoice(t *testing.T) {
	eps := pool(8)
	s := NewSnapshot(eps, Options{MaxInFlight: 1})
	for i := range 200 {
		first := sessionPick(s, i)
		first.inFlight.Store(1)
		second := sessionPick(s, i)
		if again := sessionPick(s, i); again != second || second == first {
			t.Fatalf("session %d, whose endpoint is full, went to %s and %s", i, second.Name, again.Name)
		}
		without := NewSnapshot(slices.DeleteFunc(slices.Clone(eps), func(e *Endpoint) bool { return e == first }), Options{})
		if want := sessionPick(without, i); second != want {
			t.Fatalf("session %d overflowed to %s, not to %s where it would live without its endpoint", i, second.Name, want.Name)
		}
		first.inFlight.Store(0)
		if sessionPick(s, i) != first {
			t.Fatalf("session %d did not come back", i)
		}
	}
}

func TestNoSessionGoesByLeastOutstanding(t *testing.T) {
	eps := loaded(4, 2, 3)
	s := NewSnapshot(eps, Options{})
	for i := range 50 {
		if got := sessionPolicy.Pick(s, &Request{Rand: nextRandom(uint64(i)), Session: uint64(i)}); got != eps[1] {
			t.Fatalf("picked %s", got.Name)
		}
	}
}
