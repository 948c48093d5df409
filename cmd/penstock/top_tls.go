package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// tlsFlags say how an admin port with TLS is reached.
type tlsFlags struct{ ca, cert, key, serverName string }

func (t *tlsFlags) add(f *flagSet) {
	f.StringVar(&t.ca, "ca", "", "Authorities in `FILE` (PEM) are trusted to have signed the admin port's certificate, instead of the system's.")
	f.StringVar(&t.cert, "cert", "", "The client certificate in `FILE` (PEM, leaf first) is shown where the admin port asks for one; --key has its key.")
	f.StringVar(&t.key, "key", "", "The private key of --cert is in `FILE` (PEM).")
	f.StringVar(&t.serverName, "server-name", "", "The admin port's certificate is for `NAME`, where --admin says another: through kubectl port-forward, for one.")
}

// given says which of the flags were given, in words; empty if none was.
func (t *tlsFlags) given() string {
	var given []string
	for _, f := range [...]struct{ name, value string }{{"--ca", t.ca}, {"--cert", t.cert}, {"--key", t.key}, {"--server-name", t.serverName}} {
		if f.value != "" {
			given = append(given, f.name)
		}
	}
	return strings.Join(given, " and ")
}

// check says what is wrong with how the flags go together.
func (t *tlsFlags) check(admin *url.URL) error {
	switch given := t.given(); {
	case t.cert != "" && t.key == "":
		return errors.New("--cert is given and --key is not: want both")
	case t.key != "" && t.cert == "":
		return errors.New("--key is given and --cert is not: want both")
	case given != "" && admin.Scheme != "https":
		return fmt.Errorf("%s: no meaning without TLS, want --admin https://%s", given, admin.Host)
	}
	return nil
}

// client returns a client that goes by the flags. It follows no redirect: an admin port sends none, and where one leads is no place for a token.
func (t *tlsFlags) client() (*http.Client, error) {
	c := &tls.Config{ServerName: t.serverName}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("cannot read the authorities of --ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cannot use --ca: %s has no certificate in PEM", t.ca)
		}
	}
	if t.cert != "" {
		pair, err := readPair(t.cert, t.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.DisableKeepAlives = c, true // one request is all there is to a connection
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

func readPair(certFile, keyFile string) (pair tls.Certificate, err error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return pair, fmt.Errorf("cannot read the client certificate of --cert: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return pair, fmt.Errorf("cannot read the private key of --key: %w", err)
	}
	if pair, err = tls.X509KeyPair(cert, key); err != nil {
		return pair, fmt.Errorf("cannot use --cert %s with --key %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// unreached says why an admin port could not be reached, and what may help.
func unreached(err error) error {
	hint := "--admin says where it is"
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		hint = "--ca FILE has the authorities that are trusted, --server-name NAME whom the certificate is for"
	}
	return fmt.Errorf("cannot reach the gateway's admin port: %w; %s", err, hint)
}
