package autoscale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The groups of Kubernetes' API that are answered, and their versions.
const (
	externalGroup, externalVersion = "external.metrics.k8s.io", "v1beta1"
	customGroup, customVersion     = "custom.metrics.k8s.io", "v1beta2"
)

// Groups are the groups of Kubernetes' API that are answered.
var Groups = []string{externalGroup, customGroup}

// Registration says who answers a group in the cluster, by its APIService.
type Registration string

// Who answers a group.
const (
	// OwnRegistration is one that names the gateway's Service.
	OwnRegistration Registration = "own"
	// ForeignRegistration is one that names another Service. It is left alone.
	ForeignRegistration Registration = "foreign"
	// MissingRegistration means that nobody answers the group.
	MissingRegistration Registration = "missing"
)

// Registrations are all values of Registration but "", which says that it is not known.
var Registrations = []Registration{OwnRegistration, ForeignRegistration, MissingRegistration}

// registrations looks after the APIServices of the groups. A cluster has one for each version of a group, so that two adapters for the same
// metrics cannot live side by side.
type registrations struct {
	api                kubeAPI
	namespace, service string
	ids                *identities
	// writes says that the authorities of the certificate are this gateway's to write into the APIServices.
	writes bool
	// expected says that another adapter is no surprise: KEDA, which asks in its own way.
	expected bool
	logger   *slog.Logger

	mu    sync.Mutex
	state map[string]Registration
	owner map[string]string // of the foreign ones that were told of
}

// get returns what is known of a group's APIService.
func (r *registrations) get(group string) Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state[group]
}

// check looks at the APIServices, and gives those that are the gateway's the authorities of its certificate.
func (r *registrations) check(ctx context.Context) error {
	return errors.Join(
		r.checkOne(ctx, externalGroup, externalVersion+"."+externalGroup),
		r.checkOne(ctx, customGroup, customVersion+"."+customGroup),
	)
}

func (r *registrations) checkOne(ctx context.Context, group, name string) error {
	found, err := r.api.apiService(ctx, name)
	switch {
	case apierrors.IsNotFound(err):
		r.set(group, MissingRegistration, name, "")
		return nil
	case err != nil:
		return fmt.Errorf("cannot read APIService %s: %w", name, err)
	}
	s := found.Spec.Service
	switch {
	case s == nil:
		r.set(group, ForeignRegistration, name, "the API server itself")
		return nil
	case s.Namespace != r.namespace || s.Name != r.service:
		r.set(group, ForeignRegistration, name, s.Namespace+"/"+s.Name)
		return nil
	}
	r.set(group, OwnRegistration, name, "")
	id := r.ids.Load()
	if !r.writes || id == nil || string(found.Spec.CABundle) == string(id.bundle) && !found.Spec.InsecureSkipTLSVerify {
		return nil
	}
	err = r.api.setCABundle(ctx, name, found, id.bundle)
	if apierrors.IsConflict(err) {
		return fmt.Errorf("APIService %s was changed by somebody else at the same time", name)
	}
	if err != nil {
		return fmt.Errorf("cannot write the authorities of the gateway's certificate into APIService %s: %w", name, err)
	}
	r.logger.Info("APIService has the authorities of the gateway's certificate", "apiService", name)
	return nil
}

// set notes who answers a group, and tells once of each stranger.
func (r *registrations) set(group string, state Registration, name, owner string) {
	r.mu.Lock()
	was := r.owner[group]
	r.state[group], r.owner[group] = state, owner
	r.mu.Unlock()
	switch {
	case owner == "" || owner == was:
	case r.expected:
		r.logger.Info("a metrics API is answered by another adapter", "apiService", name, "owner", owner)
	default:
		r.logger.Error("cannot answer a metrics API: its APIService belongs to somebody else, and only one adapter can answer a group; "+
			"remove the other adapter, or let the autoscaler ask the gateway in another way",
			"apiService", name, "owner", owner, "wanted", r.namespace+"/"+r.service)
	}
}
