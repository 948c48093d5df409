package balancer

import "testing"

// Equal endpoints share evenly, whatever the policy and however many. Not so auto's, which so many picks at once make late; see
// TestAutoSharesEvenly.
func TestEqualEndpointsShareEvenly(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, p Policy) {
		if _, ok := p.(*auto); ok {
			return
		}
		for _, n := range []int{2, 3, 8, 17, 100} {
			for _, busy := range []int64{0, 5} {
				eps := pool(n)
				for _, e := range eps {
					e.inFlight.Store(busy)
				}
				s := NewSnapshot(eps, Options{})
				wantShares(t, eps, tally(t, p, s, 500*n, nil), equalShares(n))
			}
		}
	})
}

// A few equals among busier neighbours share evenly too: none profits from standing after a long row of others.
func TestTiesShareEvenly(t *testing.T) {
	for _, n := range []int{8, 100} {
		for _, least := range []int64{0, 1} {
			eps := pool(n)
			for _, e := range eps {
				e.inFlight.Store(9)
			}
			ties := []*Endpoint{eps[0], eps[1], eps[n-2]}
			for _, e := range ties {
				e.inFlight.Store(least)
			}
			s := NewSnapshot(eps, Options{})
			counts := tally(t, leastOutstanding{}, s, 30000, nil)
			wantShares(t, ties, counts, equalShares(len(ties)))
		}
	}
}

// More equals than are held for the draw must not leave any out.
func TestManyTiesLeaveNoneOut(t *testing.T) {
	eps := pool(200)
	for i, e := range eps {
		e.inFlight.Store(1 + int64(i%2))
	}
	s := NewSnapshot(eps, Options{})
	counts := tally(t, leastOutstanding{}, s, 50000, nil)
	var odd, even []*Endpoint
	for i, e := range eps {
		if i%2 == 0 {
			even = append(even, e)
		} else {
			odd = append(odd, e)
		}
	}
	wantShares(t, even, counts, equalShares(len(even)))
	for _, e := range odd {
		if counts[e] != 0 {
			t.Fatal("a busier endpoint was picked")
		}
	}
}

// Idle pools share by capacity, policy by policy.
func TestShareByCapacity(t *testing.T) {
	shares := []float64{1, 2, 1, 4, 0.5}
	for _, name := range []string{"least-outstanding", "least-tokens", "prefix", "random", "round-robin", "session"} {
		t.Run(name, func(t *testing.T) {
			eps := pool(len(shares))
			for i, e := range eps {
				e.SetCapacity(shares[i])
			}
			s := NewSnapshot(eps, Options{})
			wantShares(t, eps, tally(t, mustPolicy(t, name), s, 40000, nil), shares)
		})
	}
}

// Of two endpoints with nothing in flight, power-of-two picks by weight, so of a pair with capacities 3 and 1 three times in
// four the larger.
func TestPowerOfTwoSharesByCapacity(t *testing.T) {
	eps := pool(2)
	eps[0].SetCapacity(3)
	s := NewSnapshot(eps, Options{})
	wantShares(t, eps, tally(t, powerOfTwo{}, s, 20000, nil), []float64{3, 1})
}

// A slow start takes the endpoint's share from a tenth to the whole.
func TestSlowStartRamps(t *testing.T) {
	const start, length = 1000, 900
	tests := []struct {
		now   int64
		share float64
	}{{0, 0.1}, {start, 0.1}, {start + 100, 0.2}, {start + 500, 0.6}, {start + 900, 1}, {start + 5000, 1}}
	for _, name := range []string{"least-outstanding", "least-tokens", "prefix", "random", "round-robin", "session"} {
		t.Run(name, func(t *testing.T) {
			for _, test := range tests {
				eps := pool(4)
				eps[2].SetStartedAt(start, length)
				s := NewSnapshot(eps, Options{})
				counts := tally(t, mustPolicy(t, name), s, 20000, func(r *Request) { r.Now = test.now })
				wantShares(t, eps, counts, []float64{1, 1, test.share, 1})
			}
		})
	}
}

// Under load, least-outstanding gives a starting endpoint in-flight requests in proportion to its share.
func TestSlowStartUnderLoad(t *testing.T) {
	eps := pool(4)
	eps[0].SetStartedAt(0, 1000)
	b := New(leastOutstanding{})
	b.SetSnapshot(NewSnapshot(eps, Options{}))
	for i := range 3*100 + 20 {
		r := request(i)
		r.Now = 111 // a share of 0.2
		b.Acquire(r)
	}
	if n := eps[0].InFlight(); n < 19 || n > 21 {
		t.Errorf("the starting endpoint has %d in flight where others have %d, want 20", n, eps[1].InFlight())
	}
}

// When all endpoints start at once, all share.
func TestAllStartAtOnce(t *testing.T) {
	forEachPolicy(t, func(t *testing.T, p Policy) {
		if _, ok := p.(*auto); ok {
			return
		}
		eps := pool(20)
		for _, e := range eps {
			e.SetStartedAt(0, 1000)
		}
		s := NewSnapshot(eps, Options{})
		wantShares(t, eps, tally(t, p, s, 20000, nil), equalShares(len(eps)))
	})
}

func TestWeightOfSnapshot(t *testing.T) {
	eps := pool(3)
	eps[1].SetCapacity(2)
	eps[1].SetStartedAt(100, 100)
	eps[2].SetCapacity(-1) // counts as 1
	s := NewSnapshot(eps, Options{})
	tests := []struct {
		i    int
		now  int64
		want float64
	}{{0, 150, 1}, {1, 0, 0.2}, {1, 100, 0.2}, {1, 150, 1.1}, {1, 200, 2}, {2, 150, 1}}
	for _, test := range tests {
		if got := s.Weight(test.i, test.now); got < test.want-1e-9 || got > test.want+1e-9 {
			t.Errorf("weight of endpoint %d at %d is %v, want %v", test.i, test.now, got, test.want)
		}
	}
	eps[0].SetCapacity(5)
	if got := s.Weight(0, 0); got != 1 {
		t.Errorf("a later capacity changed a snapshot's weight to %v", got)
	}
}
