package autoscale

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// The keys of the Secret. The first three are those of every Secret with a certificate; the last is this project's: the keys of the
// authorities, in their order.
const (
	secretCertificate = "tls.crt"
	secretKey         = "tls.key"
	secretAuthorities = "ca.crt"
	secretSigners     = "ca.key"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	// overlap is how long a new authority is trusted before it signs, so that all replicas and the API server know it by then.
	overlap = time.Hour
	// skew is how far behind another machine's clock may be.
	skew = 5 * time.Minute
	// maxNames bounds the names that a certificate takes over from the one before it.
	maxNames = 16
)

// signer is an authority with its key.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// errForeignCertificate says that a Secret has a certificate that somebody else keeps.
var errForeignCertificate = errors.New("it has a certificate that the gateway did not make, as there is no " + secretSigners +
	" with it; name an empty Secret, or use the certificate by certFile, keyFile and caFile")

// tend returns what a Secret with the given data should hold at now, for a server with these names, and why it should change; data itself and
// no reason if it is as it should be. What cannot be used is made anew, unless it seems to be somebody else's.
//
// Authorities live for ten years and certificates for one, and are followed by others when a third of that is left. A new authority is first
// only trusted, beside the old one, and signs an hour later.
func tend(data map[string][]byte, names []string, now time.Time) (next map[string][]byte, why string, err error) {
	if len(data[secretCertificate]) > 0 && len(data[secretSigners]) == 0 {
		return nil, "", errForeignCertificate
	}
	signers := readSigners(data, now)
	good := func(s signer) bool { return !now.Before(s.certificate.NotBefore) && !agedAt(s.certificate, now) }
	if !slices.ContainsFunc(signers, good) {
		s, err := newSigner(now)
		if err != nil {
			return nil, "", err
		}
		signers = append(signers, s)
		slices.SortStableFunc(signers, newestFirst)
		why = "there is no authority that is good for long enough"
	}
	by := signingAt(signers, now)
	all, reason := nextNames(data, signers, by, names, now)
	if reason == "" && why == "" {
		return data, "", nil
	}
	next = map[string][]byte{secretCertificate: data[secretCertificate], secretKey: data[secretKey]}
	if reason != "" {
		if next[secretCertificate], next[secretKey], err = by.issue(all, now); err != nil {
			return nil, "", err
		}
	}
	next[secretAuthorities], next[secretSigners], err = writeSigners(signers)
	if why != "" && reason != "" {
		why += "; "
	}
	return next, why + reason, err
}

// readSigners returns the authorities that are valid and whose keys are there, newest first.
func readSigners(data map[string][]byte, now time.Time) []signer {
	var keys []crypto.Signer
	for block := range pemBlocks(data[secretSigners]) {
		if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if s, ok := k.(crypto.Signer); ok {
				keys = append(keys, s)
			}
		}
	}
	var signers []signer
	for block := range pemBlocks(data[secretAuthorities]) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !c.IsCA || now.After(c.NotAfter) {
			continue
		}
		public, ok := c.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			continue
		}
		i := slices.IndexFunc(keys, func(k crypto.Signer) bool { return public.Equal(k.Public()) })
		if i >= 0 {
			signers = append(signers, signer{c, keys[i]})
		}
	}
	slices.SortStableFunc(signers, newestFirst)
	return signers
}

func newestFirst(a, b signer) int { return b.certificate.NotBefore.Compare(a.certificate.NotBefore) }

// signingAt is the newest authority, of those that stand newest first, that everybody knows by now; the oldest if none is as old.
func signingAt(signers []signer, now time.Time) signer {
	for _, s := range signers {
		if now.Sub(s.certificate.NotBefore) >= overlap+skew {
			return s
		}
	}
	return signers[len(signers)-1]
}

// nextNames says why the certificate has to be replaced, and the names of the new one; no reason if it is good. A certificate that lacks a
// name is followed by one for its own names, too: while replicas are being replaced by others with another configuration, both are content with it.
func nextNames(data map[string][]byte, signers []signer, by signer, names []string, now time.Time) (all []string, why string) {
	pair, err := tls.X509KeyPair(data[secretCertificate], data[secretKey])
	if err != nil {
		return names, "there is no certificate with its key"
	}
	leaf := pair.Leaf
	lacks := slices.ContainsFunc(names, func(n string) bool { return leaf.VerifyHostname(n) != nil })
	switch {
	case !slices.ContainsFunc(signers, func(s signer) bool { return leaf.CheckSignatureFrom(s.certificate) == nil }):
		return names, "the certificate is of another authority"
	case now.Before(leaf.NotBefore):
		return names, "the certificate's time has not come: the clock of who made it was ahead"
	case agedAt(leaf, now):
		return names, "less than a third of the certificate's life is left"
	case leaf.CheckSignatureFrom(by.certificate) != nil:
		return names, "there is a newer authority"
	case lacks:
		all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(names, leaf.DNSNames))))
		if len(all) > maxNames {
			all = names
		}
		return all, "the certificate lacks a name"
	}
	return nil, ""
}

// agedAt says whether less than a third of a certificate's life is left.
func agedAt(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3
}

func newSigner(now time.Time) (signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signer{}, fmt.Errorf("cannot make a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "penstock-autoscale " + now.UTC().Format("2006-01-02T15:04:05Z")},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	c, err := sign(template, template, key.Public(), key)
	return signer{c, key}, err
}

// issue makes a certificate, for servers and clients, as replicas show it to each other.
func (s signer) issue(names []string, now time.Time) (chain, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a key: %w", err)
	}
	end := now.Add(certificateLife)
	if end.After(s.certificate.NotAfter) {
		end = s.certificate.NotAfter
	}
	c, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "penstock-autoscale"},
		DNSNames:              names,
		NotBefore:             now.Add(-skew),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, s.certificate, private.Public(), s.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = pemKey(private)
	return pemCertificate(c), key, err
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, fmt.Errorf("cannot make a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func writeSigners(signers []signer) (certificates, keys []byte, err error) {
	for _, s := range signers {
		key, err := pemKey(s.key)
		if err != nil {
			return nil, nil, err
		}
		certificates, keys = append(certificates, pemCertificate(s.certificate)...), append(keys, key...)
	}
	return certificates, keys, nil
}

func pemCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func pemKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot write a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// pemBlocks goes through the blocks of a PEM file.
func pemBlocks(text []byte) func(yield func(*pem.Block) bool) {
	return func(yield func(*pem.Block) bool) {
		for rest := bytes.TrimSpace(text); len(rest) > 0; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil || !yield(block) {
				return
			}
		}
	}
}
