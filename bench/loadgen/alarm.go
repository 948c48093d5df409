package loadgen

import (
	"sync"
	"time"
)

// alarm sleeps. One goroutine uses it; any may interrupt it.
type alarm interface {
	// sleep returns after the time, or earlier; at once when the alarm was interrupted.
	sleep(time.Duration)
	// interrupt ends this sleep and all later ones.
	interrupt()
	close()
}

// timerAlarm sleeps by the runtime's timers, which may be a millisecond late where the process is idle.
type timerAlarm struct {
	timer *time.Timer
	ended chan struct{}
	once  sync.Once
}

func newTimerAlarm() alarm {
	return &timerAlarm{timer: time.NewTimer(0), ended: make(chan struct{})}
}

func (a *timerAlarm) sleep(d time.Duration) {
	a.timer.Reset(d)
	select {
	case <-a.timer.C:
	case <-a.ended:
	}
}

func (a *timerAlarm) interrupt() { a.once.Do(func() { close(a.ended) }) }
func (a *timerAlarm) close()     { a.timer.Stop() }
