package autoscale

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
)

// identity is the certificate that this replica shows to the API server and to other replicas, and the authorities that it knows other
// replicas by. It is replaced whole.
type identity struct {
	certificate tls.Certificate
	authorities *x509.CertPool
	bundle      []byte // the authorities, in PEM
}

func newIdentity(chain, key, bundle []byte) (*identity, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the certificate: %w", err)
	}
	id := &identity{certificate: pair, authorities: x509.NewCertPool(), bundle: bundle}
	if !id.authorities.AppendCertsFromPEM(bundle) {
		return nil, errors.New("cannot use the authorities of the certificate: they hold no PEM certificate")
	}
	return id, nil
}

// identities holds the identity in force, nil at first.
type identities struct {
	atomic.Pointer[identity]
	name string // what the certificates of all replicas are for
}

var errNoCertificate = errors.New("there is no certificate yet")

// own returns the certificate to show.
func (ids *identities) own() (*tls.Certificate, error) {
	id := ids.Load()
	if id == nil {
		return nil, errNoCertificate
	}
	return &id.certificate, nil
}

// checkPeer says whether the other side of a connection is a replica of the gateway.
func (ids *identities) checkPeer(state *tls.ConnectionState) error {
	id := ids.Load()
	if id == nil {
		return errNoCertificate
	}
	return verify(state, x509.VerifyOptions{Roots: id.authorities, DNSName: ids.name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
}

// verify checks the certificate that the other side of a connection has shown.
func verify(state *tls.ConnectionState, o x509.VerifyOptions) error {
	if state == nil || len(state.PeerCertificates) == 0 {
		return errors.New("it shows no certificate")
	}
	o.Intermediates = x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(o)
	return err
}

// server is what the metrics port speaks TLS with. Who the client is, is checked for each request: it is the API server for some paths, another
// replica for others, and anybody for the rest.
func (ids *identities) server() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return ids.own() },
	}
}

// client is what other replicas are asked with.
func (ids *identities) client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: ids.name,
		// The authorities change, so that they are not to be had here: VerifyConnection checks the certificate and its name.
		InsecureSkipVerify:   true,
		VerifyConnection:     func(state tls.ConnectionState) error { return ids.checkPeer(&state) },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return ids.own() },
	}
}
