package dispatch

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// tidied are lists as one, by address. Of two with the same address the first counts.
func tidied(lists []MemberList) MemberList {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b Member) int { return strings.Compare(a.Address, b.Address) })
	return slices.CompactFunc(all, func(a, b Member) bool { return a.Address == b.Address })
}

// give tells the pool of endpoints in several conditions.
func (f *fixture) give(lists ...MemberList) {
	f.t.Helper()
	if err := f.SetEndpoints("llama", tidied(lists)); err != nil {
		f.t.Fatal(err)
	}
}

// picks admits requests and says which endpoints they got. They end at once.
func (f *fixture) picks(n int) map[string]int {
	f.t.Helper()
	got := make(map[string]int)
	for range n {
		x := f.admit()
		got[x.Endpoint.Address]++
		complete(x, 200)
	}
	return got
}

func TestEndpointsThatAreNotReadyGetNoPicks(t *testing.T) {
	f := newFixture(t, onePool(1, "balance: round-robin\n"))
	f.give(found(MemberReady, 1), found(MemberNotReady, 2), found(MemberTerminating, 3), found(MemberStopped, 4))
	if got := f.states("llama"); got != "ready not-ready draining draining" {
		t.Errorf("states: %s", got)
	}
	if got := f.picks(8); len(got) != 1 || got["10.0.0.1:8000"] != 8 {
		t.Errorf("picks: %v; want all at the ready one", got)
	}
}

func TestLadder(t *testing.T) {
	for name, c := range map[string]struct {
		lists []MemberList
		want  []string
	}{
		"ready before terminating":        {[]MemberList{found(MemberTerminating, 1), found(MemberReady, 2)}, []string{"10.0.0.2:8000"}},
		"terminating rather than none":    {[]MemberList{found(MemberTerminating, 1, 2), found(MemberStopped, 3)}, []string{"10.0.0.1:8000", "10.0.0.2:8000"}},
		"terminating rather than loading": {[]MemberList{found(MemberTerminating, 1), found(MemberNotReady, 2, 3)}, []string{"10.0.0.1:8000"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, onePool(1, "balance: round-robin\n"))
			f.give(c.lists...)
			got := f.picks(8)
			for _, address := range c.want {
				if got[address] == 0 {
					t.Errorf("picks: %v; want some at %s", got, address)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("picks: %v; want them at %v", got, c.want)
			}
		})
	}
}

func TestNobodyIsPickedWhoCannotServe(t *testing.T) {
	f := newFixture(t, onePool(1, "queue: {size: 0}\n"))
	f.give(found(MemberNotReady, 1), found(MemberStopped, 2))
	x := f.begin()
	if reply := x.Admit(); reply == nil || reply.Code != "no_endpoint" {
		t.Fatalf("reply %+v; want no_endpoint", reply)
	}
	x.Finish(Refused)
}

func TestRequestWaitsForAnEndpointToGetReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, ""))
		f.give(found(MemberNotReady, 1))
		got := make(chan string)
		go func() {
			x := f.admit()
			got <- x.Endpoint.Address
			complete(x, 200)
		}()
		synctest.Wait()
		if n := f.Pool("llama").QueueLen(); n != 1 {
			t.Fatalf("%d requests wait", n)
		}
		time.Sleep(time.Second)
		f.give(found(MemberReady, 1))
		if address := <-got; address != "10.0.0.1:8000" {
			t.Errorf("picked %s", address)
		}
		f.Close()
	})
}

// A pod's readiness that comes and goes must cost it neither its counters nor its connections.
func TestFlappingEndpointStaysTheSame(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	f.give(found(MemberReady, 1))
	x := f.admit()
	e := x.Endpoint
	for range 3 {
		f.give(found(MemberNotReady, 1))
		f.give(found(MemberReady, 1))
	}
	complete(x, 200)
	if f.endpoint("llama", "10.0.0.1:8000") != e || e.Requests() != 1 || f.upstream(e.Address).closed.Load() != 0 {
		t.Errorf("%d requests, closed %d times; want the same endpoint to go on", e.Requests(), f.upstream(e.Address).closed.Load())
	}
}

// A terminating endpoint that is picked for want of a better one must not be handed back as one that has left.
func TestTerminatingEndpointKeepsItsRequests(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	f.give(found(MemberReady, 1))
	f.give(found(MemberTerminating, 1))
	x := f.admit()
	if n := f.Pool("llama").InFlight(); n != 1 {
		t.Errorf("%d in flight", n)
	}
	f.give()
	if n := f.upstream(x.Endpoint.Address).closed.Load(); n != 0 {
		t.Error("closed with a request in flight")
	}
	up := f.upstream(x.Endpoint.Address)
	complete(x, 200)
	if n := up.closed.Load(); n != 1 || len(f.Pool("llama").Endpoints()) != 0 {
		t.Errorf("closed %d times, %d endpoints left; want it gone with its last request", n, len(f.Pool("llama").Endpoints()))
	}
}

func TestAnotherReplicaAtTheSameAddress(t *testing.T) {
	f := newFixture(t, onePool(1, "probe: {path: /health}\n"))
	withID := func(id string, c Condition) MemberList {
		m := found(c, 1)
		m[0].ID = id
		return m
	}
	f.give(withID("a", MemberReady))
	f.SetHealthy("llama", "10.0.0.1:8000", true, "")
	x := f.admit()
	first := x.Endpoint
	f.give(withID("b", MemberReady), withID("a", MemberTerminating))
	if got := f.states("llama"); got != "unhealthy draining" {
		t.Errorf("states: %s; want the new replica to be probed anew", got)
	}
	complete(x, 200)
	if second := f.endpoint("llama", "10.0.0.1:8000"); second == first || second.Requests() != 0 {
		t.Error("the new replica has the old one's counters")
	}
}

// Ejection keeps one endpoint that can be picked: those that cannot do not count as others.
func TestLastReadyEndpointIsNotEjectedForTerminatingOnes(t *testing.T) {
	f := newFixture(t, onePool(1, "eject: {consecutiveFailures: 1, maxPercent: 100}\n"), withEjection)
	f.give(found(MemberReady, 1), found(MemberTerminating, 2), found(MemberNotReady, 3))
	for range 3 {
		x := f.admit()
		x.Finish(ConnectFailed)
	}
	if got := f.states("llama"); got != "ready draining not-ready" {
		t.Errorf("states: %s", got)
	}
}
