package dispatch

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const busyPool = "maxInFlight: 1\nqueue: {size: 2, timeout: 10s}\n"

// admitLater admits x on a goroutine of its own.
func admitLater(x *Exchange) <-chan *Reply {
	done := make(chan *Reply, 1)
	go func() { done <- x.Admit() }()
	return done
}

func TestRequestsWaitInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		holder, first, second := f.admit(), f.begin(), f.begin()
		firstDone := admitLater(first)
		synctest.Wait()
		secondDone := admitLater(second)
		synctest.Wait()
		if n := f.Pool("llama").QueueLen(); n != 2 {
			t.Fatalf("%d requests wait; want 2", n)
		}
		if n := f.Pool("llama").Outstanding(); n != 3 {
			t.Errorf("%d outstanding; want 3", n)
		}
		time.Sleep(time.Second)
		complete(holder, 200)
		if reply := <-firstDone; reply != nil {
			t.Fatalf("the first in the queue is refused: %s", reply.Message)
		}
		if first.Queued != int64(time.Second) {
			t.Errorf("Queued is %v; want 1s", time.Duration(first.Queued))
		}
		select {
		case <-secondDone:
			t.Fatal("the second in the queue was let in beside the first")
		default:
		}
		complete(first, 200)
		if reply := <-secondDone; reply != nil {
			t.Fatalf("the second in the queue is refused: %s", reply.Message)
		}
		complete(second, 200)
		if n := f.Pool("llama").Outstanding(); n != 0 {
			t.Errorf("%d outstanding at the end; want 0", n)
		}
	})
}

func TestSaturatedPoolRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		holder := f.admit()
		waiting := []*Exchange{f.begin(), f.begin()}
		var done []<-chan *Reply
		for _, x := range waiting {
			done = append(done, admitLater(x))
		}
		synctest.Wait()
		third := f.begin()
		start := time.Now()
		wantRefusal(t, third.Admit(), 429, "queue_full", 10)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a full queue keeps a request for %v", waited)
		}
		if third.Refusal == nil || third.Refusal.Code != "queue_full" {
			t.Errorf("Refusal is %+v; want queue_full", third.Refusal)
		}
		third.Finish(Refused)
		for i, d := range done {
			wantRefusal(t, <-d, 504, "queue_timeout", 10)
			if waited := time.Since(start); waited != 10*time.Second {
				t.Errorf("a request waits for %v; want the queue's timeout, 10s", waited)
			}
			waiting[i].Finish(Refused)
		}
		complete(holder, 200)
	})
}

func TestEmptyPoolHoldsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, "queue: {timeout: 4s}\n"))
		if err := f.SetEndpoints("llama", nil); err != nil {
			t.Fatal(err)
		}
		late, early := f.begin(), f.begin()
		wantRefusal(t, late.Admit(), 503, "no_endpoint", 4)
		late.Finish(Refused)
		if got := f.observer.last(); got.code != "no_endpoint" || got.queued != int64(4*time.Second) || got.pool != "llama" || got.endpoint != "" {
			t.Errorf("the observer sees %+v", got)
		}
		done := admitLater(early)
		time.Sleep(3 * time.Second)
		if err := f.SetEndpoints("llama", found(MemberReady, 7)); err != nil {
			t.Fatal(err)
		}
		if reply := <-done; reply != nil {
			t.Fatalf("refused though an endpoint came: %s", reply.Message)
		}
		if early.Endpoint.Address != "10.0.0.7:8000" || early.Queued != int64(3*time.Second) {
			t.Errorf("got %s after %v; want 10.0.0.7:8000 after 3s", early.Endpoint.Address, time.Duration(early.Queued))
		}
		complete(early, 200)
	})
}

func TestUnhealthyPoolHoldsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(2, "probe: {path: /health}\nqueue: {timeout: 4s}\n"))
		x := f.begin()
		wantRefusal(t, x.Admit(), 503, "no_endpoint", 4)
		f.rebegin(x)
		done := admitLater(x)
		synctest.Wait()
		f.SetHealthy("llama", "10.0.0.2:8000", true, "")
		if reply := <-done; reply != nil {
			t.Fatalf("refused though an endpoint became healthy: %s", reply.Message)
		}
		if x.Endpoint.Address != "10.0.0.2:8000" {
			t.Errorf("got %s; want the healthy endpoint, 10.0.0.2:8000", x.Endpoint.Address)
		}
		complete(x, 200)
	})
}

func TestPoolWithoutQueueRefusesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, "maxInFlight: 1\nqueue: {size: 0, timeout: 90s}\n"))
		start := time.Now()
		holder, x := f.admit(), f.begin()
		wantRefusal(t, x.Admit(), 429, "queue_full", 30)
		complete(holder, 200)
		if err := f.SetEndpoints("llama", nil); err != nil {
			t.Fatal(err)
		}
		f.rebegin(x)
		wantRefusal(t, x.Admit(), 503, "no_endpoint", 30)
		x.Finish(Refused)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("requests wait for %v without a queue", waited)
		}
	})
}

func TestCancelEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		holder, x := f.admit(), f.begin()
		done := admitLater(x)
		synctest.Wait()
		start := time.Now()
		x.Cancel()
		x.Cancel()
		wantRefusal(t, <-done, 499, "client_left", 0)
		if time.Since(start) != 0 || f.Pool("llama").QueueLen() != 0 {
			t.Errorf("%d requests wait %v after the client left", f.Pool("llama").QueueLen(), time.Since(start))
		}
		x.Finish(ClientGone)
		if got := f.observer.last(); got.status != 499 || got.outcome != ClientGone {
			t.Errorf("the observer sees %+v; want status 499", got)
		}
		complete(holder, 200)

		f.rebegin(x)
		if reply := x.Admit(); reply != nil {
			t.Errorf("the next request on the connection is refused: %s", reply.Message)
		}
		complete(x, 200)

		f.rebegin(x)
		x.Cancel()
		wantRefusal(t, x.Admit(), 499, "client_left", 0)
		if x.AdmitNow() {
			t.Error("AdmitNow takes an endpoint for a client that left")
		}
		x.Finish(ClientGone)
		if n := f.Pool("llama").InFlight(); n != 0 {
			t.Errorf("%d in flight at the end; want 0", n)
		}
	})
}

// A client may leave in the very moment in which its request is granted an endpoint.
func TestCancelAgainstGrant(t *testing.T) {
	f := newFixture(t, onePool(1, busyPool))
	for range 2000 {
		holder, x := f.admit(), f.begin()
		done := admitLater(x)
		for f.Pool("llama").QueueLen() == 0 {
		}
		var both sync.WaitGroup
		both.Go(func() { complete(holder, 200) })
		both.Go(x.Cancel)
		switch reply := <-done; reply {
		case nil:
			complete(x, 200)
		case ClientLeft:
			x.Finish(ClientGone)
		default:
			t.Fatalf("refused with %s", reply.Code)
		}
		both.Wait()
		if n := f.Pool("llama").Outstanding(); n != 0 {
			t.Fatalf("%d outstanding after both ended; want 0", n)
		}
	}
}

// A client may leave after its request was marked as waiting and before it stands in the queue.
func TestCancelJustBeforeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		holder, x := f.admit(), f.begin()
		x.tellPolicy()
		x.prepare(Now())
		x.admission.enter(x.Pool)
		x.Cancel()
		start := time.Now()
		e, reply := x.stay(Now())
		if e != nil || time.Since(start) != 0 {
			t.Errorf("got endpoint %v after %v", e, time.Since(start))
		}
		wantRefusal(t, reply, 499, "client_left", 0)
		x.Finish(ClientGone)
		complete(holder, 200)
	})
}

func TestShorterQueueTimeoutAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		holder, long, short := f.admit(), f.begin(), f.begin()
		start := time.Now()
		longDone := admitLater(long)
		synctest.Wait()
		f.apply(onePool(1, "maxInFlight: 1\nqueue: {size: 2, timeout: 1s}\n"))
		f.rebegin(short)
		shortDone := admitLater(short)
		wantRefusal(t, <-shortDone, 504, "queue_timeout", 1)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("a request waits for %v behind one with a longer timeout; want 1s", waited)
		}
		wantRefusal(t, <-longDone, 504, "queue_timeout", 10)
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("a request waits for %v; want the timeout that it came with, 10s", waited)
		}
		complete(holder, 200)
	})
}

func TestRoomAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, busyPool))
		holder, x := f.admit(), f.begin()
		done := admitLater(x)
		synctest.Wait()
		f.apply(onePool(1, "maxInFlight: 2\nqueue: {size: 2, timeout: 10s}\n"))
		if reply := <-done; reply != nil {
			t.Fatalf("refused though the limit was raised: %s", reply.Message)
		}
		complete(holder, 200)
		complete(x, 200)
	})
}

func TestFinishTwicePanics(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	x := f.admit()
	complete(x, 200)
	wantPanic(t, "finished twice", func() { x.Finish(Completed) })
	wantPanic(t, "never begun", func() { new(Exchange).Finish(Refused) })
	x = f.admit()
	wantPanic(t, "Finish comes first", func() { x.Reset(f.Dispatcher) })
	complete(x, 200)
}

// Requests whose head is malformed are never matched, and end all the same.
func TestFinishWithoutMatch(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	x := &Exchange{}
	x.Reset(f.Dispatcher)
	x.Status = 400
	x.Finish(Refused)
	if got := f.observer.last(); got.status != 400 || got.pool != "" {
		t.Errorf("the observer sees %+v", got)
	}
}

func TestResetClearsEverything(t *testing.T) {
	f := newFixture(t, onePool(1, ""))
	x := f.admit()
	x.RequestID, x.Protocol, x.Streamed, x.RequestBytes, x.ResponseBytes, x.Events = []byte("id"), "HTTP/2", true, 1, 2, 3
	x.FirstToken, x.LastToken, x.Usage.PromptTokens, x.Busy, x.Prompt.Tokens = 4, 5, 6, true, 7
	complete(x, 503)
	x.Reset(f.Dispatcher)
	want := &Exchange{}
	want.Reset(f.Dispatcher)
	if got, want := publicFields(x), publicFields(want); got != want {
		t.Errorf("after Reset:\n%s\nwant\n%s", got, want)
	}
}
