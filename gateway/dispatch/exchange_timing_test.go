package dispatch

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// trip is a request that neither waits nor fails, as an engine sees it.
func (f *fixture) trip(x *Exchange) {
	x.Reset(f.Dispatcher)
	x.Started = Now()
	x.Request.Method, x.Request.Path = methodPOST, pathCompletions
	if action, _ := x.Match(); action != Forward {
		f.t.Fatal("the request is not forwarded")
	}
	if x.Admit() != nil {
		f.t.Fatal("the request is refused")
	}
	x.FirstByte()
	x.Status = 200
	x.Finish(Completed)
}

var methodPOST, pathCompletions = []byte("POST"), []byte("/v1/completions")

type silentObserver struct{}

func (silentObserver) Finished(*Exchange)          {}
func (silentObserver) Retried(*Pool, Outcome)      {}
func (silentObserver) MirrorDropped(*Pool, string) {}

func silent(o *Options) { o.Observer, o.Logger = silentObserver{}, nil }

// With a retry, a limit and a session: what a request meets on its way without waiting.
const fullPool = `
maxInFlight: 64
balance: session
session: {clientIP: true}
`

func TestTripAllocatesNothing(t *testing.T) {
	f := newFixture(t, onePool(8, fullPool), silent)
	x := &Exchange{}
	if n := testing.AllocsPerRun(1000, func() { f.trip(x) }); n != 0 {
		t.Errorf("a request allocates %v times on its way; want 0", n)
	}
}

func BenchmarkTrip(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			f := newFixture(b, onePool(n, ""), silent)
			x := &Exchange{}
			b.ReportAllocs()
			for b.Loop() {
				f.trip(x)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		f := newFixture(b, onePool(8, ""), silent)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			x := &Exchange{}
			for pb.Next() {
				f.trip(x)
			}
		})
	})
}

// What every piece of every stream pays for its times to be noted.
func BenchmarkSentBody(b *testing.B) {
	var x Exchange
	for now := int64(1); b.Loop(); now += 1000 {
		x.SentBody(now)
	}
}

// BenchmarkLookAtAQueue is how long nobody leaves a full queue when somebody begins to look.
func BenchmarkLookAtAQueue(b *testing.B) {
	f := newFixture(b, onePool(1, fmt.Sprintf("maxInFlight: 1\nqueue: {size: %d, timeout: 1h}\n", foundMost)), silent)
	f.admit()
	waiting := make([]*Exchange, foundMost)
	var ended sync.WaitGroup
	for i := range waiting {
		x := f.begin()
		x.RequestID = []byte("00112233445566778899aabbccddeeff")
		waiting[i] = x
		ended.Go(func() { x.Admit() })
	}
	for f.Pools()[0].QueueLen() < foundMost {
		runtime.Gosched()
	}
	for b.Loop() {
		b.StopTimer()
		for _, x := range waiting {
			x.admission.unlist()
		}
		b.StartTimer()
		f.Look(true)
	}
	for _, x := range waiting {
		x.Cancel()
	}
	ended.Wait()
}
