package discovery

import (
	"net"
	"slices"
	"strings"

	"github.com/penstock/penstock/config"
)

// wanted says which of a Service's endpoints a pool has, and how.
type wanted struct {
	// port is the name of the port.
	port string
	// scheme is the endpoints' where it is not empty; else the port says it.
	scheme string
	// ipv6 says which family counts where a replica has an address of each.
	ipv6 bool
	// place is where the gateway runs, if hints about places are followed.
	place place
}

// union is the endpoints of all slices of a Service.
type union struct {
	of wanted
	// endpoints are by address, each address once.
	endpoints []Endpoint
	// conditions are the endpoints'.
	conditions []Condition
	// portless says that there were endpoints in slices that lack the port.
	portless bool
	// positions are the places in endpoints of the slices' own, by the slices' names. It is nil where some endpoint is not from exactly one
	// listing, or hints are followed: a change of one slice then needs all of them.
	positions map[string][]int32
}

// merge puts slices together. The order of the slices decides what is left open otherwise, so that the same slices give the same.
func merge(all []*slice, want wanted) *union {
	m := merger{ipv6: want.ipv6}
	u := &union{of: want}
	for _, s := range all {
		at := s.find(want.port)
		if at == nil {
			u.portless = u.portless || len(s.endpoints) > 0
			continue
		}
		for i := range s.endpoints {
			m.add(s, i, at)
		}
	}
	u.take(&m)
	return u
}

// take makes endpoints of what was listed. Where the cluster routes by place, those for other places are left out.
func (u *union) take(m *merger) {
	keep := u.of.place.chooser(m.list)
	kept := make([]*listed, 0, len(m.list))
	for i := range m.list {
		if l := &m.list[i]; keep == nil || keep(l) {
			l.address = net.JoinHostPort(l.host, l.port.number)
			kept = append(kept, l)
		}
	}
	slices.SortFunc(kept, func(a, b *listed) int { return strings.Compare(a.address, b.address) })
	u.endpoints, u.conditions = make([]Endpoint, len(kept)), make([]Condition, len(kept))
	if u.of.place == (place{}) && !m.repeated {
		u.positions = make(map[string][]int32)
	}
	for i, l := range kept {
		e := &u.endpoints[i]
		*e = Endpoint{Endpoint: config.Endpoint{Scheme: u.of.scheme, Host: l.host, Port: l.port.number}, At: l.address, ID: l.id}
		u.conditions[i] = l.condition
		if e.Scheme == "" {
			e.Scheme = l.port.scheme
		}
		if u.positions != nil {
			u.note(l, int32(i))
		}
	}
}

func (u *union) note(l *listed, at int32) {
	places := u.positions[l.slice.name]
	if places == nil {
		places = make([]int32, len(l.slice.endpoints))
		u.positions[l.slice.name] = places
	}
	places[l.index] = at
}

// patched is the union after a slice has changed, if that changed nothing but conditions; else nil. It is what makes a large Service cheap:
// nearly all changes are of this kind, and each would else cost as much as all endpoints.
func (u *union) patched(old, next *slice) *union {
	places, known := u.positions[next.name]
	if !known || !old.sameEndpoints(next) {
		return nil
	}
	conditions := slices.Clone(u.conditions)
	for i, at := range places {
		conditions[at] = next.endpoints[i].condition
	}
	return &union{of: u.of, endpoints: u.endpoints, conditions: conditions, portless: u.portless, positions: u.positions}
}

// sameEndpoints reports whether two states of a slice differ in nothing but conditions and hints.
func (s *slice) sameEndpoints(next *slice) bool {
	return s != nil && s.ipv6 == next.ipv6 && s.problem == next.problem && slices.Equal(s.ports, next.ports) &&
		slices.EqualFunc(s.endpoints, next.endpoints, func(a, b sliceEndpoint) bool { return a.host == b.host && a.id == b.id })
}

// merger puts the endpoints of slices together. The same replica may be listed more than once: in slices of both families, and in two slices
// of one while it moves.
type merger struct {
	ipv6      bool
	list      []listed
	byID      map[listedAt]int
	byAddress map[listedAt]int
	repeated  bool // something was listed more than once
}

// listedAt is a replica, or an address, and one of its ports.
type listedAt struct{ who, port string }

// listed is a replica in a slice.
type listed struct {
	*sliceEndpoint
	slice     *slice
	index     int // in the slice
	port      *slicePort
	condition Condition
	address   string
}

func (m *merger) add(s *slice, index int, port *slicePort) {
	if m.byAddress == nil {
		m.byID, m.byAddress = make(map[listedAt]int), make(map[listedAt]int)
	}
	e := &s.endpoints[index]
	next := listed{sliceEndpoint: e, slice: s, index: index, port: port, condition: e.condition}
	id, address := listedAt{e.id, port.number}, listedAt{e.host, port.number}
	at, known := m.byAddress[address]
	if e.id != "" && !known {
		at, known = m.byID[id]
	}
	if !known {
		at = len(m.list)
		m.list = append(m.list, next)
	} else {
		m.repeated = true
		m.merge(&m.list[at], next)
	}
	if e.id != "" {
		m.byID[id] = at
	}
	m.byAddress[address] = at
}

// merge adds what another listing says of a replica, or of another one that had or has its address.
func (m *merger) merge(old *listed, next listed) {
	switch {
	case old.id != next.id:
		// An address that was given to a new pod while the old one's listing is still there: the one that is not being deleted has it.
		if isLeaving(old.condition) && !isLeaving(next.condition) {
			*old = next
		}
		return
	case old.slice.ipv6 != next.slice.ipv6 && next.slice.ipv6 == m.ipv6:
		next.condition = max(old.condition, next.condition)
		*old = next
	default:
		old.condition = max(old.condition, next.condition) // one of two listings is out of date: the more careful one holds
	}
}

func isLeaving(c Condition) bool { return c >= Terminating }
