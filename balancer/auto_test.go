package balancer

import "testing"

// Equal endpoints share evenly where requests come no faster than they are done.
func TestAutoSharesEvenly(t *testing.T) {
	for _, n := range []int{2, 8, 100} {
		eps := pool(n)
		b := New(newAuto(Objectives{}))
		b.SetSnapshot(NewSnapshot(eps, Options{}))
		counts := make(map[*Endpoint]int)
		now := int64(1e9)
		for i := range 500 * n {
			r := request(i)
			r.Now = now
			e, _ := b.Acquire(r)
			counts[e]++
			now += 1e9 / int64(n)
			b.Release(e, r, Done{Started: r.Now, Now: now})
		}
		wantShares(t, eps, counts, equalShares(n))
	}
}
