package balancer

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// place finds what a map finds, also where endpoints meet in the table, or are the same to the index.
func TestPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		eps := pool(random.IntN(150))
		for _, e := range eps {
			switch round % 3 {
			case 1:
				e.hash = random.Uint64N(300) << (64 - ownerBits) // many are the same
			case 2:
				e.hash = random.Uint64N(1<<10) << (64 - ownerBits + 14) // many begin at the same place
			}
		}
		s := NewSnapshot(eps, Options{})
		want := make(map[uint64]int)
		for i, e := range slices.Backward(eps) {
			want[e.owner()] = i
		}
		for owner, i := range want {
			if got := s.place(owner); got != i {
				t.Fatalf("of %d endpoints, place(%x) is %d, want %d", len(eps), owner, got, i)
			}
		}
		for range 200 {
			owner := random.Uint64N(1 << ownerBits)
			if _, ok := want[owner]; !ok && s.place(owner) != -1 {
				t.Fatalf("of %d endpoints, place(%x) is %d, want none", len(eps), owner, s.place(owner))
			}
		}
	}
}

var ownerSizes = []int{1, 9, readWhole, readWhole + 1, 300}

// Owners are those of rendezvous hashing, whether they are kept or not, whoever asks first, and in whatever order endpoints are listed.
func TestOwnerOf(t *testing.T) {
	for _, n := range ownerSizes {
		eps, reversed := pool(n), pool(n)
		slices.Reverse(reversed)
		s, r := NewSnapshot(eps, Options{}), NewSnapshot(reversed, Options{})
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for i := range uint64(2000) {
					key := mix(i)
					got := s.ownerOf(key)
					if want := s.highestOf(key >> 48); got != want {
						t.Errorf("of %d, the owner of %x is %d, want %d", n, key, got, want)
						return
					}
					if other := r.endpoints[r.ownerOf(key)].Name; eps[got].Name != other {
						t.Errorf("of %d, the owner of %x is %s here and %s there", n, key, eps[got].Name, other)
						return
					}
				}
			})
		}
		wait.Wait()
	}
}

// An endpoint that leaves moves its keys alone, evenly over the others.
func TestOnlyKeysOfTheGoneMove(t *testing.T) {
	for _, n := range ownerSizes[1:] {
		eps := pool(n)
		without := slices.Delete(slices.Clone(eps), n/2, n/2+1)
		before, after := NewSnapshot(eps, Options{}), NewSnapshot(without, Options{})
		moved := make(map[*Endpoint]int)
		for i := range uint64(ownerGroups) {
			key := i << 48
			old, new := eps[before.ownerOf(key)], without[after.ownerOf(key)]
			if old == eps[n/2] {
				moved[new]++
			} else if old != new {
				t.Fatalf("of %d, group %d moved from %s to %s, which stayed both", n, i, old.Name, new.Name)
			}
		}
		wantShares(t, without, moved, equalShares(len(without)))
	}
}

// Times may be below 0 as long as the process is young: an endpoint without a slow start has none then either.
func TestWeightBeforeTimeZero(t *testing.T) {
	eps := pool(2)
	eps[0].SetStartedAt(-2000, 1000)
	s := NewSnapshot(eps, Options{})
	for now, want := range map[int64][2]float64{-1500: {.55, 1}, -2000: {.1, 1}, -500: {1, 1}} {
		for i := range eps {
			if got := s.Weight(i, now); math.Abs(got-want[i]) > 1e-9 || math.Abs(s.slowdown(i, now)-1/got) > 1e-9 {
				t.Errorf("at %d the weight of endpoint %d is %v, its slowdown %v, want the weight %v", now, i, got, s.slowdown(i, now), want[i])
			}
		}
	}
}
