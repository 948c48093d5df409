package dispatch

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/config"
)

// Condition says what is known of an endpoint's readiness from where it was found.
type Condition uint8

const (
	// MemberReady endpoints may be picked.
	MemberReady Condition = iota
	// MemberNotReady endpoints are there and must not be picked.
	MemberNotReady
	// MemberTerminating endpoints are being deleted and still serve: they are picked only where no other can be.
	MemberTerminating
	// MemberStopped endpoints are being deleted and no longer serve.
	MemberStopped
)

// Member is an endpoint that a pool is given.
type Member struct {
	config.Endpoint
	// Address is the endpoint's host:port.
	Address string
	// ID tells replicas apart that have the same address one after the other; empty where nothing does.
	ID string
	// Condition says whether it may be picked.
	Condition Condition
}

// members are ready endpoints, by address.
func members(endpoints []config.Endpoint) []Member {
	all := make([]Member, len(endpoints))
	for i, e := range endpoints {
		all[i] = Member{Endpoint: e, Address: e.Address()}
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Address, b.Address) })
	return all
}

// sorted returns the members by address, each address once: the one that is not being deleted if there is one, else the first.
func sorted(given []Member) []Member {
	all := slices.Clone(given)
	slices.SortStableFunc(all, func(a, b Member) int {
		if order := strings.Compare(a.Address, b.Address); order != 0 {
			return order
		}
		return int(a.Condition) - int(b.Condition)
	})
	return slices.CompactFunc(all, func(a, b Member) bool { return a.Address == b.Address })
}
