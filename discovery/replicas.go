package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/penstock/penstock/discovery/kube"
)

// Replica is a pod of a Service in whatever state, as an EndpointSlice lists it.
type Replica struct {
	// ID tells replicas apart that have the same address one after the other: a pod's UID.
	ID string
	// Address is host:port.
	Address string
	// Serving says that the pod is ready, be it that it is being deleted.
	Serving bool
}

// Replicas follows all pods of a Service, unlike a pool's source, which follows those that requests could go to: who counts what pods have must
// not miss one that is not ready. It needs nothing but the Service's EndpointSlices. A pod that two slices list is told twice.
type Replicas struct {
	// Client is the cluster's.
	Client *kube.Client
	// Namespace and Service name the Service.
	Namespace, Service string
	// Port is the name of the port in the slices. Those without one of that name have the number DefaultPort.
	Port, DefaultPort string
	// Found is told all replicas, at the start and whenever a slice changes. They stay when they can no longer be told. The error says why they
	// cannot be used, and is told to Watching.
	Found func([]Replica) error
	// Watching is told whether all replicas are known and changes are seen, nil, or why not, whenever that changes. It and Found are called from
	// one goroutine at a time.
	Watching func(error)
}

// Run watches until ctx ends.
func (r *Replicas) Run(ctx context.Context) {
	s := replicasState{of: r, unusable: errUnread}
	watchSlices(r.Client, r.Namespace, r.Service, slicesSink{replaced: s.replace, changed: s.set, seeing: s.see}).Run(ctx)
}

// errUnread says that the slices have not been read yet, which is told to nobody.
var errUnread = errors.New("the slices have not been read yet")

// replicasState is what a watch of slices has said.
type replicasState struct {
	of       *Replicas
	slices   map[string]*slice
	unseen   error // why changes are not seen
	unusable error // why the slices do not tell all replicas
	told     bool
	fault    string // that was told; empty if all was well
}

func (s *replicasState) replace(all map[string]*slice) {
	s.slices = all
	s.find()
}

func (s *replicasState) set(one *slice, deleted bool) {
	if deleted {
		delete(s.slices, one.name)
	} else {
		s.slices[one.name] = one
	}
	s.find()
}

func (s *replicasState) see(err error) {
	s.unseen = err
	s.tell()
}

// find tells the replicas that the slices list, if they tell all.
func (s *replicasState) find() {
	var all []Replica
	if all, s.unusable = s.list(); s.unusable == nil {
		s.unusable = s.of.Found(all)
	}
	s.tell()
}

// list returns the replicas by the slices' names. The error says why they are not all.
func (s *replicasState) list() (all []Replica, err error) {
	if len(s.slices) == 0 {
		// A Service without pods has a slice nevertheless.
		return nil, fmt.Errorf("there are no EndpointSlices of Service %s/%s: make it, headless, with a selector of all its pods", s.of.Namespace, s.of.Service)
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(s.slices)) {
		one := s.slices[name]
		if one.problem != "" {
			problems = append(problems, one.problem)
		}
		port := s.of.DefaultPort
		if at := one.find(s.of.Port); at != nil {
			port = at.number
		}
		for i := range one.endpoints {
			e := &one.endpoints[i]
			all = append(all, Replica{ID: e.id, Address: net.JoinHostPort(e.host, port), Serving: e.serving})
		}
	}
	if len(problems) > 0 {
		return nil, errors.New(strings.Join(problems, "; "))
	}
	return all, nil
}

// tell tells what is wrong, if that has changed.
func (s *replicasState) tell() {
	err := s.unusable
	if s.unseen != nil {
		err = s.unseen
	}
	if err == errUnread {
		return
	}
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if s.told && fault == s.fault {
		return
	}
	s.told, s.fault = true, fault
	s.of.Watching(err)
}
