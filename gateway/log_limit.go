package gateway

import (
	"sync"
	"time"
)

// logPause is the time between two log lines that strangers can cause.
const logPause = 5 * time.Second

// logLimit bounds how often something is logged that strangers can cause. Its zero value is ready.
type logLimit struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// allow says whether to log a line now, and how many were left out since the last one.
func (l *logLimit) allow(now time.Time) (ok bool, skipped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.skipped++
		return false, 0
	}
	skipped, l.skipped, l.next = l.skipped, 0, now.Add(logPause)
	return true, skipped
}
