package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/penstock/penstock/config"
)

// adminCredentials are what lets clients of the admin port in, as it was read from files. It is read again by refresh.
type adminCredentials struct {
	settings     config.AdminSecurity
	certificates *certificates // nil without TLS
	token        [sha256.Size]byte
	toldOfToken  string // the last error about the token's file, so that the same fault is told once
}

// loadAdminCredentials reads every file that the settings name. All errors are returned together.
func loadAdminCredentials(s config.AdminSecurity) (*adminCredentials, error) {
	a := &adminCredentials{settings: s}
	var err error
	if s.TLS() {
		a.certificates, err = loadCertificates(&config.ListenerTLS{
			Certificates: []config.Certificate{{CertFile: s.CertFile, KeyFile: s.KeyFile}}, ClientCA: s.ClientCA,
		})
	}
	_, tokenErr := a.refreshToken()
	return a, errors.Join(err, tokenErr)
}

// refresh reads the files again, as refresh of certificates does: what is bad leaves the old one in place and is an error, once for each change.
func (a *adminCredentials) refresh() (changed bool, err error) {
	if a.certificates != nil {
		changed, err = a.certificates.refresh()
	}
	replaced, tokenErr := a.refreshToken()
	return changed || replaced, errors.Join(err, tokenErr)
}

func (a *adminCredentials) refreshToken() (changed bool, err error) {
	if a.settings.TokenFile == "" {
		return false, nil
	}
	token, err := config.ReadToken(a.settings.TokenFile)
	if err != nil {
		if a.toldOfToken == err.Error() {
			return false, nil
		}
		a.toldOfToken = err.Error()
		return false, err
	}
	sum := sha256.Sum256([]byte(token))
	changed, a.token, a.toldOfToken = sum != a.token, sum, ""
	return changed, nil
}

// access is what the credentials, as they are now, mean for clients.
func (a *adminCredentials) access() *adminAccess {
	access := &adminAccess{pprof: a.settings.Pprof, wantsToken: a.settings.TokenFile != "", token: a.token}
	if a.certificates == nil {
		return access
	}
	access.clients = a.certificates.clients
	access.tls = a.certificates.config()
	access.tls.NextProtos = nil // one request at a time and connection: so the bound on connections is one on requests
	if access.clients != nil {
		access.tls.ClientAuth = tls.VerifyClientCertIfGiven // the kubelet has none, for its probes
	}
	return access
}

// adminAccess says who may read the admin port, and how. It is immutable; a change swaps it whole.
type adminAccess struct {
	tls        *tls.Config // nil: plaintext
	wantsToken bool
	token      [sha256.Size]byte
	clients    *x509.CertPool // nil: certificates let nobody in
	pprof      bool
}

// denial is why a request is refused; empty if it is not. It is a label of metrics.
type denial string

const (
	denyNothing      denial = ""
	denyMissing      denial = "no_credentials"
	denyWrong        denial = "wrong_credentials"
	denyForeignFetch denial = "cross_site"
)

// judge says whether a request has what it needs: the token or a certificate, where there is one to have.
func (a *adminAccess) judge(r *http.Request) denial {
	if !a.wantsToken && a.clients == nil || a.hasCertificate(r) {
		return denyNothing
	}
	token, given := sentToken(r)
	switch {
	case !given:
		return denyMissing
	case !a.isToken(token):
		return denyWrong
	}
	return denyNothing
}

// isToken compares sums, as their length says nothing of the token's.
func (a *adminAccess) isToken(sent string) bool {
	sum := sha256.Sum256([]byte(sent))
	return subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1 && a.wantsToken
}

// sentToken is what a client says is the token. Browsers send it as a password, as they cannot be told to send anything else.
func sentToken(r *http.Request) (token string, given bool) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(rest), true
	}
	_, password, ok := r.BasicAuth()
	return password, ok
}

// hasCertificate says whether the client showed a certificate that the authorities of this moment signed: the handshake may have been before they
// changed, or before it ran out.
func (a *adminAccess) hasCertificate(r *http.Request) bool {
	if a.clients == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return false
	}
	chain := r.TLS.PeerCertificates
	options := x509.VerifyOptions{Roots: a.clients, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	return err == nil
}

// securedListener hands out connections with TLS as it is set when they come. Serving them shakes hands.
type securedListener struct {
	net.Listener
	access *atomic.Pointer[adminAccess]
}

// Accept waits for the next connection.
func (l securedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, l.access.Load().tls), nil
}

// useAdminCredentials puts them in force.
func (g *Gateway) useAdminCredentials(a *adminCredentials) {
	g.adminCredentials = a
	g.adminAccess.Store(a.access())
}

// refreshAdminCredentials reads what changed of the admin port's token, certificate and client authorities.
func (g *Gateway) refreshAdminCredentials() {
	changed, err := g.adminCredentials.refresh()
	if changed {
		g.useAdminCredentials(g.adminCredentials)
		g.logger.Info("credentials of the admin port read again")
	}
	if err != nil {
		g.logger.Error("cannot use changed credentials of the admin port: the old ones stay in use", "error", err)
	}
}
