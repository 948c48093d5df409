package autoscale

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Peer is a replica of the gateway, this one among them, as its Service's EndpointSlices list it.
type Peer struct {
	// ID tells replicas apart that have the same address one after the other: a pod's UID.
	ID string
	// Address is where the replica's port for the metrics APIs is, as host:port.
	Address string
	// Serving says that the replica is ready for traffic, be it that it is being deleted: it may have requests.
	Serving bool
}

// Report is what a replica says of itself to another one.
type report struct {
	// Instance is random and of this process.
	Instance string `json:"instance"`
	Version  string `json:"version"`
	// Synced says that the replica has found the endpoints of all its pools.
	Synced bool `json:"synced"`
	// Pools has all pools of the replica's configuration.
	Pools map[string]numbers `json:"pools"`
}

// ledger holds what the replicas have said of themselves, and decides what can be said of all of them together:
//
//   - Which replicas there are must have been read once. Who is no longer listed is dropped.
//   - Who has answered counts as it answered last, for as long as it is listed, be it unreachable or terminating by now.
//   - Who was ever serving and has never answered may have any number of requests: nothing is known.
//   - Who was never serving and has never answered counts nothing, once it was asked often enough: it had no traffic. So a replica that crashes at
//     its start freezes nothing for long, and one that drains is heard before a fresh replica says anything, though a question may be lost.
//   - Who answers without naming the pool has no requests of it, unless it is serving and has not found all its pools yet.
//   - Who answers with this instance's own id is this replica, which counts as it knows itself. Two addresses of one instance count once.
//
// It has no clock, so that none can be wrong.
type ledger struct {
	self    string
	listed  bool
	entries map[Peer]*entry // by ID and address
	answers int             // that were taken
}

// entry is a listed replica.
type entry struct {
	address string
	serving bool
	// served says that it was serving at some time since it was listed.
	served bool
	// failures is how many questions in a row were not answered.
	failures int
	last     *report // nil: it never answered
	number   int     // of the last answer, among all that were taken
}

func newLedger(self string) *ledger { return &ledger{self: self, entries: make(map[Peer]*entry)} }

func (p Peer) key() Peer { return Peer{ID: p.ID, Address: p.Address} }

// list takes the replicas that there are. Each has one address.
func (l *ledger) list(peers []Peer) {
	l.listed = true
	old := l.entries
	l.entries = make(map[Peer]*entry, len(peers))
	for _, p := range peers {
		e := old[p.key()]
		if e == nil {
			e = &entry{address: p.Address}
		}
		e.serving = p.Serving
		e.served = e.served || p.Serving
		l.entries[p.key()] = e
	}
}

// answered takes a replica's answer.
func (l *ledger) answered(p Peer, r *report) {
	l.answers++
	if e := l.entries[p.key()]; e != nil {
		e.number = l.answers
		e.failures, e.last = 0, r
	}
}

// worthTelling is how many questions in a row are not answered until it is told, and until a replica that was never serving is taken to have
// nothing: one that starts has no certificate at first.
const worthTelling = 3

// failed notes that a replica did not answer. It reports whether that should be told.
func (l *ledger) failed(p Peer) (news bool) {
	e := l.entries[p.key()]
	if e == nil {
		return false
	}
	e.failures++
	return e.failures == worthTelling
}

// State is what is known of a replica.
type State string

// What is known of other replicas.
const (
	// Answering replicas have just been heard.
	Answering State = "answering"
	// Silent ones answered before and count as they did then.
	Silent State = "silent"
	// Unheard ones have never answered and may have requests: as long as there is one, no number is known.
	Unheard State = "unheard"
	// Idle ones have never answered and never had traffic.
	Idle State = "idle"
)

// States are all states that a replica can be in.
var States = []State{Answering, Silent, Unheard, Idle}

func (e *entry) state() State {
	switch {
	case e.last != nil && e.failures == 0:
		return Answering
	case e.last != nil:
		return Silent
	case e.served || e.failures < worthTelling:
		return Unheard
	}
	return Idle
}

// isSelf says whether the entry is this replica.
func (l *ledger) isSelf(e *entry) bool { return e.last != nil && e.last.Instance == l.self }

// count is the number of other replicas by state.
func (l *ledger) count() map[State]int {
	n := make(map[State]int, len(States))
	for _, s := range States {
		n[s] = 0
	}
	for _, e := range l.entries {
		if !l.isSelf(e) {
			n[e.state()]++
		}
	}
	return n
}

// complete says, by its error, what keeps the numbers of all replicas from being known.
func (l *ledger) complete() error {
	if !l.listed {
		return notKnown("which replicas of the gateway there are has not been read yet")
	}
	var missing []string
	for _, e := range l.entries {
		if e.state() == Unheard {
			missing = append(missing, e.address)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return notKnown(fmt.Sprintf("%d of the gateway's replicas have never answered this one: %s", len(missing), someOf(missing)))
}

// shares returns what each replica has of a pool, this one first. The error, a notKnown, says whose is missing.
func (l *ledger) shares(pool string, own numbers) ([]share, error) {
	if err := l.complete(); err != nil {
		return nil, err
	}
	all := []share{{"", own}}
	for _, e := range l.others() {
		n, ok := e.last.Pools[pool]
		switch {
		case ok:
			all = append(all, share{e.address, n})
		case e.serving && !e.last.Synced:
			return nil, notKnown(fmt.Sprintf("replica %s has not found all its pools yet", e.address))
		}
	}
	return all, nil
}

// others returns the other replicas that have answered, by address, each instance once, with its last answer.
func (l *ledger) others() []*entry {
	latest := make(map[string]*entry, len(l.entries))
	for _, e := range l.entries {
		if e.last == nil || l.isSelf(e) {
			continue
		}
		if other := latest[e.last.Instance]; other == nil || e.number > other.number {
			latest[e.last.Instance] = e
		}
	}
	return slices.SortedFunc(maps.Values(latest), func(a, b *entry) int { return cmp.Compare(a.address, b.address) })
}
