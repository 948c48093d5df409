package balancer

import (
	"fmt"
	"math"
	"testing"
)

// pool returns n endpoints named as endpoints are.
func pool(n int) []*Endpoint {
	eps := make([]*Endpoint, n)
	for i := range eps {
		eps[i] = NewEndpoint(fmt.Sprintf("10.0.%d.%d:8000", i/256, i%256), nil)
	}
	return eps
}

// loaded returns endpoints with these many requests in flight.
func loaded(inFlight ...int64) []*Endpoint {
	eps := pool(len(inFlight))
	for i, n := range inFlight {
		eps[i].inFlight.Store(n)
	}
	return eps
}

func mustPolicy(t testing.TB, name string) Policy {
	t.Helper()
	p, err := NewPolicy(name, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// forEachPolicy runs f as a subtest for every policy.
func forEachPolicy(t *testing.T, f func(t *testing.T, p Policy)) {
	for _, name := range PolicyNames() {
		t.Run(name, func(t *testing.T) { f(t, mustPolicy(t, name)) })
	}
}

// request returns the request of pick i: a fixed sequence of random numbers, sessions and prompts.
func request(i int) *Request {
	session := nextRandom(uint64(i) + 1<<40)
	r := &Request{Rand: nextRandom(uint64(i)), Session: session, SessionSet: true, Tokens: int64(session % 5000), KeyCount: PrefixKeys}
	for k := range r.Keys {
		r.Keys[k] = mix(session + uint64(k))
	}
	return r
}

// tally counts how often each endpoint of s is picked in so many picks, without anything being in flight.
func tally(t testing.TB, p Policy, s *Snapshot, picks int, change func(r *Request)) map[*Endpoint]int {
	t.Helper()
	counts := make(map[*Endpoint]int)
	for i := range picks {
		r := request(i)
		if change != nil {
			change(r)
		}
		e := p.Pick(s, r)
		if e == nil {
			t.Fatalf("pick %d found no endpoint", i)
		}
		counts[e]++
	}
	return counts
}

// wantShares fails unless each endpoint's count is within six standard deviations of its share of the picks: by chance alone
// that happens once in 500 million.
func wantShares(t testing.TB, eps []*Endpoint, counts map[*Endpoint]int, shares []float64) {
	t.Helper()
	picks, sum := 0, 0.0
	for _, n := range counts {
		picks += n
	}
	for _, share := range shares {
		sum += share
	}
	for i, e := range eps {
		p := shares[i] / sum
		want, deviation := float64(picks)*p, math.Sqrt(float64(picks)*p*(1-p))
		if got := float64(counts[e]); math.Abs(got-want) > 6*deviation+1 {
			t.Errorf("endpoint %d was picked %.0f times of %d, want %.0f within %.0f", i, got, picks, want, 6*deviation+1)
		}
	}
}

func equalShares(n int) []float64 {
	shares := make([]float64, n)
	for i := range shares {
		shares[i] = 1
	}
	return shares
}
