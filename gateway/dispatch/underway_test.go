package dispatch

import (
	"iter"
	"strings"
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
