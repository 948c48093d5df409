package kube

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrUnreachable says that the API server gave no answer, or one that says to come back later.
var ErrUnreachable = errors.New("the API server does not answer")

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
		what += fmt.Sprintf(": the gateway's service account is not allowed to %s %s there; give it a Role in namespace %s with the verbs get, list and watch on %s",
			verb, qualified, namespace, qualified)
	case apierrors.IsUnauthorized(err):
		what += ": the API server does not accept the gateway's credentials; look at its service account's token, or at the file that KUBECONFIG names"
	case apierrors.IsNotFound(err):
		what += ": the API server does not know this kind; it has been there since Kubernetes 1.21"
	default:
		return fmt.Errorf("%s: %w: %w", what, ErrUnreachable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
