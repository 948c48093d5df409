package autoscale

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The ConfigMap in which every cluster says by which certificate its API server is known to servers behind it.
const (
	authenticationNamespace = "kube-system"
	authenticationConfigMap = "extension-apiserver-authentication"
	proxyAuthorities        = "requestheader-client-ca-file"
	proxyNames              = "requestheader-allowed-names"
)

// frontProxy is how the API server is known that passes requests on. It has decided who may ask, so that nobody else is answered.
type frontProxy struct {
	authorities *x509.CertPool
	names       []string // empty: any
}

// frontProxies holds what is known of the front proxy, nil at first.
type frontProxies struct {
	atomic.Pointer[frontProxy]
	// doubt is signalled when a certificate is of an authority that is not known: it may be a new one.
	doubt chan struct{}
}

// read reads the ConfigMap.
func (f *frontProxies) read(ctx context.Context, api kubeAPI) error {
	m, err := api.configMap(ctx, authenticationNamespace, authenticationConfigMap)
	if err != nil {
		return fmt.Errorf("cannot read ConfigMap %s/%s: %w", authenticationNamespace, authenticationConfigMap, err)
	}
	p, err := newFrontProxy(m)
	if err != nil {
		return fmt.Errorf("cannot use ConfigMap %s/%s: %w", authenticationNamespace, authenticationConfigMap, err)
	}
	f.Store(p)
	return nil
}

func newFrontProxy(m *corev1.ConfigMap) (*frontProxy, error) {
	p := &frontProxy{authorities: x509.NewCertPool()}
	if !p.authorities.AppendCertsFromPEM([]byte(m.Data[proxyAuthorities])) {
		return nil, errors.New("it has no certificate in " + proxyAuthorities + ": the cluster's API server has no aggregation layer")
	}
	if names := m.Data[proxyNames]; names != "" {
		if err := json.Unmarshal([]byte(names), &p.names); err != nil {
			return nil, fmt.Errorf("cannot read %s, want a list of names as JSON: %w", proxyNames, err)
		}
	}
	return p, nil
}

// check says whether a connection is the API server's; the error is a refusal.
func (f *frontProxies) check(state *tls.ConnectionState) error {
	p := f.Load()
	switch {
	case p == nil:
		return unavailable("the gateway has not read yet by which certificate the API server is known: ConfigMap " +
			authenticationNamespace + "/" + authenticationConfigMap)
	case state == nil || len(state.PeerCertificates) == 0:
		return &refusal{http.StatusUnauthorized, metav1.StatusReasonUnauthorized,
			"only the cluster's API server is answered, by the client certificate of its front proxy, and there is no client certificate"}
	}
	err := verify(state, x509.VerifyOptions{Roots: p.authorities, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		signal(f.doubt)
		return &refusal{http.StatusUnauthorized, metav1.StatusReasonUnauthorized,
			"only the cluster's API server is answered, by the client certificate of its front proxy: " + err.Error()}
	}
	if name := state.PeerCertificates[0].Subject.CommonName; len(p.names) > 0 && !slices.Contains(p.names, name) {
		return &refusal{http.StatusForbidden, metav1.StatusReasonForbidden,
			fmt.Sprintf("the client certificate is for %q, which %s does not list: %s", name, proxyNames, someOf(p.names))}
	}
	return nil
}
