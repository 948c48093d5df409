package dispatch

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// listed returns the requests on the list by their id.
func (f *fixture) listed() map[string]*Listed {
	all := make(map[string]*Listed)
	f.Underway(func(l *Listed) { all[l.ID] = l })
	return all
}

func TestRequestsAreListedWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, "maxInFlight: 1\nqueue: {size: 1, timeout: 10s}\n"))
		early := f.begin()
		early.RequestID = []byte("early")
		early.Admit()
		if n := len(f.listed()); n != 0 {
			t.Fatalf("%d requests are listed while nobody looks", n)
		}
		f.Look(true)
		queued := f.begin()
		queued.RequestID = []byte("queued")
		queued.Request.Model, queued.Request.ModelKnown = []byte("llama-8b"), true
		go queued.Admit()
		synctest.Wait()
		l := f.listed()["queued"]
		if l == nil || l.Endpoint() != nil || l.Model != "llama-8b" || l.Pool != "llama" || l.Route != "default" || l.Started != queued.Started {
			t.Fatalf("a queued request is listed as %+v", l)
		}
		early.Progress(3) // its response goes on
		if tokens, begun := f.listed()["early"].Streaming(); tokens != 3 || !begun {
			t.Errorf("a request from before has %d tokens, streaming %v; want 3", tokens, begun)
		}
		early.Finish(Completed)
		synctest.Wait()
		if l.Endpoint() == nil || l.Endpoint().Address != "10.0.0.1:8000" {
			t.Errorf("a request that got an endpoint is listed at %v", l.Endpoint())
		}
		if _, begun := l.Streaming(); begun {
			t.Error("a request that waits for its first token is listed as streaming")
		}
		f.Look(false)
		queued.Finish(Completed)
		if n := len(f.listed()); n != 0 {
			t.Errorf("%d requests are still listed", n)
		}
	})
}

// TestRequestsThatWaitedBeforeAreListed looks while requests wait, which come to their turn, leave, or are refused later.
func TestRequestsThatWaitedBeforeAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, "maxInFlight: 1\nqueue: {size: 3, timeout: 10s}\n"))
		first := f.admit()
		var waiting []*Exchange
		for _, id := range []string{"granted", "left", "expired"} {
			x := f.begin()
			x.RequestID = []byte(id)
			waiting = append(waiting, x)
			go x.Admit()
			synctest.Wait()
			time.Sleep(time.Second)
		}
		for range 2 { // who looks again finds the same
			f.Look(true)
			if all := f.listed(); len(all) != 3 || all["granted"] == nil || all["left"] == nil || all["expired"].Endpoint() != nil || all["expired"].Started != waiting[2].Started {
				t.Fatalf("requests that wait are listed as %+v", all)
			}
			f.Look(false)
		}
		first.Finish(Completed)
		waiting[1].Cancel()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if all := f.listed(); all["granted"].Endpoint() == nil || all["expired"].Endpoint() != nil {
			t.Errorf("after one got an endpoint they are listed at %v and %v", all["granted"].Endpoint(), all["expired"].Endpoint())
		}
		waiting[0].Finish(Completed)
		waiting[1].Finish(ClientGone)
		waiting[2].Finish(Refused)
		if n := len(f.listed()); n != 0 {
			t.Errorf("%d requests are still listed", n)
		}
	})
}

// TestLookingMeetsRequestsAtAnyMoment is for the race detector.
func TestLookingMeetsRequestsAtAnyMoment(t *testing.T) {
	f := newFixture(t, onePool(2, "maxInFlight: 1\nqueue: {size: 64, timeout: 10s}\n"))
	var requests sync.WaitGroup
	for i := range 16 {
		requests.Go(func() {
			x := new(Exchange)
			for n := range 200 {
				x.Reset(f.Dispatcher)
				x.Started, x.RequestID = Now(), fmt.Appendf(nil, "%d-%d", i, n)
				x.Match()
				outcome := Refused
				if x.Admit() == nil {
					x.Progress(1)
					outcome = Completed
				}
				x.Finish(outcome)
			}
		})
	}
	ended := make(chan struct{})
	go func() { requests.Wait(); close(ended) }()
	for looking := true; ; looking = !looking {
		f.Look(looking)
		f.Underway(func(l *Listed) { l.Endpoint() })
		select {
		case <-ended:
			f.Look(false)
			if n := len(f.listed()); n != 0 {
				t.Errorf("%d requests are listed after their end", n)
			}
			return
		default:
		}
	}
}

func TestListOfRequestsIsBounded(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	f.Look(true)
	exchanges := make([]*Exchange, listedMost+100)
	for i := range exchanges {
		exchanges[i] = f.admit()
	}
	n := 0
	f.Underway(func(*Listed) { n++ })
	if n > listedMost || n < listedMost/2 {
		t.Errorf("%d of %d requests are listed, want at most %d and at least half of that", n, len(exchanges), listedMost)
	}
	for _, x := range exchanges {
		x.Finish(Completed)
	}
	if n := len(f.listed()); n != 0 {
		t.Errorf("%d requests are listed after their end", n)
	}
}

func TestMovesOfEndpointsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, "pools: {llama: {dns: {name: example.com, port: 8000}}}")
		step := func(want string, given MemberList) {
			t.Helper()
			f.log.Reset()
			if err := f.SetEndpoints("llama", given); err != nil {
				t.Fatal(err)
			}
			var got string
			for line := range lines(f.log.String()) {
				got += line
			}
			if got != want {
				t.Errorf("logged %q, want %q", got, want)
			}
		}
		step(`msg="endpoints are added" pool=llama count=6 endpoints="10.0.0.1:8000, 10.0.0.2:8000, 10.0.0.3:8000, 10.0.0.4:8000 and 2 more" total=6`+"\n",
			found(MemberReady, 1, 2, 3, 4, 5, 6))
		step("", found(MemberReady, 1, 2, 3, 4, 5, 6))
		x := f.admit()
		time.Sleep(time.Second)
		at := x.Endpoint.Address
		last := int(at[len("10.0.0.")] - '0')
		var rest []int
		for n := range 6 {
			if n+1 != last {
				rest = append(rest, n+1)
			}
		}
		step(`msg="endpoints drain" pool=llama count=1 endpoints=`+at+" inFlight=1 ready=5\n", found(MemberReady, rest...))
		step(`msg="endpoints drain" pool=llama count=4 endpoints="`+numbered(rest[:4])+"\" inFlight=0 ready=1\n", append(found(MemberTerminating, rest[:4]...), found(MemberReady, rest[4])...))
		x.Finish(Completed)
	})
}

func numbered(numbers []int) string {
	var list []*Endpoint
	for _, m := range found(MemberReady, numbers...) {
		list = append(list, &Endpoint{Address: m.Address})
	}
	return addresses(list)
}

// lines are what was logged, without time and level.
func lines(log string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(log) {
			if at := strings.Index(line, "msg="); !yield(line[max(at, 0):]) {
				return
			}
		}
	}
}

// The gateway's own services answer requests that have no pool.
func TestRequestsWithoutAPoolAreNotListed(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	f.Look(true)
	x := new(Exchange)
	x.Reset(f.Dispatcher)
	x.Progress(1)
	x.Finish(Completed)
	if n := len(f.listed()); n != 0 {
		t.Errorf("%d requests are listed, want none", n)
	}
}
