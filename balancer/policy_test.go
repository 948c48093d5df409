package balancer

import (
	"slices"
	"strings"
	"testing"
)

func TestPolicyNames(t *testing.T) {
	want := []string{"auto", "least-outstanding", "least-tokens", "peak-ewma", "power-of-two", "prefix", "random", "round-robin", "session"}
	if got := PolicyNames(); !slices.Equal(got, want) {
		t.Errorf("PolicyNames() = %q, want %q", got, want)
	}
	_, err := NewPolicy("fastest", Settings{})
	if err == nil || !strings.Contains(err.Error(), `unknown policy "fastest": use one of auto, least-outstanding, least-tokens, peak-ewma`) {
		t.Errorf("NewPolicy of an unknown name: %v", err)
	}
}

// What holds for every policy, whatever it prefers.
func TestEveryPolicy(t *testing.T) {
	tests := []struct {
		name     string
		inFlight []int64
		limit    int64
		tried    []int // indexes
		want     []int // indexes that may be picked; none means nil
	}{
		{name: "no endpoint"},
		{name: "one endpoint", inFlight: []int64{3}, want: []int{0}},
		{name: "one full endpoint", inFlight: []int64{4}, limit: 4},
		{name: "two, one full", inFlight: []int64{4, 3}, limit: 4, want: []int{1}},
		{name: "all full", inFlight: []int64{4, 5, 4}, limit: 4},
		{name: "one of many has room", inFlight: []int64{2, 2, 2, 2, 2, 2, 2, 1, 2, 2}, limit: 2, want: []int{7}},
		{name: "tried endpoints are avoided", inFlight: []int64{0, 9, 0}, tried: []int{0, 2}, want: []int{1}},
		{name: "tried endpoints rather than full ones", inFlight: []int64{1, 4, 4}, limit: 4, tried: []int{0}, want: []int{0}},
		{name: "tried endpoints if nothing else is there", inFlight: []int64{1, 4}, tried: []int{0, 1}, want: []int{0, 1}},
		{name: "tried and full", inFlight: []int64{4, 4}, limit: 4, tried: []int{0, 1}},
		{name: "the tried one has left", inFlight: []int64{0}, tried: []int{-1}, want: []int{0}},
		{
			name:     "many, all but one full or tried",
			inFlight: []int64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0},
			limit:    1, tried: []int{17, 19}, want: []int{18},
		},
	}
	forEachPolicy(t, func(t *testing.T, p Policy) {
		for _, test := range tests {
			for _, weights := range []string{"equal", "capacities", "slow start"} {
				eps := loaded(test.inFlight...)
				for i, e := range eps {
					switch weights {
					case "capacities":
						e.SetCapacity(float64(1 + i))
					case "slow start":
						e.SetStartedAt(int64(i), 1000)
					}
				}
				s := NewSnapshot(eps, Options{MaxInFlight: test.limit})
				for i := range 200 {
					r := request(i)
					r.Now, r.SessionSet = 300, i%2 == 0
					r.KeyCount = i % 3 * (PrefixKeys / 2)
					for _, k := range test.tried {
						if k < 0 {
							r.Tried = append(r.Tried, NewEndpoint("10.9.9.9:1", nil))
						} else {
							r.Tried = append(r.Tried, eps[k])
						}
					}
					got := slices.Index(eps, p.Pick(s, r))
					if len(test.want) == 0 && got >= 0 || len(test.want) > 0 && !slices.Contains(test.want, got) {
						t.Fatalf("%s, %s: endpoint %d was picked, want one of %v", test.name, weights, got, test.want)
					}
				}
			}
		}
	})
}

func TestLeastOutstandingPicksTheLeast(t *testing.T) {
	tests := []struct {
		name     string
		inFlight []int64
		capacity []float64
		want     int
	}{
		{"least in flight", []int64{5, 3, 4, 9}, nil, 1},
		{"an idle one", []int64{5, 3, 0, 9}, nil, 2},
		{"by capacity", []int64{5, 3, 4}, []float64{4, 1, 1}, 0}, // 6/4, 4/1, 5/1
		{"small ones last", []int64{1, 9}, []float64{0.1, 1}, 1}, // 20, 10
		{"capacities alike are no weights", []int64{2, 1}, []float64{3, 3}, 1},
	}
	for _, test := range tests {
		eps := loaded(test.inFlight...)
		for i, c := range test.capacity {
			eps[i].SetCapacity(c)
		}
		s := NewSnapshot(eps, Options{})
		for i := range 100 {
			if got := slices.Index(eps, (leastOutstanding{}).Pick(s, request(i))); got != test.want {
				t.Fatalf("%s: endpoint %d was picked, want %d", test.name, got, test.want)
			}
		}
	}
}

// Large pools are read in another way than small ones; the least must be found anywhere in either.
func TestLeastOutstandingFindsTheLeastAnywhere(t *testing.T) {
	for _, n := range []int{2, 3, 16, 17, 64, 257} {
		for at := range n {
			eps := pool(n)
			for _, e := range eps {
				e.inFlight.Store(7)
			}
			eps[at].inFlight.Store(6)
			s := NewSnapshot(eps, Options{})
			if got := slices.Index(eps, (leastOutstanding{}).Pick(s, request(at))); got != at {
				t.Fatalf("of %d endpoints, %d was picked, want %d", n, got, at)
			}
		}
	}
}

func TestPowerOfTwoPicksTheLessOfTwo(t *testing.T) {
	eps := loaded(0, 1, 2, 3)
	s := NewSnapshot(eps, Options{})
	counts := tally(t, powerOfTwo{}, s, 60000, nil)
	// Endpoint k is the less of a pair when the other is one of the 3-k that have more: 3-k of 6 pairs.
	wantShares(t, eps, counts, []float64{3, 2, 1, 0})
	if counts[eps[3]] != 0 {
		t.Errorf("the most loaded endpoint was picked %d times: the two were not distinct", counts[eps[3]])
	}
}

func TestPowerOfTwoCountsWeights(t *testing.T) {
	eps := loaded(3, 3) // costs 4/2 and 4/1
	eps[0].SetCapacity(2)
	s := NewSnapshot(eps, Options{})
	if counts := tally(t, powerOfTwo{}, s, 100, nil); counts[eps[1]] != 0 {
		t.Errorf("the smaller of two equally loaded endpoints was picked %d times", counts[eps[1]])
	}
}

func TestRoundRobinGoesRound(t *testing.T) {
	eps := pool(5)
	s := NewSnapshot(eps, Options{})
	p := mustPolicy(t, "round-robin")
	for i := range 23 {
		if got := slices.Index(eps, p.Pick(s, request(i))); got != i%5 {
			t.Fatalf("pick %d went to endpoint %d, want %d", i, got, i%5)
		}
	}
}

func TestRoundRobinPassesOverFullOnes(t *testing.T) {
	eps := loaded(0, 1, 0, 0)
	s := NewSnapshot(eps, Options{MaxInFlight: 1})
	counts := tally(t, mustPolicy(t, "round-robin"), s, 300, nil)
	for i, want := range []int{100, 0, 100, 100} {
		if got := counts[eps[i]]; got != want {
			t.Errorf("endpoint %d was picked %d times, want %d: a full one's turns are not its neighbour's", i, got, want)
		}
	}
}

// Weighted turns come at even distances, not in a row.
func TestRoundRobinWeightsAreSmooth(t *testing.T) {
	eps := pool(2)
	eps[0].SetCapacity(4)
	s := NewSnapshot(eps, Options{})
	p := mustPolicy(t, "round-robin")
	var distances []int
	last := -1
	for i := range 500 {
		if p.Pick(s, request(i)) == eps[1] {
			if last >= 0 {
				distances = append(distances, i-last)
			}
			last = i
		}
	}
	for _, d := range distances {
		if d != 5 {
			t.Fatalf("picks of the small endpoint are %v apart, want 5 each", distances)
		}
	}
	if len(distances) != 99 {
		t.Errorf("the small endpoint was picked %d times of 500, want 100", len(distances)+1)
	}
}
