package gateway

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/penstock/penstock/config"
)

// protocolNameHTTP2 is HTTP/2 in the TLS handshake (RFC 9113, section 3.2).
const protocolNameHTTP2 = "h2"

// alpnProtocols is what the listener offers in the TLS handshake, in order of preference.
var alpnProtocols = []string{protocolNameHTTP2, "http/1.1"}

// certificatePair is a certificate with its key, and what it was read from.
type certificatePair struct {
	config.Certificate
	loaded *tls.Certificate
	sum    [sha256.Size]byte // of both files, as they were when they were last looked at, good or bad
}

// certificates is the set of certificates of a listener, and the client authorities that it trusts. It is read from files and
// is read again by refresh.
type certificates struct {
	settings *config.ListenerTLS
	pairs    []*certificatePair
	clients  *x509.CertPool
	caSum    [sha256.Size]byte
}

// loadCertificates reads every file that the configuration names. All errors are returned together.
func loadCertificates(settings *config.ListenerTLS) (*certificates, error) {
	cs := &certificates{settings: settings}
	for _, c := range settings.Certificates {
		cs.pairs = append(cs.pairs, &certificatePair{Certificate: c})
	}
	_, err := cs.refresh()
	return cs, err
}

// refresh reads the files again. A pair or an authority that changed and is good replaces the old one; one that is bad leaves the
// old one in place and is an error, once for each change. changed says whether anything was replaced.
func (cs *certificates) refresh() (changed bool, err error) {
	var errs []error
	for _, p := range cs.pairs {
		replaced, err := p.refresh()
		changed = changed || replaced
		errs = append(errs, err)
	}
	replaced, err := cs.refreshClientCA()
	return changed || replaced, errors.Join(append(errs, err)...)
}

func (p *certificatePair) refresh() (bool, error) {
	chain, err := os.ReadFile(p.CertFile)
	key, keyErr := os.ReadFile(p.KeyFile)
	if err = errors.Join(err, keyErr); err != nil {
		return false, p.failed([]byte(err.Error()), fmt.Errorf("cannot read certificate: %w", err))
	}
	content := append(append(chain, 0), key...)
	if sha256.Sum256(content) == p.sum {
		return false, nil
	}
	loaded, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return false, p.failed(content, fmt.Errorf("cannot use certificate %s with key %s: %w", p.CertFile, p.KeyFile, err))
	}
	p.sum, p.loaded = sha256.Sum256(content), &loaded
	return true, nil
}

// failed remembers what was found, so that the same fault is told once.
func (p *certificatePair) failed(content []byte, err error) error {
	sum := sha256.Sum256(content)
	if sum == p.sum {
		return nil
	}
	p.sum = sum
	return err
}

func (cs *certificates) refreshClientCA() (bool, error) {
	file := cs.settings.ClientCA
	if file == "" {
		return false, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		content = []byte(err.Error())
	}
	sum := sha256.Sum256(content)
	if sum == cs.caSum {
		return false, nil
	}
	cs.caSum = sum
	if err != nil {
		return false, fmt.Errorf("cannot read client CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return false, fmt.Errorf("cannot use client CA %s: it holds no PEM certificate", file)
	}
	cs.clients = pool
	return true, nil
}

// config builds the TLS configuration of the certificates as they are now. Each one has session-ticket keys of its own, so that a
// session from before a change of the client authorities is not resumed after it.
func (cs *certificates) config() *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     alpnProtocols,
		GetCertificate: cs.byName().choose,
	}
	if cs.settings.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	if cs.clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, cs.clients
	}
	return c
}

// certificateNames finds certificates by the names that they are for.
type certificateNames struct {
	byName map[string][]*tls.Certificate // lower case; wildcards as they stand in the certificate
	first  *tls.Certificate
}

func (cs *certificates) byName() *certificateNames {
	n := &certificateNames{byName: make(map[string][]*tls.Certificate), first: cs.pairs[0].loaded}
	for _, p := range cs.pairs {
		for _, name := range p.loaded.Leaf.DNSNames {
			name = strings.ToLower(name)
			n.byName[name] = append(n.byName[name], p.loaded)
		}
	}
	return n
}

// choose picks a certificate for the name that the client asks for: one for that very name, else one for a wildcard above it, else
// the first. Of several for the same name it takes the first whose key and signature the client supports.
func (n *certificateNames) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")
	if c := supported(hello, n.byName[name]); c != nil {
		return c, nil
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if c := supported(hello, n.byName["*."+parent]); c != nil {
			return c, nil
		}
	}
	return n.first, nil
}

func supported(hello *tls.ClientHelloInfo, candidates []*tls.Certificate) *tls.Certificate {
	for _, c := range candidates {
		if hello.SupportsCertificate(c) == nil {
			return c
		}
	}
	return nil
}
