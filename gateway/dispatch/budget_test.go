package dispatch

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// reserveGone is a time at which the reserve of a budget has nothing, once it was emptied there.
const reserveGone = int64(time.Hour)

func emptyReserve(b *budget) {
	for b.withdrawReserve(reserveGone) {
	}
}

func TestBudgetFollowsRequests(t *testing.T) {
	b := newBudget(20, 1000)
	emptyReserve(b)
	for _, c := range []struct{ requests, want int64 }{
		{1000, 0}, {1004, 0}, {1005, 1}, {1005, 0}, {1024, 3}, {1100, 16}, {1100, 0},
	} {
		got := int64(0)
		for b.withdraw(c.requests, reserveGone) {
			got++
		}
		if got != c.want {
			t.Errorf("after %d requests, %d retries are allowed; want %d", c.requests, got, c.want)
		}
	}
}

func TestBudgetExpires(t *testing.T) {
	b := newBudget(50, 0)
	emptyReserve(b)
	got := 0
	for b.withdraw(1_000_000, reserveGone) {
		got++
	}
	if got != budgetBurst {
		t.Errorf("%d retries are saved up; want %d", got, budgetBurst)
	}
}

func TestReserve(t *testing.T) {
	b := newBudget(0, 0)
	now := reserveGone
	take := func() (n int) {
		for b.withdraw(1_000_000, now) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 10}, {99 * time.Millisecond, 0}, {time.Millisecond, 1}, {250 * time.Millisecond, 2}, {time.Hour, 10}} {
		now += int64(c.after)
		if n := take(); n != c.want {
			t.Errorf("%v later, %d retries are allowed; want %d", c.after, n, c.want)
		}
	}
}

func TestBudgetUnderContention(t *testing.T) {
	b := newBudget(10, 0)
	emptyReserve(b)
	var requests, retries atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5000 {
				if b.withdraw(requests.Add(1), reserveGone) {
					retries.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := retries.Load(); n > 2000 || n < 1990 {
		t.Errorf("%d retries of 20000 requests; want 10%%", n)
	}
}
