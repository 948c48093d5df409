package dispatch

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetryGoesElsewhere(t *testing.T) {
	f := newFixture(t, onePool(3, ""))
	for range 50 {
		x := f.admit()
		first := x.Endpoint
		x.Failed(errors.New("connection refused"))
		if reply := x.Retry(ConnectFailed, true); reply != nil {
			t.Fatalf("not retried: %s", reply.Message)
		}
		second := x.Endpoint
		if second == first || x.Attempts != 2 {
			t.Fatalf("attempt %d is on %s after %s", x.Attempts, second.Address, first.Address)
		}
		if reply := x.Retry(StaleConnection, true); reply != nil {
			t.Fatalf("not retried: %s", reply.Message)
		}
		if x.Endpoint == first || x.Endpoint == second {
			t.Fatalf("the third attempt is on %s again", x.Endpoint.Address)
		}
		complete(x, 200)
		if got := f.observer.last(); got.attempts != 3 || got.outcome != Completed || got.endpoint == first.Address {
			t.Fatalf("the observer sees %+v", got)
		}
		if got := first.LastFailure(); got == nil || got.Cause != "connect_failed: connection refused" {
			t.Fatalf("the last failure of %s is %+v", first.Address, got)
		}
		// 50 requests with 2 retries each are more than the budget allows: refill it.
		f.Pool("llama").requests.Add(100)
	}
	if !slices.Equal(f.observer.retried[:2], []Outcome{ConnectFailed, StaleConnection}) {
		t.Errorf("the observer sees retries for %v", f.observer.retried[:2])
	}
	if made, denied := f.Pool("llama").Retries(); made != 100 || denied != 0 {
		t.Errorf("%d retries, %d denied; want 100 and 0", made, denied)
	}
	if n := f.Pool("llama").Requests() - 50*100; n != 50 {
		t.Errorf("%d requests; want 50, retries not counted", n)
	}
}

func TestRetryOfAPoolOfOne(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	x := f.admit()
	if x.Retry(ConnectFailed, true) != nil || x.Endpoint == nil {
		t.Fatal("not retried on the only endpoint")
	}
	if x.Retry(ConnectFailed, true) != nil {
		t.Fatal("not retried twice, as retry.attempts allows")
	}
	wantRefusal(t, x.Retry(ConnectFailed, true), 502, "connect_failed", 0)
	if x.Endpoint != nil || x.Attempts != 3 {
		t.Errorf("after %d attempts, %v is held", x.Attempts, x.Endpoint)
	}
	x.Finish(Refused)
	if got := f.observer.last(); got.endpoint != "10.0.0.1:8000" || got.code != "connect_failed" {
		t.Errorf("the observer sees %+v; want the endpoint of the last attempt", got)
	}
	if x.Endpoint != nil {
		t.Error("an endpoint is held after Finish")
	}
}

func TestFailuresAreAnswered(t *testing.T) {
	for _, c := range []struct {
		outcome Outcome
		status  int
		code    string
	}{
		{ConnectFailed, 502, "connect_failed"},
		{StaleConnection, 502, "upstream_reset"},
		{UpstreamReset, 502, "upstream_reset"},
		{UpstreamBroken, 502, "upstream_broken"},
		{UpstreamTimeout, 504, "upstream_timeout"},
		{ClientGone, 499, "client_left"},
	} {
		f := newFixture(t, onePool(2, ""))
		x := f.admit()
		e := x.Endpoint
		wantRefusal(t, x.Retry(c.outcome, false), c.status, c.code, 0)
		x.Finish(Refused)
		if n := e.Failures(c.outcome); n != 1 {
			t.Errorf("%s counts as %d failures; want 1", c.outcome, n)
		}
	}
	f := newFixture(t, onePool(2, ""))
	wantPanic(t, "without an endpoint", func() { f.begin().Retry(ConnectFailed, true) })
	x := f.admit()
	wantPanic(t, "no failure", func() { x.Retry(Completed, false) })
}

func TestRetriesOff(t *testing.T) {
	f := newFixture(t, onePool(2, "retry: {attempts: 0}\n"))
	x := f.admit()
	wantRefusal(t, x.Retry(ConnectFailed, true), 502, "connect_failed", 0)
	x.Finish(Refused)
}

func TestRetryAfterTheClientLeft(t *testing.T) {
	f := newFixture(t, onePool(2, ""))
	x := f.admit()
	x.Cancel()
	wantRefusal(t, x.Retry(ConnectFailed, true), 499, "client_left", 0)
	x.Finish(ClientGone)
	if len(f.observer.retried) != 0 {
		t.Error("tried again for a client that left")
	}
}

func TestRetryWaitsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		x, other := f.admit(), f.begin()
		otherDone := admitLater(other)
		synctest.Wait()
		done := make(chan *Reply, 1)
		go func() { done <- x.Retry(StaleConnection, true) }()
		if reply := <-otherDone; reply != nil {
			t.Fatal("the request that waits is refused")
		}
		time.Sleep(time.Second)
		complete(other, 200)
		if reply := <-done; reply != nil || x.Attempts != 2 || x.Queued != int64(time.Second) {
			t.Fatalf("reply %v after %d attempts and %v in the queue; want a second attempt after 1s", reply, x.Attempts, time.Duration(x.Queued))
		}
		complete(x, 200)
	})
}

func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(2, "eject: {consecutiveFailures: 0}\nretry: {attempts: 1, budgetPercent: 10}\n"))
		storm := func(n int) (retried int) {
			for range n {
				x := f.admit()
				if reply := x.Retry(ConnectFailed, true); reply == nil {
					retried++
					complete(x, 200)
				} else {
					x.Finish(Refused)
				}
			}
			return retried
		}
		if n := storm(200); n != 20+10 {
			t.Errorf("%d of 200 requests are retried; want 10%% and the 10 of a second", n)
		}
		if _, denied := f.Pool("llama").Retries(); denied != 170 {
			t.Errorf("%d retries denied; want 170", denied)
		}
		time.Sleep(500 * time.Millisecond)
		if n := storm(10); n != 1+5 {
			t.Errorf("%d of 10 requests are retried half a second later; want 10%% and the 5 of half a second", n)
		}
		f.apply(onePool(2, "eject: {consecutiveFailures: 0}\nretry: {attempts: 1, budgetPercent: 100}\n"))
		time.Sleep(time.Minute)
		if n := storm(50); n != 50 {
			t.Errorf("%d of 50 requests are retried with a budget of 100%%", n)
		}
	})
}

func TestMirrorCopiesAreCountedApart(t *testing.T) {
	f := newFixture(t, onePool(1, "maxInFlight: 1\n"))
	p := f.Pool("llama")
	x := &Exchange{}
	x.UseMirror(f.Dispatcher, p)
	if !x.AdmitNow() || x.Endpoint == nil {
		t.Fatal("an idle pool takes no copy")
	}
	y := &Exchange{}
	y.UseMirror(f.Dispatcher, p)
	if y.AdmitNow() || y.Endpoint != nil {
		t.Fatal("a busy pool takes a copy")
	}
	y.Finish(Refused)
	complete(x, 503)
	e := p.Endpoints()[0]
	if e.Requests() != 0 || e.Mirrored() != 1 || p.Requests() != 0 || len(f.observer.finished) != 0 || p.InFlight() != 0 {
		t.Errorf("%d requests, %d mirrored, %d of the pool, observer %+v; want one mirrored and nothing else",
			e.Requests(), e.Mirrored(), p.Requests(), f.observer.finished)
	}
	x.UseMirror(f.Dispatcher, p)
	x.AdmitNow()
	wantRefusal(t, x.Retry(ConnectFailed, true), 502, "connect_failed", 0)
	x.Finish(Refused)
	f.MirrorDropped(p, "too_many")
	if got := strings.Join(f.observer.dropped, ","); got != "llama: too_many" {
		t.Errorf("the observer sees dropped copies %s", got)
	}
}
