package dispatch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
)

// writeCertificate writes a self-signed certificate and its key, and returns the files' names.
func writeCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IsCA: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// securePool is a configuration whose only pool has an https and an http endpoint.
func securePool(t *testing.T, tls *config.UpstreamTLS) *config.Config {
	c := parse(t, `pools: {llama: {endpoints: ["https://llama.example:8443", "http://10.0.0.1:8000"]}}`)
	c.Pools["llama"].TLS = tls
	return c
}

func TestTLSReachesTheEngine(t *testing.T) {
	dir := t.TempDir()
	ca, _ := writeCertificate(t, dir, "ca")
	cert, key := writeCertificate(t, dir, "client")
	f := newFixture(t, "")
	if err := f.Apply(securePool(t, &config.UpstreamTLS{CA: ca, CertFile: cert, KeyFile: key, InsecureSkipVerify: true})); err != nil {
		t.Fatal(err)
	}
	if c := f.upstream("10.0.0.1:8000").config; c.TLS != nil || c.Scheme != "http" || c.Pool != "llama" {
		t.Errorf("an http endpoint is connected to as %+v", c)
	}
	c := f.upstream("llama.example:8443").config
	switch {
	case c.Scheme != "https" || c.TLS == nil:
		t.Fatalf("an https endpoint is connected to as %+v", c)
	case c.TLS.ServerName != "llama.example":
		t.Errorf("server name %q; want the endpoint's host", c.TLS.ServerName)
	case c.TLS.RootCAs == nil || len(c.TLS.Certificates) != 1 || !c.TLS.InsecureSkipVerify || c.TLS.NextProtos != nil:
		t.Errorf("TLS is %+v", c.TLS)
	}
	if c.ConnectTimeout != 5*time.Second || c.IdleConnections != 1024 || c.IdleTimeout != 4*time.Second {
		t.Errorf("connected to as %+v; want the defaults", c)
	}
	f = newFixture(t, "")
	if err := f.Apply(securePool(t, &config.UpstreamTLS{ServerName: "models.internal"})); err != nil {
		t.Fatal(err)
	}
	if c := f.upstream("llama.example:8443").config.TLS; c.ServerName != "models.internal" || c.RootCAs != nil {
		t.Errorf("TLS is %+v; want the configured name and the system's authorities", c)
	}
}

// Where a file has changed, connections that were made with its former content must not be used again.
func TestChangedCertificateReplacesConnections(t *testing.T) {
	dir := t.TempDir()
	ca, _ := writeCertificate(t, dir, "ca")
	f := newFixture(t, "")
	c := securePool(t, &config.UpstreamTLS{CA: ca})
	for range 2 {
		if err := f.Apply(c); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.upstreams) != 2 {
		t.Fatalf("%d upstreams were made; want 2, as nothing changed", len(f.upstreams))
	}
	secure, plain := f.upstream("llama.example:8443"), f.upstream("10.0.0.1:8000")
	writeCertificate(t, dir, "ca")
	if err := f.Apply(c); err != nil {
		t.Fatal(err)
	}
	if len(f.upstreams) != 3 || secure.closed.Load() != 1 || plain.closed.Load() != 0 {
		t.Errorf("%d upstreams, https closed %d times, http %d times; want the https one replaced", len(f.upstreams), secure.closed.Load(), plain.closed.Load())
	}
}

func TestTLSErrorsNamePoolAndFile(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeCertificate(t, dir, "client")
	_, otherKey := writeCertificate(t, dir, "other")
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.pem")
	for _, c := range []struct {
		tls  config.UpstreamTLS
		want []string
	}{
		{config.UpstreamTLS{CA: missing}, []string{"field ca", missing}},
		{config.UpstreamTLS{CA: empty}, []string{"field ca", empty, "holds no certificate"}},
		{config.UpstreamTLS{CertFile: missing, KeyFile: key}, []string{"field certFile", missing}},
		{config.UpstreamTLS{CertFile: cert, KeyFile: missing}, []string{"field certFile", missing, "key"}},
		{config.UpstreamTLS{CertFile: cert, KeyFile: otherKey}, []string{"field certFile", cert, otherKey}},
	} {
		f := newFixture(t, "")
		err := f.Apply(securePool(t, &c.tls))
		if err == nil {
			t.Errorf("%+v is accepted", c.tls)
			continue
		}
		for _, want := range append(c.want, `pool "llama"`) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q; want %q within", err, want)
			}
		}
	}
}
