package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// writeAll writes ca, a certificate for each identity, the keys that service accounts' tokens are signed and checked with, and kubeconfigs
// for the API server at the URL server.
func writeAll(dir string, ids []identity, server string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder for certificates: %w", err)
	}
	ca, err := newAuthority(now)
	if err != nil {
		return err
	}
	if err := ca.write(dir, "ca"); err != nil {
		return err
	}
	for i, id := range ids {
		c, err := ca.issue(id, int64(i)+2, now)
		if err != nil {
			return fmt.Errorf("cannot make the certificate %s: %w", id.file, err)
		}
		if err := c.write(dir, id.file); err != nil {
			return err
		}
		if id.kubeconfig {
			if err := writeKubeconfig(dir, id.file, server, ca.certPEM, c); err != nil {
				return err
			}
		}
	}
	return writeTokenKeys(dir)
}

// pair is a certificate with its key.
type pair struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

func newAuthority(now time.Time) (*pair, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test cluster"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(validity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	p, err := sign(template, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot make the cluster's authority: %w", err)
	}
	return p, nil
}

func (p *pair) issue(id identity, serial int64, now time.Time) (*pair, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: id.user}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(validity),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: id.addresses, DNSNames: id.names,
	}
	if id.group != "" {
		template.Subject.Organization = []string{id.group}
	}
	return sign(template, p)
}

// sign makes a key and lets ca sign its certificate; without ca it signs itself.
func sign(template *x509.Certificate, ca *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, parentKey := template, key
	if ca != nil {
		parent, parentKey = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &pair{cert: cert, key: key, certPEM: encode("CERTIFICATE", der), keyPEM: encode("EC PRIVATE KEY", keyDER)}, nil
}

func (p *pair) write(dir, name string) error {
	if err := writeFile(dir, name+".crt", p.certPEM); err != nil {
		return err
	}
	return writeFile(dir, name+".key", p.keyPEM)
}

func writeTokenKeys(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("cannot make the key for tokens: %w", err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("cannot encode the key for tokens: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("cannot encode the key for tokens: %w", err)
	}
	if err := writeFile(dir, "tokens.key", encode("EC PRIVATE KEY", private)); err != nil {
		return err
	}
	return writeFile(dir, "tokens.pub", encode("PUBLIC KEY", public))
}

// writeKubeconfig writes a kubeconfig that holds all it names, so that it can be copied anywhere. JSON is YAML, too.
func writeKubeconfig(dir, name, server string, ca []byte, c *pair) error {
	type object = map[string]any
	content, err := json.MarshalIndent(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []any{object{"name": "test", "cluster": object{"server": server, "certificate-authority-data": ca}}},
		"users":    []any{object{"name": name, "user": object{"client-certificate-data": c.certPEM, "client-key-data": c.keyPEM}}},
		"contexts": []any{object{"name": "test", "context": object{"cluster": "test", "user": name}}},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode the kubeconfig of %s: %w", name, err)
	}
	return writeFile(dir, name+".kubeconfig", append(content, '\n'))
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writeFile(dir, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		return fmt.Errorf("cannot write a file of the cluster: %w", err)
	}
	return nil
}
