package autoscale

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/penstock/penstock/config"
)

// files writes a certificate to files and returns their names.
func files(t *testing.T, dir string, data map[string][]byte) [3]string {
	t.Helper()
	var names [3]string
	for i, key := range []string{secretCertificate, secretKey, secretAuthorities} {
		names[i] = filepath.Join(dir, key)
		if err := os.WriteFile(names[i], data[key], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// TestCertificateOfFiles is kept by somebody else, and changes. No Secret and no APIService is written.
func TestCertificateOfFiles(t *testing.T) {
	f := newFleet(t)
	first, _ := tended(t, nil, []string{"penstock-autoscale.penstock.svc"}, time.Now())
	dir := t.TempDir()
	names := files(t, dir, first)
	inFiles := func(o *Options) {
		o.Config.SecretName, o.Config.CertFile, o.Config.KeyFile, o.Config.CAFile = "", names[0], names[1], names[2]
	}
	a, b := f.startUnlisted(1, inFiles), f.startUnlisted(2, inFiles)
	f.list(a, true)
	f.list(b, true)
	a.awaitOutstanding("3")
	second, _ := tended(t, nil, []string{"penstock-autoscale.penstock.svc"}, time.Now())
	files(t, dir, second)
	await(t, func() bool {
		return bytes.Equal(a.ids.Load().bundle, second[secretAuthorities]) && bytes.Equal(b.ids.Load().bundle, second[secretAuthorities])
	}, func() string { return "the new certificate is not in use" })
	b.set(5)
	a.awaitOutstanding("6")
	if err := os.WriteFile(names[0], []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.logs.await(t, "cannot keep the certificate of the metrics APIs error=cannot use the certificate: ")
	b.set(6)
	a.awaitOutstanding("7")
	if f.written("secret") != 0 || f.written("apiservice") != 0 {
		t.Errorf("written: %v", f.writes)
	}
	await(t, func() bool { return a.Registration(externalGroup) == OwnRegistration }, func() string { return "it is not seen whose the APIService is" })
}

func TestNamespaceOfThePod(t *testing.T) {
	file := filepath.Join(t.TempDir(), "namespace")
	_, err := ownNamespace("", file)
	if err == nil || !strings.HasSuffix(err.Error(), "is not there: set autoscale.namespace") {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(file, []byte("gateways\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for configured, want := range map[string]string{"": "gateways", "penstock": "penstock"} {
		if got, err := ownNamespace(configured, file); got != want || err != nil {
			t.Errorf("configured %q: %q %v", configured, got, err)
		}
	}
}

func TestSecretThatOthersKeepChanging(t *testing.T) {
	f := newFleet(t)
	var again func(c *cluster)
	again = func(c *cluster) { c.secret.ResourceVersion, c.beforeWrite = c.next(), again }
	f.beforeWrite = again
	a := f.start(1)
	a.logs.await(t, "cannot write Secret penstock/penstock-autoscale: others keep changing it")
	f.do(func() { f.beforeWrite = nil })
	a.awaitOutstanding("1")
}

// TestRegistrationChangedMeanwhile has an APIService go to another adapter between the look at it and the write.
func TestRegistrationChangedMeanwhile(t *testing.T) {
	f := newFleet(t)
	api := kubeAPI{f.client()}
	const name = "v1beta1.external.metrics.k8s.io"
	read, err := api.apiService(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	f.register(name, "keda", "keda-operator-metrics-apiserver")
	if err := api.setCABundle(t.Context(), name, read, []byte("bundle")); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
	if f.caBundle(name) != "" {
		t.Error("somebody else's APIService was written")
	}
	if _, err := api.apiService(t.Context(), "nobody"); !apierrors.IsNotFound(err) {
		t.Errorf("an APIService that there is not: %v", err)
	}
}

func TestPortsThatAreTaken(t *testing.T) {
	f := newFleet(t)
	a := f.start(1)
	for want, c := range map[string]config.Autoscale{
		"cannot open the port of the metrics APIs: ": {Namespace: "penstock", Listen: a.Addr().String()},
		"cannot open the port for KEDA: ":            {Namespace: "penstock", Listen: "127.0.0.1:0", KEDA: a.KEDAAddr().String()},
	} {
		if _, err := Start(Options{Config: c, Kube: f.client()}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := newIdentity(nil, nil, nil); err == nil {
		t.Error("nothing is a certificate")
	}
	data, _ := tended(t, nil, testNames, time.Now())
	if _, err := newIdentity(data[secretCertificate], data[secretKey], []byte("x")); err == nil || !strings.Contains(err.Error(), "they hold no PEM certificate") {
		t.Errorf("got %v", err)
	}
	if err := (&identities{}).checkPeer(nil); !errors.Is(err, errNoCertificate) {
		t.Errorf("got %v", err)
	}
}
