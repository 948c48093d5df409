package mock

import (
	"context"
	"time"
)

const (
	// quietPeriod is how long no request may have been underway before a draining replica can go: somebody may not know yet that it drains.
	quietPeriod = time.Second
	// quietPoll is how often a draining replica looks.
	quietPoll = 20 * time.Millisecond
)

// Drain is what a well-run model server does before it stops: health checks fail from now on, what is underway goes on, and so do requests
// that still come, of which each answer is its connection's last. It returns when no request that runs a model was underway for a second,
// when limit is over, or when ctx ends, and reports how many are still underway. Close then ends the replica.
func (s *Server) Drain(ctx context.Context, limit time.Duration) (underway int64) {
	s.life.Drain()
	if s.instant != nil {
		s.instant.Drain()
	}
	return awaitQuiet(ctx, limit, func() (started, running int64) {
		n := s.State().Requests
		return n.Started, n.Running
	})
}

// awaitQuiet waits until nothing ran for the quiet period, until limit is over or ctx ends, and returns how many requests run then.
func awaitQuiet(ctx context.Context, limit time.Duration, counts func() (started, running int64)) (running int64) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	look := time.NewTicker(quietPoll)
	defer look.Stop()
	quietSince, seen := time.Now(), int64(-1)
	for {
		started, running := counts()
		if running > 0 || started != seen {
			quietSince, seen = time.Now(), started
		}
		if time.Since(quietSince) >= quietPeriod {
			return 0
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			_, running = counts() // which may have changed since
			return running
		}
	}
}
