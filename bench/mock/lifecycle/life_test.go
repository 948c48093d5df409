package lifecycle

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLife(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*Life)
		until time.Duration // how long health checks fail; 0 if not at all, forever if for good
		runs  bool          // requests, meanwhile
	}{
		{"new", func(*Life) {}, 0, true},
		{"loading", func(l *Life) { l.Load(time.Minute) }, time.Minute, false},
		{"loaded early", func(l *Life) { l.Load(time.Minute); l.Load(0) }, 0, true},
		{"unready", func(l *Life) { l.SetUnready(time.Now().Add(time.Second)) }, time.Second, true},
		{"ready again", func(l *Life) { l.SetUnready(time.Now().Add(time.Second)); l.SetUnready(time.Time{}) }, 0, true},
		{"loading and unready", func(l *Life) { l.Load(time.Second); l.SetUnready(time.Now().Add(time.Minute)) }, time.Minute, false},
		{"unready and loading", func(l *Life) { l.SetUnready(time.Now().Add(time.Second)); l.Load(time.Minute) }, time.Minute, false},
		{"draining", func(l *Life) { l.Drain() }, forever, true},
		{"loading and draining", func(l *Life) { l.Load(time.Second); l.Drain() }, forever, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l Life
				c.do(&l)
				if l.Ready() != (c.until == 0) || l.Loading() == c.runs {
					t.Errorf("ready %v, loading %v", l.Ready(), l.Loading())
				}
				if c.until == 0 || c.until == forever {
					time.Sleep(time.Hour)
					if l.Ready() != (c.until == 0) {
						t.Errorf("after an hour ready is %v", l.Ready())
					}
					return
				}
				time.Sleep(c.until - time.Nanosecond)
				if l.Ready() {
					t.Error("ready too early")
				}
				if time.Sleep(time.Nanosecond); !l.Ready() || l.Loading() || l.Unready() {
					t.Errorf("not ready after %v", c.until)
				}
			})
		})
	}
}

// Who watches learns of every change: of those that come with time, and of those that somebody makes.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Life
		began := time.Now()
		type change struct {
			at    time.Duration
			ready bool
		}
		seen := make(chan change, 100)
		quit := make(chan struct{})
		l.Load(time.Second)
		go func() {
			for {
				ready, until, changed := l.Watch()
				seen <- change{time.Since(began), ready}
				select {
				case <-time.After(until):
				case <-changed:
				case <-quit:
					close(seen)
					return
				}
			}
		}()
		time.Sleep(2 * time.Second)
		l.SetUnready(time.Now().Add(time.Second))
		time.Sleep(2 * time.Second)
		l.Drain()
		time.Sleep(time.Second)
		close(quit)
		var got []change
		for c := range seen {
			got = append(got, c)
		}
		want := []change{{0, false}, {time.Second, true}, {2 * time.Second, false}, {3 * time.Second, true}, {4 * time.Second, false}}
		if len(got) != len(want) {
			t.Fatalf("saw %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("change %d is %v, want %v", i, got[i], want[i])
			}
		}
	})
}
