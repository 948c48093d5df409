package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// identity writes a certificate that signs itself, and its key, and returns where they are.
func identity(t *testing.T, name string) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", keyDER)
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, cert
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secureAdmin is an admin port whose certificate is for gateway.test, and which shows itself to those who have the client's certificate.
func secureAdmin(t *testing.T, certFile, keyFile string, client *x509.Certificate) (address string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(client)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			http.Error(w, "show a client certificate", http.StatusUnauthorized)
			return
		}
		sendSnapshots(w, r)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.VerifyClientCertIfGiven}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestTopReachesAnAdminPortWithTLS(t *testing.T) {
	cert, key, _ := identity(t, "gateway.test")
	clientCert, clientKey, client := identity(t, "operator")
	otherCert, otherKey, _ := identity(t, "other")
	at := secureAdmin(t, cert, key, client)
	plain := adminServer(t, "")
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"all that it takes", []string{"--admin", "https://" + at, "--ca", cert, "--server-name", "gateway.test", "--cert", clientCert, "--key", clientKey}, exitOK, ""},
		{"without a scheme", []string{"--admin", at, "--ca", cert, "--server-name", "gateway.test", "--cert", clientCert, "--key", clientKey}, exitOK, ""},
		{"the system's authorities", []string{"--admin", "https://" + at, "--server-name", "gateway.test"}, exitFailure, "certificate signed by unknown authority; --ca FILE has the authorities that are trusted, --server-name NAME whom the certificate is for"},
		{"another name", []string{"--admin", at, "--ca", cert}, exitFailure, "cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs; --ca FILE"},
		{"no client certificate", []string{"--admin", at, "--ca", cert, "--server-name", "gateway.test"}, exitFailure, "it wants other credentials: an admin token, which --token FILE or PENSTOCK_ADMIN_TOKEN gives, or a client certificate (--cert, --key); it says: show a client certificate"},
		{"no TLS there", []string{"--admin", strings.TrimPrefix(plain, "http://"), "--ca", cert}, exitFailure, "server gave HTTP response to HTTPS client"},
		{"no TLS asked for", []string{"--admin", "http://" + at}, exitFailure, "it answers 400 Bad Request: Client sent an HTTP request to an HTTPS server"},
		{"a file that is missing", []string{"--admin", at, "--ca", garbage + "x"}, exitFailure, "cannot read the authorities of --ca: open " + garbage + "x: no such file"},
		{"a file without certificates", []string{"--admin", at, "--ca", garbage}, exitFailure, "cannot use --ca: " + garbage + " has no certificate in PEM"},
		{"a certificate that is missing", []string{"--admin", at, "--cert", garbage + "x", "--key", clientKey}, exitFailure, "cannot read the client certificate of --cert: open "},
		{"a key that is missing", []string{"--admin", at, "--cert", clientCert, "--key", garbage + "x"}, exitFailure, "cannot read the private key of --key: open "},
		{"a key of another", []string{"--admin", at, "--cert", clientCert, "--key", otherKey}, exitFailure, "cannot use --cert " + clientCert + " with --key " + otherKey + ": tls: private key does not match public key"},
		{"a certificate without a key", []string{"--admin", at, "--cert", otherCert}, exitUsage, "--cert is given and --key is not: want both"},
		{"a key without a certificate", []string{"--admin", at, "--key", otherKey}, exitUsage, "--key is given and --cert is not: want both"},
		{"flags without TLS", []string{"--admin", "http://" + at, "--ca", cert, "--server-name", "x"}, exitUsage, "--ca and --server-name: no meaning without TLS, want --admin https://" + at},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"top", "--once"}, c.args...), &out, &errs); code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: got %d %q, want %d %q", c.name, code, errs.String(), c.code, c.want)
		}
		if c.code == exitOK && !strings.Contains(out.String(), "penstock serving") {
			t.Errorf("%s: printed %q", c.name, out.String())
		}
	}
}
