package autoscale

import (
	"context"
	"log/slog"
	"time"
)

// task is something that is done again and again.
type task struct {
	// what is the task in a log line after "cannot".
	what string
	// every is the time between two times that went well; after a failure it is a second, and becomes longer from one failure to the next.
	every time.Duration
	// nudge has it done early, though never within gap of the last time; nil never does.
	nudge <-chan struct{}
	gap   time.Duration
	do    func(context.Context) error
}

const firstRetry = time.Second

// run does the task until ctx ends. It logs a failure when it is another one than the last time, and when the task goes well again.
func (t *task) run(ctx context.Context, logger *slog.Logger) {
	retry, failure := min(firstRetry, t.every), ""
	for {
		wait := t.every
		err := t.do(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if text := err.Error(); text != failure {
				failure = text
				logger.Error("cannot "+t.what, "error", err)
			}
			wait, retry = retry, min(2*retry, t.every)
		case failure != "":
			retry, failure = min(firstRetry, t.every), ""
			logger.Info("can " + t.what + " again")
		}
		if !t.pause(ctx, wait) {
			return
		}
	}
}

// pause waits for the next time. It reports whether there is one.
func (t *task) pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	gap := time.NewTimer(t.gap)
	defer gap.Stop()
	var nudge <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-gap.C:
			nudge = t.nudge
		case <-nudge:
			return true
		}
	}
}

// signal wakes whoever waits for c, which has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
