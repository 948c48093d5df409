package kube

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// groups are the API groups of the resources that are asked for; those of the core group are left out.
var groups = map[string]string{"endpointslices": "discovery.k8s.io"}

// explain says why the API server did not let us VERB a resource in a namespace, and what would help.
func explain(verb, resource, namespace string, err error) error {
	what := fmt.Sprintf("cannot %s %s in namespace %s", verb, resource, namespace)
	switch {
	case apierrors.IsForbidden(err):
		qualified := resource
		if group := groups[resource]; group != "" {
			qualified += "." + group
		}
		return fmt.Errorf("%s: the gateway's service account is not allowed to %s %s there; give it a Role in namespace %s with the verbs get, list and watch on %s: %w",
			what, verb, qualified, namespace, qualified, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the API server does not accept the gateway's credentials; look at its service account's token, or at the file that KUBECONFIG names: %w", what, err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: the API server does not know %s; is it older than Kubernetes 1.21?: %w", what, resource, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
