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
	found      sync.Map // the pools whose endpoints were found at least once
}

// set stops the sources that run and starts these. The endpoints that the old ones found stay until the new ones have spoken.
func (s *sources) set(all []discovery.Source) {
	s.close()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for _, source := range all {
		s.running.Go(func() {
			if err := source.Run(ctx, s); err != nil {
				s.logger.Error("endpoints are no longer discovered; the last ones stay", "error", err)
			}
		})
	}
}

// Apply puts a pool's endpoints in force.
func (s *sources) Apply(set discovery.Set) {
	urls := make([]string, 0, len(set.Endpoints))
	for _, e := range set.Endpoints {
		if e.Condition == discovery.Ready {
			urls = append(urls, e.String())
		}
	}
	if err := s.dispatcher.SetEndpoints(set.Pool, urls); err != nil {
		s.logger.Error("cannot use discovered endpoints: the old ones stay", "pool", set.Pool, "error", err)
		return
	}
	s.found.Store(set.Pool, struct{}{})
	s.probes.update()
	s.polls.update()
}

// synced says whether the endpoints of all pools have been found that are to be found.
func (s *sources) synced() bool {
	for _, p := range s.dispatcher.Pools() {
		if _, ok := s.found.Load(p.Name); !ok && p.Config().Service != nil && !p.Removed() {
			return false
		}
	}
	return true
}

// Watching logs whether a source sees changes.
func (s *sources) Watching(pool string, err error) {
	if err != nil {
		s.logger.Warn("endpoints are not discovered; the last ones stay", "pool", pool, "error", err)
	}
}

func (s *sources) close() {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
}
