package gateway

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/gateway/dispatch"
)

// sources runs the sources of the configuration that is in force, and hands on what they find.
type sources struct {
	dispatcher *dispatch.Dispatcher
	probes     *probes
	polls      *polls
	metrics    *discoveryMetrics
	logger     *slog.Logger
	// spoke is called when a source has spoken for the first time.
	spoke func()
	// settingsChanged takes a value when a pool's settings from a source have changed.
	settingsChanged chan struct{}

	running map[string]*runningSource // by keyOf; handOver, set and close alone use it

	applying sync.Mutex // while a source's endpoints or a configuration is being put in force

	mu       sync.Mutex
	silent   map[string]bool   // pools whose source has not spoken yet
	settings map[string]string // pools' settings, as their sources found them
}

// runningSource is a source's sink.
type runningSource struct {
	of    *sources
	pool  string
	stop  context.CancelFunc
	ended chan struct{}
	over  bool // it is no longer a source of the configuration; guarded by applying
}

// handOver has apply put a configuration in force. From then on no source has a say but those of the configuration, all, so that none undoes what
// that lists; set is to follow.
func (s *sources) handOver(all []discovery.Source, apply func() error) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	if err := apply(); err != nil {
		return err
	}
	for key, r := range s.running {
		r.over = !slices.ContainsFunc(all, func(source discovery.Source) bool { return keyOf(source) == key })
	}
	return nil
}

// set runs these sources and stops those that are none of them. Of a pool whose source changes, the endpoints that the old one found stay until the
// new one has spoken.
func (s *sources) set(all []discovery.Source) {
	next := make(map[string]*runningSource, len(all))
	for _, source := range all {
		next[keyOf(source)] = s.running[keyOf(source)]
	}
	for key, old := range s.running {
		if next[key] == nil {
			old.end()
		}
	}
	for _, source := range all {
		if next[keyOf(source)] == nil {
			next[keyOf(source)] = s.start(source)
		}
	}
	s.forget(all) // after the new ones are waited for, lest nothing seem to be waited for in between
	s.running = next
}

func keyOf(source discovery.Source) string { return source.Pool() + " " + source.Key() }

// forget drops what is known of pools that no longer have a source.
func (s *sources) forget(all []discovery.Source) {
	has := func(pool string) bool {
		return slices.ContainsFunc(all, func(source discovery.Source) bool { return source.Pool() == pool })
	}
	for _, old := range s.running {
		if !has(old.pool) {
			s.metrics.forget(old.pool)
			s.setSettings(old.pool, "")
			s.heard(old.pool)
		}
	}
}

func (s *sources) start(source discovery.Source) *runningSource {
	ctx, stop := context.WithCancel(context.Background())
	r := &runningSource{of: s, pool: source.Pool(), stop: stop, ended: make(chan struct{})}
	s.mu.Lock()
	s.silent[r.pool] = true
	s.mu.Unlock()
	s.metrics.add(r.pool)
	go func() {
		defer close(r.ended)
		if err := source.Run(ctx, r); err != nil {
			s.heard(r.pool)
			s.metrics.watching(r.pool, err)
			s.logger.Error("endpoints are no longer discovered; the last ones stay", "pool", r.pool, "error", err)
		}
	}()
	return r
}

func (r *runningSource) end() {
	r.stop()
	<-r.ended
}

// Apply puts a pool's endpoints in force.
func (r *runningSource) Apply(set discovery.Set) {
	s := r.of
	if over, err := r.put(set); err != nil {
		s.logger.Error("cannot use discovered endpoints: the old ones stay", "pool", set.Pool, "error", err)
		return
	} else if over {
		return
	}
	s.probes.update()
	s.polls.update()
	s.logger.Debug("endpoints have changed", "pool", set.Pool, "endpoints", len(set.Endpoints))
	s.metrics.applied(set, time.Now())
	s.setSettings(set.Pool, set.Settings)
	s.heard(set.Pool)
}

func (r *runningSource) put(set discovery.Set) (over bool, err error) {
	r.of.applying.Lock()
	defer r.of.applying.Unlock()
	if r.over {
		return true, nil
	}
	return false, r.of.dispatcher.SetEndpoints(set.Pool, members(set))
}

var conditions = [...]dispatch.Condition{
	discovery.Ready: dispatch.MemberReady, discovery.NotReady: dispatch.MemberNotReady,
	discovery.Terminating: dispatch.MemberTerminating, discovery.Stopped: dispatch.MemberStopped,
}

// foundMembers are a pool's members as a source found them.
type foundMembers struct{ *discovery.Set }

func members(set discovery.Set) foundMembers {
	if !slices.IsSortedFunc(set.Endpoints, func(a, b discovery.Endpoint) int { return strings.Compare(a.Address(), b.Address()) }) {
		set = byAddress(set)
	}
	return foundMembers{&set}
}

// byAddress is a set in the order that a pool wants.
func byAddress(set discovery.Set) discovery.Set {
	order := make([]int, len(set.Endpoints))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(set.Endpoints[a].Address(), set.Endpoints[b].Address()) })
	next := set
	next.Endpoints, next.Conditions = make([]discovery.Endpoint, len(order)), make([]discovery.Condition, len(order))
	for i, from := range order {
		next.Endpoints[i], next.Conditions[i] = set.Endpoints[from], set.Condition(from)
	}
	return next
}

// Len is how many there are.
func (f foundMembers) Len() int { return len(f.Endpoints) }

// Kept says that nobody lists them any more.
func (f foundMembers) Kept() bool { return f.Set.Kept }

// At is one of them.
func (f foundMembers) At(i int) dispatch.Member {
	e := &f.Endpoints[i]
	return dispatch.Member{Endpoint: e.Endpoint, Address: e.Address(), ID: e.ID, Condition: conditions[f.Condition(i)]}
}

// Watching notes whether a source sees changes.
func (r *runningSource) Watching(pool string, err error) {
	s := r.of
	s.metrics.watching(pool, err)
	if err == nil {
		s.logger.Info("endpoints are discovered", "pool", pool)
		return
	}
	s.logger.Warn("something is wrong with where endpoints are discovered; the last ones stay", "pool", pool, "error", err)
	if discovery.IsFinal(err) {
		s.heard(pool)
	}
}

// heard notes that a pool's source has spoken, be it that it cannot find anything.
func (s *sources) heard(pool string) {
	s.mu.Lock()
	first := s.silent[pool]
	delete(s.silent, pool)
	s.mu.Unlock()
	if first {
		s.spoke()
	}
}

// waiting says which pools' sources have not spoken yet; empty if none.
func (s *sources) waiting() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(s.silent)), ", ")
}

func (s *sources) setSettings(pool, text string) {
	s.mu.Lock()
	changed := s.settings[pool] != text
	s.settings[pool] = text
	if text == "" {
		delete(s.settings, pool)
	}
	s.mu.Unlock()
	if !changed {
		return
	}
	select {
	case s.settingsChanged <- struct{}{}:
	default: // one that waits will see this change, too
	}
}

// poolSettings returns the settings that sources found, by pool.
func (s *sources) poolSettings() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string]string)
	for pool, text := range s.settings {
		if strings.TrimSpace(text) != "" {
			found[pool] = text
		}
	}
	return found
}

// close stops all sources.
func (s *sources) close() {
	for _, r := range s.running {
		r.stop()
	}
	for _, r := range s.running {
		<-r.ended
	}
	s.running = nil
}
