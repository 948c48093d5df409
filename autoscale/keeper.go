package autoscale

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/penstock/penstock/config"
)

// keeper keeps the certificate of this replica in force.
type keeper struct {
	ids     *identities
	changed func()
	logger  *slog.Logger
	now     func() time.Time // wall clock, as certificates go by
	content [3][]byte        // of the identity in force: certificate, key, authorities
}

// use puts a certificate in force if it is another one.
func (k *keeper) use(chain, key, bundle []byte) error {
	content := [3][]byte{chain, key, bundle}
	if bytes.Equal(chain, k.content[0]) && bytes.Equal(key, k.content[1]) && bytes.Equal(bundle, k.content[2]) {
		return nil
	}
	id, err := newIdentity(chain, key, bundle)
	if err != nil {
		return err
	}
	k.content = content
	k.ids.Store(id)
	k.logger.Info("certificate of the metrics APIs is in use", "names", id.certificate.Leaf.DNSNames, "until", id.certificate.Leaf.NotAfter)
	k.changed()
	return nil
}

// fromFiles uses the certificate of files that somebody else keeps.
func (k *keeper) fromFiles(c *config.Autoscale) error {
	var content [3][]byte
	var errs []error
	for i, name := range []string{c.CertFile, c.KeyFile, c.CAFile} {
		text, err := os.ReadFile(name)
		content[i] = text
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return k.use(content[0], content[1], content[2])
}

// fromSecret uses the certificate in a Secret, after it has made or renewed it there if need be. Of several replicas that do so at once the API
// server lets one through, and the others use what that one has made.
func (k *keeper) fromSecret(ctx context.Context, api kubeAPI, namespace, name string, names []string) error {
	for range 5 {
		secret, err := api.secret(ctx, namespace, name)
		switch {
		case apierrors.IsNotFound(err):
			return fmt.Errorf("there is no Secret %s/%s: make an empty one, which the gateway then fills", namespace, name)
		case err != nil:
			return fmt.Errorf("cannot read Secret %s/%s: %w", namespace, name, err)
		}
		data, why, err := tend(secret.Data, names, k.now())
		if err != nil {
			return fmt.Errorf("cannot keep the certificate in Secret %s/%s: %w", namespace, name, err)
		}
		if why == "" {
			return k.use(data[secretCertificate], data[secretKey], data[secretAuthorities])
		}
		if secret.Data == nil {
			secret.Data = make(map[string][]byte, len(data))
		}
		for key, value := range data {
			secret.Data[key] = value
		}
		switch err := api.updateSecret(ctx, secret); {
		case apierrors.IsConflict(err):
			continue
		case err != nil:
			return fmt.Errorf("cannot write Secret %s/%s: %w", namespace, name, err)
		}
		k.logger.Info("certificate of the metrics APIs was made", "secret", namespace+"/"+name, "why", why)
		return k.use(data[secretCertificate], data[secretKey], data[secretAuthorities])
	}
	return fmt.Errorf("cannot write Secret %s/%s: others keep changing it", namespace, name)
}

// namespaceFile is where Kubernetes tells a pod its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// ownNamespace is the configured namespace, or else the pod's.
func ownNamespace(configured, file string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot tell the gateway's namespace, as %s is not there: set autoscale.namespace", file)
	}
	if err != nil {
		return "", fmt.Errorf("cannot tell the gateway's namespace: %w", err)
	}
	return string(bytes.TrimSpace(text)), nil
}
