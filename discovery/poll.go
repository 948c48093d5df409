package discovery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxEndpoints is the most endpoints that a look may find, as many as a configuration may list.
	maxEndpoints = 10_000
	// firstInterval is the longest time between two looks as long as none has found endpoints.
	firstInterval = time.Second
)

// poll has look find the endpoints of a pool, now and then every interval, and tells sink what is new until ctx ends. An error of look says
// what is wrong, where, and what would be right; endpoints that look finds may be in any order and repeat each other.
func poll(ctx context.Context, pool string, interval time.Duration, look func(context.Context) ([]Endpoint, error), sink Sink) {
	t := &teller{pool: pool, sink: sink}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		endpoints, err := look(ctx)
		if ctx.Err() != nil {
			return
		}
		t.tell(endpoints, err)
		wait := interval
		if !t.applied {
			wait = min(interval, firstInterval)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// teller tells a sink what differs from what it was told before.
type teller struct {
	pool    string
	sink    Sink
	applied bool       // whether last was applied
	last    []Endpoint // in the order of byAddress
	told    bool       // whether fault was told
	fault   string     // empty if all was well
}

func (t *teller) tell(endpoints []Endpoint, err error) {
	if err == nil {
		err = t.apply(endpoints)
	}
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if t.told && t.fault == fault {
		return
	}
	t.told, t.fault = true, fault
	t.sink.Watching(t.pool, err)
}

func (t *teller) apply(endpoints []Endpoint) error {
	found := slices.Clone(endpoints)
	slices.SortFunc(found, byAddress)
	found = slices.Compact(found)
	if len(found) > maxEndpoints {
		return fmt.Errorf("cannot use the %d endpoints that were found for pool %s: there are too many; want at most %d in a pool", len(found), t.pool, maxEndpoints)
	}
	if t.applied && slices.Equal(found, t.last) {
		return nil
	}
	t.applied, t.last = true, found
	t.sink.Apply(Set{Pool: t.pool, Endpoints: slices.Clone(found)})
	return nil
}

func byAddress(a, b Endpoint) int { return strings.Compare(a.Address(), b.Address()) }
