package config

import (
	"fmt"
	"os"
	"strings"
)

// AdminSecurity says who may read what the admin port shows. Nothing is asked of anybody by default; whoever is to be kept out by more than the network
// sets tokenFile, clientCA or both, and then either of them lets in. /healthz and /readyz answer everybody, as the kubelet has no credentials.
type AdminSecurity struct {
	// TokenFile is a file with a token of at least 16 visible ASCII characters; blanks and line ends around it do not count. Clients send it as
	// "Authorization: Bearer TOKEN", or browsers as the password of any user. It is read again when it changes. Without certFile it crosses the network
	// as it is.
	TokenFile string `yaml:"tokenFile"`
	// CertFile is a PEM file with a certificate chain, leaf first: the admin port then takes TLS only, probes' included. It is read again when it changes, as
	// are KeyFile and ClientCA. Turning TLS on or off needs a restart.
	CertFile string `yaml:"certFile"`
	// KeyFile is a PEM file with the private key.
	KeyFile string `yaml:"keyFile"`
	// ClientCA is a PEM file: clients that present a certificate that it signed are let in, without a token. Those that present none need the token, and
	// reach /healthz and /readyz only where there is none.
	ClientCA string `yaml:"clientCA"`
	// Pprof serves profiles of the running program at /debug/pprof. They show function names and command line, no requests, and taking one costs a share
	// of a core; they are never served with traffic.
	Pprof bool `yaml:"pprof"`
}

// TLS says whether the admin port takes TLS.
func (s *AdminSecurity) TLS() bool { return s.CertFile != "" }

func (r *report) adminSecurity(s *AdminSecurity, path string) {
	cert, key, ca := under(path, "certFile"), under(path, "keyFile"), under(path, "clientCA")
	if s.CertFile != "" || s.KeyFile != "" {
		r.certificate(s.CertFile, s.KeyFile, path)
	}
	if s.ClientCA != "" {
		r.authorities(s.ClientCA, ca)
		if s.CertFile == "" && s.KeyFile == "" {
			r.field(ca, "has no meaning without TLS", "want certFile and keyFile beside it", cert, key)
		}
	}
	if s.TokenFile == "" {
		return
	}
	at := under(path, "tokenFile")
	if data, ok := r.readFile(s.TokenFile, at, "a file with a token"); ok {
		if _, problem := parseToken(data); problem != "" {
			r.field(at, quote(s.TokenFile)+" "+problem, wantSecretToken)
		}
	}
}

const (
	// minToken makes guessing hopeless even for tokens of words.
	minToken = 16
	// maxToken is well below what a request's head may have.
	maxToken        = 4 * kib
	wantSecretToken = "want a token of 16 to 4096 visible ASCII characters, such as openssl rand -hex 32 makes"
)

// ReadToken reads the token of a tokenFile. Its errors never hold any of it.
func ReadToken(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read token: %w", err)
	}
	token, problem := parseToken(data)
	if problem != "" {
		return "", fmt.Errorf("cannot use token: %s %s; %s", file, problem, wantSecretToken)
	}
	return token, nil
}

// parseToken returns the token that a file holds, or says what is wrong with the file.
func parseToken(data []byte) (token, problem string) {
	token = strings.TrimSpace(string(data))
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", "has blanks within it, or characters that a header cannot carry"
	}
	switch n := len(token); {
	case n == 0:
		return "", "has no token"
	case n < minToken || n > maxToken:
		return "", fmt.Sprintf("has a token of %d characters", n)
	}
	return token, ""
}
