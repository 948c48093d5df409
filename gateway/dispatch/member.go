package dispatch

import (
	"fmt"
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

// Members are what a pool is given. They are not copied: in large pools, single endpoints change many times a second.
type Members interface {
	// Len is how many there are.
	Len() int
	// At is one of them. They are by address, as text, and no two have the same.
	At(i int) Member
	// Kept says that nobody lists them any more, and that they stay for want of better. If they fail, all of them may be ejected: rather than all
	// going to the last one, requests then wait as in a pool without endpoints.
	Kept() bool
}

// MemberList is Members in a list.
type MemberList []Member

// Len is how many there are.
func (l MemberList) Len() int { return len(l) }

// At is one of them.
func (l MemberList) At(i int) Member { return l[i] }

// Kept is false.
func (l MemberList) Kept() bool { return false }

// members are ready endpoints, no two of which have the same address.
func members(endpoints []config.Endpoint) MemberList {
	all := make(MemberList, len(endpoints))
	for i, e := range endpoints {
		all[i] = Member{Endpoint: e, Address: e.Address()}
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Address, b.Address) })
	return all
}

// check says that members are not as they must be.
func check(given Members) error {
	for i := 1; i < given.Len(); i++ {
		if a, b := given.At(i-1).Address, given.At(i).Address; a >= b {
			return fmt.Errorf("%s comes before %s: want them by address, each address once", a, b)
		}
	}
	return nil
}
