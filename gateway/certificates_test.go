package gateway

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
)

// served returns the subject of the certificate that a client gets that asks for name.
func served(t *testing.T, server *tls.Config, client *tls.Config, name string) (subject string, err error) {
	t.Helper()
	near, far := tcpPair(t)
	serverDone := make(chan error, 1)
	go func() { serverDone <- tls.Server(far, server).Handshake() }()
	c := client.Clone()
	c.ServerName = name
	conn := tls.Client(near, c)
	if err := conn.Handshake(); err != nil {
		far.Close()
		<-serverDone
		return "", err
	}
	// In TLS 1.3 the client is done before the server has looked at its certificate.
	if err := <-serverDone; err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestCertificateIsChosenByName(t *testing.T) {
	ca := newAuthority(t, "ca")
	cs, err := loadCertificates(&config.ListenerTLS{Certificates: []config.Certificate{
		ca.files(t, "first", "first.test"),
		ca.files(t, "wildcard", "*.example.test"),
		ca.files(t, "exact", "api.example.test", "ALT.example.test"),
		ca.files(t, "address", "192.0.2.1"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"first.test":        "first",
		"api.example.test":  "exact",
		"API.Example.test":  "exact",
		"alt.example.test":  "exact",
		"www.example.test":  "wildcard",
		"a.b.example.test":  "first",
		"example.test":      "first",
		"unknown.test":      "first",
		"":                  "first",
		"192.0.2.1":         "first", // clients send no IP address as SNI
		"api.example.test.": "exact",
	} {
		got, err := served(t, cs.config(), &tls.Config{InsecureSkipVerify: true}, name)
		if err != nil || got != want {
			t.Errorf("%q got the certificate %q (%v), want %q", name, got, err, want)
		}
	}
}

func TestRefreshTakesGoodPairsAndKeepsOldOnes(t *testing.T) {
	ca := newAuthority(t, "ca")
	a, b := ca.files(t, "a1", "a.test"), ca.files(t, "b1", "b.test")
	cs, err := loadCertificates(&config.ListenerTLS{Certificates: []config.Certificate{a, b}})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(step, wantA, wantB string) {
		t.Helper()
		for name, want := range map[string]string{"a.test": wantA, "b.test": wantB} {
			if got, err := served(t, cs.config(), &tls.Config{RootCAs: ca.pool()}, name); got != want {
				t.Errorf("%s: %s gets %q (%v), want %q", step, name, got, err, want)
			}
		}
	}
	refresh := func(step string, wantChanged bool, wantError string) {
		t.Helper()
		changed, err := cs.refresh()
		if changed != wantChanged {
			t.Errorf("%s: changed is %v", step, changed)
		}
		switch {
		case wantError == "" && err != nil:
			t.Errorf("%s: %v", step, err)
		case wantError != "" && (err == nil || !strings.Contains(err.Error(), wantError)):
			t.Errorf("%s: error is %v, want %q", step, err, wantError)
		}
	}
	refresh("nothing happened", false, "")
	expect("at first", "a1", "b1")

	_, otherKey := ca.issue(t, "other", "a.test")
	goodKey, _ := os.ReadFile(a.KeyFile)
	writeFile(t, a.KeyFile, otherKey)
	ca.replace(t, b, "b2", "b.test")
	refresh("key of a does not match", true, "cannot use certificate "+a.CertFile+" with key "+a.KeyFile)
	expect("key of a does not match", "a1", "b2")
	refresh("told once", false, "")

	writeFile(t, a.KeyFile, goodKey)
	refresh("key of a is back", true, "")
	expect("key of a is back", "a1", "b2")

	os.Remove(b.CertFile)
	refresh("b is gone", false, "cannot read certificate")
	refresh("told once", false, "")
	expect("b is gone", "a1", "b2")
	ca.replace(t, b, "b3", "b.test")
	refresh("b is back", true, "")
	expect("b is back", "a1", "b3")
}

func TestClientsMustShowACertificateOfTheAuthority(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	file := filepath.Join(t.TempDir(), "ca.crt")
	writeFile(t, file, ca.pem)
	cs, err := loadCertificates(&config.ListenerTLS{Certificates: []config.Certificate{ca.files(t, "server", "server.test")}, ClientCA: file})
	if err != nil {
		t.Fatal(err)
	}
	with := func(c ...tls.Certificate) *tls.Config { return &tls.Config{RootCAs: ca.pool(), Certificates: c} }
	mine, stranger := ca.clientCertificate(t, "client"), other.clientCertificate(t, "client")
	if _, err := served(t, cs.config(), with(mine), "server.test"); err != nil {
		t.Errorf("a client of the authority was refused: %v", err)
	}
	if _, err := served(t, cs.config(), with(), "server.test"); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if _, err := served(t, cs.config(), with(stranger), "server.test"); err == nil {
		t.Error("a client of another authority was let in")
	}
	writeFile(t, file, []byte("no PEM"))
	if changed, err := cs.refresh(); changed || err == nil || !strings.Contains(err.Error(), "holds no PEM certificate") {
		t.Errorf("a broken client CA: changed is %v and the error %v", changed, err)
	}
	writeFile(t, file, other.pem)
	if changed, err := cs.refresh(); !changed || err != nil {
		t.Fatalf("a new client CA: changed is %v and the error %v", changed, err)
	}
	if _, err := served(t, cs.config(), with(stranger), "server.test"); err != nil {
		t.Errorf("a client of the new authority was refused: %v", err)
	}
	if _, err := served(t, cs.config(), with(mine), "server.test"); err == nil {
		t.Error("a client of the old authority was let in")
	}
}

func TestMinVersionOfTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	pair := ca.files(t, "server", "server.test")
	for _, c := range []struct {
		min    string
		client uint16
		ok     bool
	}{
		{"1.2", tls.VersionTLS12, true},
		{"1.2", tls.VersionTLS13, true},
		{"1.2", tls.VersionTLS11, false},
		{"1.3", tls.VersionTLS12, false},
		{"1.3", tls.VersionTLS13, true},
	} {
		cs, err := loadCertificates(&config.ListenerTLS{Certificates: []config.Certificate{pair}, MinVersion: c.min})
		if err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: c.client}
		if _, err := served(t, cs.config(), client, "server.test"); (err == nil) != c.ok {
			t.Errorf("minVersion %s and a client of %s: %v", c.min, tls.VersionName(c.client), err)
		}
	}
}

func TestEveryBadCertificateIsTold(t *testing.T) {
	dir := t.TempDir()
	missing := config.Certificate{CertFile: filepath.Join(dir, "missing.crt"), KeyFile: filepath.Join(dir, "missing.key")}
	broken := config.Certificate{CertFile: filepath.Join(dir, "broken.crt"), KeyFile: filepath.Join(dir, "broken.key")}
	writeFile(t, broken.CertFile, []byte("x"))
	writeFile(t, broken.KeyFile, []byte("y"))
	_, err := loadCertificates(&config.ListenerTLS{Certificates: []config.Certificate{missing, broken}, ClientCA: filepath.Join(dir, "missing.ca")})
	for _, want := range []string{"missing.crt", "missing.key", "broken.crt", "missing.ca"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
}
