// Package discovery finds the endpoints of those pools whose endpoints do not stand in the configuration, and tells when they
// change.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/penstock/penstock/config"
)

// Set is all the endpoints that a pool has at a time.
type Set struct {
	// Pool is the pool's name.
	Pool string
	// Endpoints are URLs, as in the configuration: http://, https:// or h2c:// with host and port.
	Endpoints []string
}

// Source watches the endpoints of one or more pools.
type Source interface {
	// Run calls apply, never twice at the same time, with the first set of each of its pools as soon as that is known and with each
	// later one, until ctx ends. It then returns nil, else why it cannot go on.
	Run(ctx context.Context, apply func(Set)) error
}

// Sources returns the sources of the pools of c whose endpoints are not listed there. The error names every pool for which there is
// none: nothing watches Kubernetes Services yet.
func Sources(c *config.Config) ([]Source, error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		if s := c.Pools[name].Service; s != nil {
			errs = append(errs, fmt.Errorf("cannot watch the Kubernetes Service %s/%s of pool %s: this build has no Kubernetes discovery; list the pool's endpoints instead",
				s.Namespace, s.Name, name))
		}
	}
	return nil, errors.Join(errs...)
}
