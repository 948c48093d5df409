package dispatch

import (
	"sync"
	"time"
)

// timer calls fire at the earliest of the times that it was armed with. One serves a whole pool, so that no request needs its own.
type timer struct {
	// fire does what is due and returns the next time to fire at, on Now's scale; 0 is never.
	fire func(now int64) (next int64)

	mu      sync.Mutex
	timer   *time.Timer
	at      int64 // 0: not armed
	stopped bool
}

// arm makes the timer fire at that time at the latest.
func (t *timer) arm(at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.at != 0 && t.at <= at {
		return
	}
	t.at = at
	in := time.Duration(at - Now())
	if t.timer == nil {
		t.timer = time.AfterFunc(in, t.run)
		return
	}
	t.timer.Reset(in)
}

func (t *timer) run() {
	t.mu.Lock()
	t.at = 0
	stopped := t.stopped
	t.mu.Unlock()
	if stopped {
		return
	}
	if next := t.fire(Now()); next != 0 {
		t.arm(next)
	}
}

// stop ends the timer; a fire that has begun goes on. start makes it usable again.
func (t *timer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped, t.at = true, 0
	if t.timer != nil {
		t.timer.Stop()
	}
}

func (t *timer) start() {
	t.mu.Lock()
	t.stopped = false
	t.mu.Unlock()
}
