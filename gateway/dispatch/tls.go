package dispatch

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/penstock/penstock/config"
)

// clientTLS is the TLS configuration of a pool's https endpoints, with its files read.
type clientTLS struct {
	base *tls.Config
	// identity differs whenever a connection made with one configuration must not serve a request under another.
	identity string
}

// loadTLS reads the files that c names; a nil c is the system's authorities and no client certificate.
func loadTLS(pool string, c *config.UpstreamTLS) (*clientTLS, error) {
	if c == nil {
		return &clientTLS{base: &tls.Config{MinVersion: tls.VersionTLS12}}, nil
	}
	base := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify}
	identity := sha256.New()
	fmt.Fprintf(identity, "%q %v\n", c.ServerName, c.InsecureSkipVerify)
	if err := loadAuthorities(base, c.CA, identity); err != nil {
		return nil, fmt.Errorf("cannot set up TLS of pool %q: field ca: %w", pool, err)
	}
	if err := loadClientCertificate(base, c.CertFile, c.KeyFile, identity); err != nil {
		return nil, fmt.Errorf("cannot set up TLS of pool %q: field certFile: %w", pool, err)
	}
	return &clientTLS{base: base, identity: hex.EncodeToString(identity.Sum(nil))}, nil
}

func loadAuthorities(base *tls.Config, file string, identity io.Writer) error {
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read the certificate authorities: %w", err)
	}
	base.RootCAs = x509.NewCertPool()
	if !base.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate; want PEM blocks of type CERTIFICATE", file)
	}
	fmt.Fprintf(identity, "ca %d\n%s", len(pem), pem)
	return nil
}

func loadClientCertificate(base *tls.Config, certFile, keyFile string, identity io.Writer) error {
	if certFile == "" && keyFile == "" {
		return nil
	}
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return fmt.Errorf("cannot read the client certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("cannot read the client certificate's key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("cannot use client certificate %s with key %s: %w", certFile, keyFile, err)
	}
	base.Certificates = []tls.Certificate{pair}
	fmt.Fprintf(identity, "cert %d\n%skey %d\n%s", len(cert), cert, len(key), key)
	return nil
}

// forHost returns the configuration for an endpoint whose URL names host.
func (c *clientTLS) forHost(host string) *tls.Config {
	t := c.base.Clone()
	if t.ServerName == "" {
		t.ServerName = host
	}
	t.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	return t
}
