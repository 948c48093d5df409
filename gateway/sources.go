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
			if err := source.Run(ctx, s); err != nil {
				s.logger.Error("endpoints are no longer discovered; the last ones stay", "error", err)
			}
		})
	}
}

// Apply puts a pool's endpoints in force.
func (s *sources) Apply(set discovery.Set) {
	if err := s.dispatcher.SetEndpoints(set.Pool, members(set.Endpoints)); err != nil {
		s.logger.Error("cannot use discovered endpoints: the old ones stay", "pool", set.Pool, "error", err)
		return
	}
	s.probes.update()
	s.polls.update()
}

var conditions = [...]dispatch.Condition{
	discovery.Ready: dispatch.MemberReady, discovery.NotReady: dispatch.MemberNotReady,
	discovery.Terminating: dispatch.MemberTerminating, discovery.Stopped: dispatch.MemberStopped,
}

func members(found []discovery.Endpoint) []dispatch.Member {
	all := make([]dispatch.Member, len(found))
	for i, e := range found {
		all[i] = dispatch.Member{Endpoint: e.Endpoint, Address: e.Address(), ID: e.ID, Condition: conditions[e.Condition]}
	}
	return all
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
