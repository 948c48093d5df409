package health

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
)

const sec = int64(time.Second)

func endpoints(n int) []*balancer.Endpoint {
	eps := make([]*balancer.Endpoint, n)
	for i := range eps {
		eps[i] = balancer.NewEndpoint(fmt.Sprintf("10.0.0.%d:8000", i), nil)
	}
	return eps
}

// ejector ejects after 3 failures, for 10 s at first and 60 s at most.
func ejector(percent int, eps []*balancer.Endpoint) *Ejector {
	j := NewEjector(EjectConfig{ConsecutiveFailures: 3, BaseTime: 10 * time.Second, MaxTime: time.Minute, MaxPercent: percent})
	if eps != nil {
		j.SetEndpoints(eps, false)
	}
	return j
}

// eject fails e until it is ejected, at most three times, and returns for how long.
func eject(t *testing.T, j *Ejector, e *balancer.Endpoint, now int64) int64 {
	t.Helper()
	for range 3 {
		if ejected, until := j.Failure(e, now); ejected {
			return until - now
		}
	}
	t.Fatalf("%s is not ejected at %d s", e.Name, now/sec)
	return 0
}

func TestFailuresInARowEject(t *testing.T) {
	eps := endpoints(3)
	j := ejector(50, eps)
	j.Failure(eps[0], 0)
	j.Failure(eps[0], 0)
	j.Success(eps[0]) // no longer in a row
	for i := range 2 {
		if ejected, until := j.Failure(eps[0], sec); ejected || until != 0 {
			t.Fatalf("ejected by failure %d", i+1)
		}
	}
	j.Failure(eps[1], sec) // counts for itself alone
	if ejected, until := j.Failure(eps[0], 2*sec); !ejected || until != 12*sec {
		t.Errorf("the third failure at 2 s: ejected %v until %d s, want until 12 s", ejected, until/sec)
	}
	if !j.Ejected(eps[0]) || j.Ejected(eps[1]) || j.Next() != 12*sec {
		t.Errorf("ejected: %v, %v; next %d", j.Ejected(eps[0]), j.Ejected(eps[1]), j.Next())
	}
	if ejected, _ := j.Failure(eps[0], 3*sec); ejected || j.Next() != 12*sec {
		t.Error("a late failure of an ejected endpoint ejected it again")
	}
	if due := j.Due(12*sec - 1); due != nil {
		t.Errorf("due too early: %v", due)
	}
	if due := j.Due(12 * sec); !slices.Equal(due, eps[:1]) || j.Ejected(eps[0]) || j.Next() != 0 {
		t.Errorf("due at its end: %v", due)
	}
	if due := j.Due(99 * sec); due != nil {
		t.Errorf("due twice: %v", due)
	}
}

// One failure ejects an endpoint again that has answered nothing since; a success makes it start from the beginning.
func TestReturnIsOnProbation(t *testing.T) {
	eps := endpoints(3)
	j := ejector(50, eps)
	eject(t, j, eps[0], 0)
	j.Due(10 * sec)
	if ejected, _ := j.Failure(eps[0], 11*sec); !ejected {
		t.Error("the first failure after its return did not eject the endpoint")
	}
	j.Due(100 * sec)
	j.Success(eps[0])
	if ejected, _ := j.Failure(eps[0], 101*sec); ejected {
		t.Error("one failure ejected an endpoint that had answered")
	}
}

func TestEjectionsDoubleAndDecay(t *testing.T) {
	eps := endpoints(3)
	j := ejector(50, eps)
	now := int64(0)
	steps := []struct{ healthy, want int64 }{ // s
		{0, 10}, {1, 20}, {19, 40}, {39, 60}, {0, 60}, {59, 60},
		{60, 40},   // a stretch of 60 s takes one doubling back
		{80, 20},   // 20 s is the second doubling less
		{19, 40},   // not quite a stretch
		{1000, 10}, // forgotten
	}
	for i, step := range steps {
		now += step.healthy * sec
		got := eject(t, j, eps[0], now)
		if got != step.want*sec {
			t.Fatalf("ejection %d, after %d s in the pool, lasts %d s, want %d", i, step.healthy, got/sec, step.want)
		}
		now += got
		j.Due(now)
	}
}

func TestMaxPercent(t *testing.T) {
	tests := []struct{ n, percent, want int }{
		{1, 100, 0}, {2, 100, 1}, {2, 1, 1}, {3, 50, 1}, {4, 50, 2}, {10, 30, 3}, {10, 39, 3}, {10, 100, 9}, {10, 0, 0}, {10, 5, 1},
		{0, 50, 0},
	}
	for _, test := range tests {
		eps := endpoints(test.n)
		j := ejector(test.percent, nil)
		j.SetEndpoints(eps, false)
		got := 0
		for _, e := range eps {
			for range 5 {
				if ejected, _ := j.Failure(e, 0); ejected {
					got++
				}
			}
		}
		if got != test.want {
			t.Errorf("of %d endpoints with %d %%, %d were ejected, want %d", test.n, test.percent, got, test.want)
		}
	}
}

// An endpoint that was spared because too many were out goes when there is room, by its next failure.
func TestSparedEndpointGoesLater(t *testing.T) {
	eps := endpoints(2)
	j := ejector(100, eps)
	eject(t, j, eps[0], 0)
	for range 5 {
		if ejected, _ := j.Failure(eps[1], 5*sec); ejected {
			t.Fatal("the last available endpoint was ejected")
		}
	}
	j.Due(10 * sec)
	if ejected, until := j.Failure(eps[1], 11*sec); !ejected || until != 21*sec {
		t.Errorf("ejected %v until %d s, want until 21 s", ejected, until/sec)
	}
}

func TestSmallerPoolEndsEjections(t *testing.T) {
	eps := endpoints(4)
	j := ejector(75, eps)
	for i, now := range []int64{2, 1, 3} {
		eject(t, j, eps[i], now*sec)
	}
	// Without the fourth, two of three may be out: the one whose ejection ends first comes back.
	if returned := j.SetEndpoints(eps[:3], false); !slices.Equal(returned, eps[1:2]) {
		t.Errorf("returned %v, want the second", returned)
	}
	if returned := j.SetEndpoints(eps[2:3], false); !slices.Equal(returned, eps[2:3]) {
		t.Errorf("returned %v: the last endpoint of a pool must not stay ejected", returned)
	}
	if j.Next() != 0 || j.Due(100*sec) != nil {
		t.Error("endpoints that have gone are still ejected")
	}
}

func TestRemovedEndpointsAreForgotten(t *testing.T) {
	eps := endpoints(3)
	j := ejector(50, eps)
	eject(t, j, eps[0], 0)
	j.SetEndpoints(eps[1:], false)
	if ejected, _ := j.Failure(eps[0], sec); ejected || j.Ejected(eps[0]) {
		t.Error("an endpoint that is not in the pool was ejected")
	}
	j.SetEndpoints(eps, false)
	if n := eps[0].Failures.Load(); n != 0 {
		t.Errorf("an endpoint came back with %d failures", n)
	}
	if got := eject(t, j, eps[0], 2*sec); got != 10*sec {
		t.Errorf("an endpoint that came back is ejected for %d s, want the first 10", got/sec)
	}
}

func TestDueComesInOrder(t *testing.T) {
	eps := endpoints(10)
	j := ejector(90, eps)
	order := []int{3, 1, 4, 0, 5}
	for _, k := range []int{1, 3, 0, 2, 4} { // times that are out of order
		eject(t, j, eps[order[k]], int64(k)*sec)
	}
	var got []int
	for _, e := range j.Due(12 * sec) {
		got = append(got, slices.Index(eps, e))
	}
	if !slices.Equal(got, order[:3]) || j.Next() != 13*sec {
		t.Errorf("due by 12 s: %v, next at %d s; want %v, 13", got, j.Next()/sec, order[:3])
	}
}

func TestEjectionTurnedOff(t *testing.T) {
	j := NewEjector(EjectConfig{BaseTime: time.Second, MaxPercent: 100})
	eps := endpoints(3)
	j.SetEndpoints(eps, false)
	for range 100 {
		if ejected, _ := j.Failure(eps[0], 0); ejected {
			t.Fatal("ejected")
		}
	}
}

// TestEndpointsThatNobodyLists may all be ejected, until somebody lists them again.
func TestEndpointsThatNobodyLists(t *testing.T) {
	eps := endpoints(3)
	j := ejector(50, eps)
	eject(t, j, eps[0], 0)
	if returned := j.SetEndpoints(eps, true); len(returned) > 0 {
		t.Errorf("%d come back", len(returned))
	}
	eject(t, j, eps[1], sec)
	eject(t, j, eps[2], 2*sec)
	if returned := j.SetEndpoints(eps, false); !slices.Equal(returned, eps[:2]) {
		t.Errorf("listed again, %d come back; want the two that were to come back first", len(returned))
	}
	off := ejector(0, nil)
	off.SetEndpoints(eps, true)
	for range 5 {
		if ejected, _ := off.Failure(eps[0], 0); ejected {
			t.Fatal("ejected, though it is turned off")
		}
	}
}

// A caller that never says who the members are keeps the share itself; nothing is remembered longer than it matters.
func TestWithoutSetEndpoints(t *testing.T) {
	eps := endpoints(2)
	j := ejector(50, nil)
	eject(t, j, eps[0], 0)
	eject(t, j, eps[1], 0)
	if due := j.Due(10 * sec); len(due) != 2 {
		t.Errorf("due: %v", due)
	}
	if got := eject(t, j, eps[0], 11*sec); got != 20*sec {
		t.Errorf("the second ejection lasts %d s, want 20", got/sec)
	}
	j.Due(31 * sec)
	if len(j.members) != 1 { // the one that has come back just now; the other's doubling has decayed
		t.Errorf("%d records are kept", len(j.members))
	}
	j.Due(2000 * sec)
	if len(j.members) != 0 {
		t.Errorf("%d records are kept after a long time", len(j.members))
	}
}

func TestSuccessAllocatesNothing(t *testing.T) {
	eps := endpoints(2)
	j := ejector(50, eps)
	if n := testing.AllocsPerRun(100, func() { j.Success(eps[0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes at the same time, never are more out than may be, and all come back.
func TestEjectorConcurrently(t *testing.T) {
	eps := endpoints(8)
	j := ejector(50, eps)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := range 2000 {
				e, now := eps[(worker*7+i)%len(eps)], int64(i)*sec/10
				switch {
				case i%5 == worker%5:
					j.Success(e)
				case i%97 == 0:
					j.SetEndpoints(eps[:len(eps)-i%3], false)
				case i%13 == 0:
					j.Due(now)
				default:
					j.Failure(e, now)
				}
				if i%50 == 0 {
					j.mu.Lock()
					if len(j.ejected) > j.most() {
						t.Errorf("%d are ejected of %d", len(j.ejected), len(j.members))
					}
					j.mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	j.Due(1 << 60)
	for _, e := range eps {
		if j.Ejected(e) {
			t.Errorf("%s is still ejected", e.Name)
		}
	}
}
