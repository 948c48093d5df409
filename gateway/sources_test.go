package gateway

import (
	"context"
	"errors"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
)

// told is a source that says what it is told to.
type told struct {
	sets  chan discovery.Set
	fails chan error
}

func (told) Pool() string { return "main" }
func (told) Key() string  { return "told" }

func (s told) Run(ctx context.Context, sink discovery.Sink) error {
	for {
		select {
		case set := <-s.sets:
			sink.Apply(set)
		case err := <-s.fails:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// found are ready endpoints at addresses.
func found(t *testing.T, addresses ...string) (all []discovery.Endpoint) {
	t.Helper()
	for _, a := range addresses {
		e, err := config.ParseEndpoint("http://" + a)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, discovery.Endpoint{Endpoint: e})
	}
	return all
}

func TestDiscoveredEndpointsTakeRequests(t *testing.T) {
	a, b := answering(t, "a"), answering(t, "b")
	r := start(t, pool(a))
	s := told{make(chan discovery.Set), make(chan error)}
	r.sources.set([]discovery.Source{s})
	r.expectSaid("before", "200 a")
	endpoints := found(t, b)
	s.sets <- discovery.Set{Pool: "main", Endpoints: endpoints}
	s.sets <- discovery.Set{Pool: "other", Endpoints: endpoints} // the first one was applied when this one is taken
	r.expectSaid("after", "200 b")
	r.logs.await(t, "cannot use discovered endpoints: the old ones stay pool=other", 1)
	s.fails <- errors.New("the API server is gone")
	r.logs.await(t, "endpoints are no longer discovered; the last ones stay pool=main error=the API server is gone", 1)
	r.expectSaid("after the source has failed", "200 b")
}

// late is a source that finds something just when it is told to end.
type late struct{ told }

func (late) Key() string { return "late" }

func (s late) Run(ctx context.Context, sink discovery.Sink) error {
	<-ctx.Done()
	sink.Apply(<-s.sets)
	return nil
}

// The configuration lists the pool's endpoints by the time at which its source ends.
func TestSourceThatEndsHasNoSay(t *testing.T) {
	a, b := answering(t, "a"), answering(t, "b")
	r := start(t, pool("127.0.0.1:9"))
	s := late{told{sets: make(chan discovery.Set, 1)}}
	s.sets <- discovery.Set{Pool: "main", Endpoints: found(t, a)}
	r.sources.set([]discovery.Source{s})
	r.configure(pool(b))
	r.logs.await(t, "configuration applied", 1)
	r.expectSaid("listed", "200 b")
}
