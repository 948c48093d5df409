package gateway

import (
	"context"
	"log/slog"
	"sync"

	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/gateway/dispatch"
)

// sources runs the sources of the configuration that is in force.
type sources struct {
	dispatcher *dispatch.Dispatcher
	probes     *probes
	polls      *polls
	logger     *slog.Logger
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// set stops the sources that run and starts these. The endpoints that the old ones found stay until the new ones have spoken.
func (s *sources) set(all []discovery.Source) {
	s.close()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, source := range all {
		s.running.Go(func() {
			if err := source.Run(ctx, s.apply); err != nil {
				s.logger.Error("endpoints are no longer discovered; the last ones stay", "error", err)
			}
		})
	}
}

func (s *sources) apply(set discovery.Set) {
	if err := s.dispatcher.SetEndpoints(set.Pool, set.Endpoints); err != nil {
		s.logger.Error("cannot use discovered endpoints: the old ones stay", "pool", set.Pool, "error", err)
		return
	}
	s.probes.update()
	s.polls.update()
}

func (s *sources) close() {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
}
