// Package discovery finds the endpoints of those pools whose endpoints do not stand in the configuration, and tells when they
// change.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery/kube"
)

// Condition says what a source knows of an endpoint's readiness.
type Condition uint8

const (
	// Ready endpoints may be picked.
	Ready Condition = iota
	// NotReady endpoints are there and must not be picked: their model is still loading, for example.
	NotReady
	// Terminating endpoints are being deleted and still serve. They are picked only where a pool has no ready one.
	Terminating
	// Stopped endpoints are being deleted and no longer serve.
	Stopped
)

// Endpoint is a replica as a source sees it.
type Endpoint struct {
	config.Endpoint
	// At is its host:port, if the source has it at hand; empty otherwise. See Address.
	At string
	// ID tells replicas apart that have the same address one after the other, such as a pod's UID. Empty where there is nothing to tell
	// them apart by.
	ID string
}

// Address is the endpoint's host:port.
func (e *Endpoint) Address() string {
	if e.At != "" {
		return e.At
	}
	return e.Endpoint.Address()
}

// Set is all the endpoints that a pool has at a time. No two have the same address.
type Set struct {
	// Pool is the pool's name.
	Pool string
	// Endpoints must not be changed. No order is asked for, but by address is the cheapest to put in force.
	Endpoints []Endpoint
	// Conditions say of each of them, at the same place, whether it may be picked; nil says that all are Ready. They stand apart as they are what
	// changes most.
	Conditions []Condition
	// Kept says that the source no longer finds the endpoints, and that they stay as that may be a mistake.
	Kept bool
	// Changed is when the change happened that the set tells of; zero where the source does not know.
	Changed time.Time
	// Settings are a pool's settings that came with the endpoints, as YAML like that of a pool in the configuration; empty if there are none.
	Settings string
}

// Condition says whether endpoint i may be picked.
func (s *Set) Condition(i int) Condition { return conditionAt(s.Conditions, i) }

func conditionAt(all []Condition, i int) Condition {
	if all == nil {
		return Ready
	}
	return all[i]
}

// Sink takes what a source finds. A source calls it from one goroutine at a time.
type Sink interface {
	// Apply puts a pool's endpoints in force.
	Apply(Set)
	// Watching tells whether the source sees changes of a pool's endpoints: nil says that it does, an error why it does not, or what is wrong
	// with what it sees. What was applied last stays in force meanwhile.
	Watching(pool string, err error)
}

// Source watches the endpoints of a pool.
type Source interface {
	// Pool is the pool's name.
	Pool() string
	// Key says what is watched, and how. A source whose key is another's finds what that one finds.
	Key() string
	// Run tells sink the first set of the pool as soon as that is known, and each later one, until ctx ends. It then returns nil, else why it
	// cannot go on.
	Run(ctx context.Context, sink Sink) error
}

// Finder makes sources. Its zero value is ready for use by one goroutine.
type Finder struct {
	// Connect connects to the Kubernetes cluster; nil is kube.Connect. It is called when the cluster is first needed.
	Connect func() (*kube.Client, error)

	kubernetes *kube.Client
}

// Sources returns the sources of the pools of c whose endpoints are not listed there.
func (f *Finder) Sources(c *config.Config) ([]Source, error) {
	var all []Source
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[name]
		switch {
		case p.DNS != nil:
			all = append(all, NewDNS(name, p.DNS, NewResolver(new(net.Dialer).DialContext)))
		case p.File != "":
			all = append(all, NewFile(name, p.File))
		case p.Service != nil:
			client, err := f.Kubernetes()
			if err != nil {
				return nil, fmt.Errorf("cannot watch the Kubernetes Service %s/%s of pool %s: %w", p.Service.Namespace, p.Service.Name, name, err)
			}
			source, err := newServiceSource(name, p.Service, client, placeOf(os.Getenv))
			if err != nil {
				return nil, err
			}
			all = append(all, source)
		}
	}
	return all, nil
}

// Kubernetes returns the client of the cluster.
func (f *Finder) Kubernetes() (*kube.Client, error) {
	if f.kubernetes != nil {
		return f.kubernetes, nil
	}
	connect := f.Connect
	if connect == nil {
		connect = kube.Connect
	}
	client, err := connect()
	f.kubernetes = client
	return client, err
}

// IsFinal reports whether what a source met will stay until somebody changes something. A server that cannot be reached may come back at any
// time.
func IsFinal(err error) bool {
	var away unreachable
	return !errors.As(err, &away) && !errors.Is(err, kube.ErrUnreachable)
}

// unreachable is an error that says that a server gave no answer.
type unreachable struct{ error }
