package kube

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Refusal is an answer of the API server that will stay the same until somebody changes something.
type Refusal struct {
	message string
	cause   error
}

// Error says what was refused, why, and what would help.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %v", r.message, r.cause) }

// Unwrap returns the API server's answer.
func (r *Refusal) Unwrap() error { return r.cause }

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
		return fmt.Errorf("%s: %w", what, err)
	}
	return &Refusal{what, err}
}
