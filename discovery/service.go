package discovery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery/kube"
)

// serviceSource watches a Kubernetes Service and its EndpointSlices.
type serviceSource struct {
	pool   string
	config config.Service
	client *kube.Client
	place  place
	now    func() time.Time

	woken chan struct{} // there is something to tell

	mu    sync.Mutex
	state serviceState
	// seeing is why changes are not seen: of the slices and of the Service; nil if they are, or nobody knows yet.
	seeing [2]error
}

const (
	ofSlices = iota
	ofService
)

// newServiceSource returns a source of the endpoints of a pool's Service.
func newServiceSource(pool string, c *config.Service, client *kube.Client, at place) (*serviceSource, error) {
	switch {
	case !c.TopologyHints:
		at = place{}
	case at == place{}:
		return nil, fmt.Errorf("cannot follow topology hints in pool %s: neither PENSTOCK_NODE nor PENSTOCK_ZONE says where the gateway runs; "+
			"set them from the pod's spec.nodeName and its label topology.kubernetes.io/zone, or leave topologyHints out", pool)
	}
	return &serviceSource{
		pool: pool, config: *c, client: client, place: at, now: time.Now,
		woken: make(chan struct{}, 1), state: serviceState{config: *c, place: at},
	}, nil
}

// Pool is the pool's name.
func (s *serviceSource) Pool() string { return s.pool }

// Key says which Service is watched, and how.
func (s *serviceSource) Key() string {
	return fmt.Sprintf("service %+v %+v", s.config, s.place)
}

// Run watches until ctx ends.
func (s *serviceSource) Run(ctx context.Context, sink Sink) error {
	var watches sync.WaitGroup
	defer watches.Wait()
	watches.Go(func() { s.watchSlices().Run(ctx) })
	watches.Go(func() { s.watchService().Run(ctx) })
	t := newTeller(s.pool, sink)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.woken:
			s.mu.Lock()
			found, err := s.state.resolve(s.now())
			for _, unseen := range s.seeing {
				if unseen != nil {
					err = unseen
				}
			}
			s.mu.Unlock()
			t.tell(found, err)
		}
	}
}

func (s *serviceSource) watchSlices() *kube.Watch {
	return watchSlices(s.client, s.config.Namespace, s.config.Name, slicesSink{
		replaced: func(all map[string]*slice) { s.change(func(state *serviceState) { state.replaceSlices(all) }) },
		changed:  func(one *slice, deleted bool) { s.change(func(state *serviceState) { state.setSlice(one, deleted) }) },
		seeing:   func(err error) { s.sees(ofSlices, err) },
	})
}

func (s *serviceSource) watchService() *kube.Watch {
	return &kube.Watch{
		Client: s.client.Core, Resource: "services", Namespace: s.config.Namespace, Kind: &corev1.Service{},
		Fields: "metadata.name=" + s.config.Name,
		Replaced: func(all []runtime.Object) {
			var service *corev1.Service
			if len(all) > 0 {
				service = all[0].(*corev1.Service)
			}
			s.change(func(state *serviceState) { state.setService(service) })
		},
		Changed: func(o runtime.Object, deleted bool) {
			service := o.(*corev1.Service)
			if deleted {
				service = nil
			}
			s.change(func(state *serviceState) { state.setService(service) })
		},
		Seeing: func(err error) { s.sees(ofService, err) },
	}
}

// change changes the state and has what follows from it told.
func (s *serviceSource) change(apply func(*serviceState)) {
	s.mu.Lock()
	apply(&s.state)
	s.mu.Unlock()
	s.wake()
}

// sees notes whether changes of the slices or of the Service are seen.
func (s *serviceSource) sees(which int, err error) {
	s.mu.Lock()
	s.seeing[which] = err
	s.mu.Unlock()
	s.wake()
}

// wake has the state told. What changes until that happens is told with it.
func (s *serviceSource) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// names lists ports for a message.
func names(ports []corev1.ServicePort) string {
	if len(ports) == 0 {
		return "no port"
	}
	var list []string
	for _, p := range ports {
		list = append(list, fmt.Sprintf("%s (%d)", p.Name, p.Port))
	}
	return strings.Join(list, ", ")
}
