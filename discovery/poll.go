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
	t := newTeller(pool, sink)
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		endpoints, err := look(ctx)
		if ctx.Err() != nil {
			return
		}
		t.tell(tidy(pool, endpoints, err))
		wait := interval
		if t.last == nil {
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

// tidy sorts endpoints and drops repeated ones; nil beside an error.
func tidy(pool string, endpoints []Endpoint, err error) (*found, error) {
	if err != nil {
		return nil, err
	}
	all := slices.Clone(endpoints)
	slices.SortFunc(all, byAddress)
	all = slices.Compact(all)
	if len(all) > maxEndpoints {
		return nil, fmt.Errorf("cannot use the %d endpoints that were found for pool %s: there are too many; want at most %d in a pool", len(all), pool, maxEndpoints)
	}
	return &found{endpoints: all}, nil
}

func byAddress(a, b Endpoint) int { return strings.Compare(a.Address(), b.Address()) }
