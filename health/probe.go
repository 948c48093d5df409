package health

import (
	"context"
	"sync"
	"time"
)

// probe is one target's state. Its goroutine alone writes it.
type probe struct {
	target Target
	cancel context.CancelFunc
	done   chan struct{} // closed when its goroutine ends

	successes, failures int  // in a row
	passed              bool // ever
	unwatchable         bool // the endpoint has said that it offers no Watch, and no probe has failed since

	mu     sync.Mutex
	status Status
}

func (b *probe) current() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// note takes a result in: a probe's, which counts by the thresholds, or a decisive one, which holds at once. tell is true for the first
// result and for each that changes the target's health.
func (b *probe) note(c ProbeConfig, started time.Time, err error, decisive bool) (healthy, tell bool) {
	if err == nil {
		b.successes, b.failures = b.successes+1, 0
	} else {
		b.successes, b.failures = 0, b.failures+1
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	was, first := b.status.Healthy, b.status.Checked.IsZero()
	switch {
	case decisive:
		healthy = err == nil
	case was:
		healthy = b.failures < max(c.UnhealthyAfter, 1)
	case b.passed:
		healthy = b.successes >= max(c.HealthyAfter, 1)
	default:
		healthy = err == nil
	}
	b.passed = b.passed || healthy
	b.status = Status{Healthy: healthy, Checked: now, Took: now.Sub(started), Err: err}
	return healthy, first || healthy != was
}
