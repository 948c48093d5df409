package mock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/bench/engine"
)

// fakeTime runs a test of a replica on synctest's clock.
func fakeTime(t *testing.T, speed float64, test func(t *testing.T, r *replica)) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{}
		o.fill()
		config, err := o.engineConfig()
		if err != nil {
			t.Fatal(err)
		}
		r, err := newReplica(config, speed)
		if err != nil {
			t.Fatal(err)
		}
		defer r.stop()
		test(t, r)
	})
}

func TestReplicaKeepsTheEnginesTime(t *testing.T) {
	for _, speed := range []float64{.5, 1, 10} {
		fakeTime(t, speed, func(t *testing.T, r *replica) {
			time.Sleep(time.Second) // an idle start
			began := time.Now()
			request := engine.Request{PromptTokens: 500, MaxTokens: 20}
			g, err := r.submit(request, true)
			if err != nil {
				t.Fatal(err)
			}
			p := r.config.Profile
			want := p.Overhead
			for i := range 20 {
				l := engine.Load{Tokens: 500, Sequences: 1, HalfPairs: 500 * 500}
				if i > 0 {
					c := int64(500 + i - 1)
					l = engine.Load{Tokens: 1, Sequences: 1, DecodeContext: c, HalfPairs: 2*c + 1}
				}
				want += p.StepTime(l)
				n, err := g.wait(t.Context(), i)
				if err != nil || n != i+1 {
					t.Fatalf("token %d: %d, %v", i+1, n, err)
				}
				real := time.Duration(float64(want) / speed)
				if late := time.Since(began) - real; late < -time.Microsecond || late > time.Microsecond {
					t.Errorf("speed %v: token %d comes %v late", speed, i+1, late)
				}
			}
		})
	}
}

func TestReplicaSubmissionWhileIdleAndBusy(t *testing.T) {
	fakeTime(t, 1, func(t *testing.T, r *replica) {
		first, err := r.submit(engine.Request{PromptTokens: 8000, MaxTokens: 5}, false)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(r.config.Overhead + time.Millisecond)
		second, err := r.submit(engine.Request{PromptTokens: 10, MaxTokens: 5}, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range []*generation{first, second} {
			if n, err := g.wait(t.Context(), 0); n != 5 || err != nil {
				t.Errorf("%d tokens, %v", n, err)
			}
		}
		if s := r.stats(); s.Finished != 2 || s.KVUsage != 0 || len(r.live) != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestReplicaEndsGenerations(t *testing.T) {
	fakeTime(t, 1, func(t *testing.T, r *replica) {
		long := engine.Request{PromptTokens: 10, MaxTokens: 10_000}
		submit := func() *generation {
			g, err := r.submit(long, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.wait(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			return g
		}
		cancelled := submit()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var err error
		for n := 1; err == nil; {
			n, err = cancelled.wait(ctx, n)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !r.end(cancelled) || r.end(cancelled) {
			t.Errorf("wait says %v", err)
		}
		lost := submit()
		r.restart()
		if _, err := lost.wait(t.Context(), 10_000); !errors.Is(err, errReplicaDied) {
			t.Errorf("after a restart: %v", err)
		}
		if r.end(lost) || r.stats() != (engine.Stats{}) {
			t.Errorf("after a restart: %+v", r.stats())
		}
		submit() // the new life works, and stop loses what runs
	})
}

func TestTooLongForTheReplica(t *testing.T) {
	fakeTime(t, 1, func(t *testing.T, r *replica) {
		var tooLong *engine.TooLongError
		if _, err := r.submit(engine.Request{PromptTokens: 1 << 30, MaxTokens: 1}, false); !errors.As(err, &tooLong) || len(r.live) != 0 {
			t.Errorf("error %v", err)
		}
	})
}
