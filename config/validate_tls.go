package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

func (r *report) listenerTLS(t *ListenerTLS, path string) {
	list := under(path, "certificates")
	if len(t.Certificates) == 0 {
		r.field(path, "has no certificates", "want at least one: certificates: [{certFile: FILE, keyFile: FILE}]", list)
	}
	for i, c := range t.Certificates {
		r.certificate(c.CertFile, c.KeyFile, item(list, i))
	}
	if t.ClientCA != "" {
		r.authorities(t.ClientCA, under(path, "clientCA"))
	}
}

func (r *report) upstreamTLS(p *Pool, path string) {
	t := p.TLS
	at, endpoints, service, dns := under(path, "tls"), under(path, "endpoints"), under(path, "service"), under(path, "dns")
	if (len(p.Endpoints) > 0 || p.Service != nil || p.DNS != nil) && !usesTLS(p) {
		r.field(at, "has no meaning, as no endpoint of the pool is https",
			"leave it out, or want https:// endpoints, service.scheme: https or dns.scheme: https", endpoints, service, dns)
	}
	if t.ServerName != "" && !isHostName(t.ServerName) && !isIP(t.ServerName) {
		r.value(under(at, "serverName"), quote(t.ServerName)+" is no host name", "want a name without port, such as llama.models.svc")
	}
	switch {
	case t.CA != "" && t.InsecureSkipVerify:
		r.field(under(at, "ca"), "has no meaning, as insecureSkipVerify accepts any certificate", "want one of them")
	case t.CA != "":
		r.authorities(t.CA, under(at, "ca"))
	}
	if t.CertFile != "" || t.KeyFile != "" {
		r.certificate(t.CertFile, t.KeyFile, at)
	}
}

// certificate checks that a certificate and its key can be read and belong together.
func (r *report) certificate(certFile, keyFile, path string) {
	cert, certOK := r.readFile(certFile, under(path, "certFile"), "a PEM file with the certificate chain")
	key, keyOK := r.readFile(keyFile, under(path, "keyFile"), "a PEM file with the private key")
	if !certOK || !keyOK {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		r.field(path, fmt.Sprintf("cannot use %s with %s: %s", quote(certFile), quote(keyFile), strings.TrimPrefix(err.Error(), "tls: ")),
			"want a certificate chain, leaf first, and the leaf's private key, both in PEM")
	}
}

func (r *report) authorities(file, path string) {
	if pem, ok := r.readFile(file, path, "a PEM file with certificates"); ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		r.field(path, quote(file)+" has no certificates in PEM", "want a PEM file with certificates")
	}
}

// maxPEM is the largest file of certificates that is read, 4 MiB; a system's bundle has about 200 KiB.
const maxPEM = 4 << 20

// readFile reads a file of certificates or a key. Anything but a plain file is refused, as reading it might never end.
func (r *report) readFile(file, path, what string) ([]byte, bool) {
	if file == "" {
		r.field(path, "is missing", "want "+what, path)
		return nil, false
	}
	if r.isBroken(path) {
		return nil, false
	}
	info, err := os.Stat(file)
	problem := ""
	switch {
	case err != nil:
		problem = reason(err)
	case !info.Mode().IsRegular():
		problem = "not a plain file"
	case info.Size() > maxPEM:
		problem = "larger than " + formatSize(maxPEM)
	}
	var data []byte
	if problem == "" {
		if data, err = os.ReadFile(file); err != nil {
			problem = reason(err)
		}
	}
	if problem != "" {
		r.field(path, fmt.Sprintf("cannot read %s: %s", quote(file), problem), "want "+what)
	}
	return data, problem == ""
}

// reason is a file error without the path, which the error says already.
func reason(err error) string { return bare(err).Error() }

// bare is a file error's cause, without the operation and the path.
func bare(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
