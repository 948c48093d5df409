package discovery

import (
	"slices"
	"time"
)

// found is what a source has found.
type found struct {
	endpoints  []Endpoint
	conditions []Condition // as Set has them
	kept       bool        // as Set has it
	settings   string
	changed    time.Time
}

func (f *found) equal(other *found) bool {
	return other != nil && f.kept == other.kept && f.settings == other.settings && slices.Equal(f.conditions, other.conditions) && sameList(f.endpoints, other.endpoints)
}

// sameList is slices.Equal, and quick about a list and itself.
func sameList(a, b []Endpoint) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// usable reports whether requests could go to one of the endpoints.
func (f *found) usable() bool {
	for i := range f.endpoints {
		if isUsable(conditionAt(f.conditions, i)) {
			return true
		}
	}
	return false
}

func isUsable(c Condition) bool { return c == Ready || c == Terminating }

// teller tells a sink what differs from what it was told before.
type teller struct {
	pool  string
	sink  Sink
	last  *found // nil while nothing was found
	told  bool   // whether fault was told
	fault string // empty if all was well
}

func newTeller(pool string, sink Sink) *teller { return &teller{pool: pool, sink: sink} }

// tell tells what was found, nil for nothing new, and what is wrong. As long as neither is known, silence says that nothing is wrong so far.
func (t *teller) tell(f *found, err error) {
	if f != nil && !f.equal(t.last) {
		t.last = f
		t.sink.Apply(Set{Pool: t.pool, Endpoints: f.endpoints, Conditions: f.conditions, Kept: f.kept, Changed: f.changed, Settings: f.settings})
	}
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if f == nil && err == nil || t.told && fault == t.fault {
		return
	}
	t.told, t.fault = true, fault
	t.sink.Watching(t.pool, err)
}
