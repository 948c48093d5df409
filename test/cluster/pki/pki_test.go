package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func written(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new")
	if err := run([]string{"-node", "172.30.0.1", "-service", "10.96.0.1", dir}, io.Discard); err != nil {
		t.Fatal(err)
	}
	return dir
}

// leaf returns the certificate with the name, after its key was found to fit.
func leaf(t *testing.T, dir, name string) *x509.Certificate {
	t.Helper()
	p, err := tls.X509KeyPair(read(t, dir, name+".crt"), read(t, dir, name+".key"))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p.Leaf
}

func TestCertificatesAreTheAuthoritys(t *testing.T) {
	dir := written(t)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(t, dir, "ca.crt")) {
		t.Fatal("ca.crt holds no certificate")
	}
	tests := []struct{ file, user, group, serves string }{
		{"apiserver", "kube-apiserver", "", "172.30.0.1"},
		{"apiserver", "kube-apiserver", "", "10.96.0.1"},
		{"apiserver", "kube-apiserver", "", "127.0.0.1"},
		{"apiserver", "kube-apiserver", "", "kubernetes.default.svc"},
		{"kubelet", "system:node:node0", "system:nodes", "172.30.0.1"},
		{"front-proxy", "front-proxy-client", "", ""},
		{"controller-manager", "system:kube-controller-manager", "", ""},
		{"scheduler", "system:kube-scheduler", "", ""},
		{"proxy", "system:kube-proxy", "", ""},
		{"dns", "dns", "system:masters", ""},
		{"admin", "admin", "system:masters", ""},
	}
	for _, tt := range tests {
		cert := leaf(t, dir, tt.file)
		usage := x509.ExtKeyUsageClientAuth
		if tt.serves != "" {
			usage = x509.ExtKeyUsageServerAuth
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: tt.serves, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Errorf("%s at %q: %v", tt.file, tt.serves, err)
		}
		if cert.Subject.CommonName != tt.user || strings.Join(cert.Subject.Organization, ",") != tt.group {
			t.Errorf("%s is the user %q of %q, and should be %q of %q", tt.file, cert.Subject.CommonName, cert.Subject.Organization, tt.user, tt.group)
		}
	}
}

func TestKubeconfigsHoldAllTheyName(t *testing.T) {
	dir := written(t)
	for _, name := range []string{"admin", "kubelet", "controller-manager", "scheduler", "proxy", "dns"} {
		var config struct {
			Clusters []struct {
				Cluster struct {
					Server string
					CA     []byte `json:"certificate-authority-data"`
				}
			}
			Users []struct {
				User struct {
					Cert []byte `json:"client-certificate-data"`
					Key  []byte `json:"client-key-data"`
				}
			}
		}
		if err := json.Unmarshal(read(t, dir, name+".kubeconfig"), &config); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := config.Clusters[0].Cluster.Server; got != "https://172.30.0.1:6443" {
			t.Errorf("%s calls the API server at %s", name, got)
		}
		if !bytes.Equal(config.Clusters[0].Cluster.CA, read(t, dir, "ca.crt")) {
			t.Errorf("%s trusts another authority", name)
		}
		if user := config.Users[0].User; !bytes.Equal(user.Cert, read(t, dir, name+".crt")) || !bytes.Equal(user.Key, read(t, dir, name+".key")) {
			t.Errorf("%s.kubeconfig has another one's certificate or key", name)
		}
	}
}

func TestTokenKeysBelongTogether(t *testing.T) {
	dir := written(t)
	private, _ := pem.Decode(read(t, dir, "tokens.key"))
	public, _ := pem.Decode(read(t, dir, "tokens.pub"))
	signing, err := x509.ParseECPrivateKey(private.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	checking, err := x509.ParsePKIXPublicKey(public.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !checking.(*ecdsa.PublicKey).Equal(signing.Public()) {
		t.Error("tokens that tokens.key signed could not be checked with tokens.pub")
	}
}

func TestWhatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no folder", []string{"-node", "1.2.3.4", "-service", "1.2.3.4"}, "there are 0 arguments and there must be one, the folder to write to"},
		{"no node", []string{"-service", "1.2.3.4", dir}, `-node is "" and must be an IP address`},
		{"no address", []string{"-node", "1.2.3.4", "-service", "kubernetes", dir}, `-service is "kubernetes" and must be an IP address`},
		{"a file in the way", []string{"-node", "1.2.3.4", "-service", "1.2.3.4", file}, "cannot make the folder for certificates"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := run(tt.args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v and should say %q", err, tt.want)
			}
		})
	}
}
