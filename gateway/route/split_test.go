package route

import (
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// splitOf makes a route that splits over pools p0, p1, ... by weight.
func splitOf(t testing.TB, weights ...int) *Route {
	var targets []Target
	for i, w := range weights {
		targets = append(targets, Target{Pool: fmt.Sprint("p", i), Weight: w})
	}
	return mustTable(t, Rule{Targets: targets, Sticky: &Key{Header: "x-user"}}).Routes()[0]
}

// checkShares checks counts against weights by Pearson's chi-squared test; the limit is a little above its 0.9999 quantile for 1 to
// 4 degrees of freedom.
func checkShares(t *testing.T, what string, weights []int, counts map[string]int) {
	t.Helper()
	total, n, degrees := 0, 0, -1
	for _, w := range weights {
		total += w
	}
	for _, c := range counts {
		n += c
	}
	chi := 0.0
	for i, w := range weights {
		got := float64(counts[fmt.Sprint("p", i)])
		if w == 0 {
			if got > 0 {
				t.Errorf("%s: a target of weight 0 was chosen %v times", what, got)
			}
			continue
		}
		degrees++
		want := float64(n) * float64(w) / float64(total)
		chi += (got - want) * (got - want) / want
	}
	if limit := float64(degrees) + 4.5*math.Sqrt(2*float64(degrees)) + 8; chi > limit {
		t.Errorf("%s: weights %v gave counts %v: chi-squared %.1f with %d degrees of freedom, limit %.1f", what, weights, counts, chi, degrees, limit)
	}
}

func TestSharesAreExact(t *testing.T) {
	const n = 100_000
	for _, weights := range [][]int{{1, 1}, {95, 5}, {5, 95}, {0, 1, 2}, {1, 2, 3, 4, 5}, {999, 1}, {MaxWeight, MaxWeight, 20_000}, {7, 0, 0, 3}} {
		rt := splitOf(t, weights...)
		rng := rand.New(rand.NewPCG(3, 4))
		drawn, keyed := make(map[string]int), make(map[string]int)
		for i := range n {
			drawn[rt.Choose(0, false, rng.Uint64()).Pool]++
			keyed[rt.Choose(hash64(fmt.Sprint("user-", i)), true, 0).Pool]++
		}
		checkShares(t, "drawn", weights, drawn)
		checkShares(t, "keyed", weights, keyed)
	}
}

func TestChooseAtTheEdges(t *testing.T) {
	rt := splitOf(t, 0, 3, 0, 1, 0)
	for rand, want := range map[uint64]string{0: "p1", 3<<62 - 1: "p1", 3 << 62: "p3", math.MaxUint64: "p3"} {
		if got := rt.Choose(0, false, rand).Pool; got != want {
			t.Errorf("random number %#x chose %s, want %s", rand, got, want)
		}
	}
	if only := splitOf(t, 0); only.Choose(1, true, 1).Pool != "p0" || only.Choose(0, false, 1).Pool != "p0" {
		t.Error("an only target was not chosen")
	}
}

// TestChangedWeightsMoveAsFewUsersAsPossible changes random weights one at a time: only users of a target that lost weight may
// leave, only to others, and a target that gained takes users while nobody moves among the rest.
func TestChangedWeightsMoveAsFewUsersAsPossible(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const users = 2_000
	for range 60 {
		before := make([]int, 2+rng.IntN(6))
		for i := range before {
			before[i] = rng.IntN(100)
		}
		before[0]++ // so that not all are 0
		after := slices.Clone(before)
		changed := rng.IntN(len(after))
		after[changed] = rng.IntN(200)
		if changed == 0 {
			after[0]++
		}
		checkMovement(t, splitOf(t, before...), splitOf(t, after...), fmt.Sprint("p", changed), after[changed] > before[changed], users)
	}
}

func checkMovement(t *testing.T, old, changed *Route, target string, rose bool, users int) {
	t.Helper()
	for i := range users {
		key := hash64(fmt.Sprint("u", i))
		from, to := old.Choose(key, true, 0).Pool, changed.Choose(key, true, 0).Pool
		if from == to {
			continue
		}
		if rose && to != target || !rose && from != target {
			t.Fatalf("%s rose (%v): a user moved from %s to %s", target, rose, from, to)
		}
	}
}

// TestManyChangesAtOnce changes all weights: users move only to targets that grew by a larger factor than their own, so nobody
// leaves the one that grew most. When several change at once some more move than the new shares need, here a quarter more.
func TestManyChangesAtOnce(t *testing.T) {
	const users = 50_000
	before, after := []int{40, 30, 20, 10}, []int{60, 30, 5, 5}
	growth := map[string]float64{"p0": 60.0 / 40, "p1": 30.0 / 30, "p2": 5.0 / 20, "p3": 5.0 / 10}
	old, changed := splitOf(t, before...), splitOf(t, after...)
	moved := 0
	for i := range users {
		key := hash64(fmt.Sprint("u", i))
		from, to := old.Choose(key, true, 0).Pool, changed.Choose(key, true, 0).Pool
		if from == to {
			continue
		}
		moved++
		if growth[to] <= growth[from] {
			t.Fatalf("a user moved from %s to %s, which grew less", from, to)
		}
	}
	if share := float64(moved) / users; share < 0.195 || share > 0.26 {
		t.Errorf("%.3f of the users moved, want about 0.25; 0.20 is the least", share)
	}
}

func TestIndependentTablesAgree(t *testing.T) {
	targets := []Target{{Pool: "a", Weight: 3}, {Pool: "b", Weight: 4}, {Pool: "b", Weight: 2, Model: "other"}, {Pool: "c", Weight: 1}}
	reversed := slices.Clone(targets)
	slices.Reverse(reversed)
	one := mustTable(t, Rule{Targets: targets}).Routes()[0]
	two := mustTable(t, Rule{Name: "else", Targets: to("x")}, Rule{Name: "same", Targets: reversed}).Routes()[1]
	for i := range 20_000 {
		key := hash64(fmt.Sprint(i))
		if a, b := one.Choose(key, true, 1), two.Choose(key, true, 2); *a != *b {
			t.Fatalf("key %d: %v and %v", i, *a, *b)
		}
	}
}

// TestHashIsStable holds the hash to what other gateways, of other releases too, compute.
func TestHashIsStable(t *testing.T) {
	for s, want := range map[string]uint64{"": 0xf52a15e9a9b5e89b, "alice": 0xc5d1556d66774a5c, "user-4711": 0xd5ae9cf0816577f5} {
		if got := hash64(s); got != want || hash64([]byte(s)) != want {
			t.Errorf("hash of %q is %#x, want %#x", s, got, want)
		}
		fnv1a := fnv.New64a()
		io.WriteString(fnv1a, s)
		if got := avalanche(fnv1a.Sum64()); got != want {
			t.Errorf("by the standard library's FNV-1a the hash of %q is %#x, want %#x", s, got, want)
		}
	}
	rt := splitOf(t, 1, 2, 3)
	var got []string
	for i := range 12 {
		got = append(got, rt.Choose(hash64(fmt.Sprint("user-", i)), true, 0).Pool)
	}
	want := []string{"p0", "p2", "p2", "p1", "p0", "p2", "p2", "p2", "p2", "p1", "p2", "p1"}
	if !slices.Equal(got, want) {
		t.Errorf("users go to %q, want %q", got, want)
	}
}

func TestMirrorSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const n = 100_000
	for _, percent := range []float64{0, 0.1, 1, 50, 99.9, 100} {
		rt := mustTable(t, Rule{Targets: []Target{{Pool: "a", Weight: 1}, {Pool: "b", Weight: 1}}, Mirror: &Mirror{Pool: "m", Percent: percent}}).Routes()[0]
		var all, ofA int
		for range n {
			if r := rng.Uint64(); rt.MirrorSample(r) {
				all++
				if rt.Choose(0, false, r).Pool == "a" {
					ofA++
				}
			}
		}
		p := percent / 100
		if dev := math.Abs(float64(all) - n*p); dev > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%v percent mirrored %d of %d", percent, all, n)
		}
		if dev := math.Abs(float64(ofA) - float64(all)/2); dev > 5*math.Sqrt(float64(all)/4) {
			t.Errorf("%v percent: %d of %d mirrored requests went to one half of the split", percent, ofA, all)
		}
	}
	if splitOf(t, 1, 1).MirrorSample(0) {
		t.Error("a route without a mirror mirrors")
	}
}
