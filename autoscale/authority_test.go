package autoscale

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	testNames = []string{"penstock-autoscale", "penstock-autoscale.penstock", "penstock-autoscale.penstock.svc"}
	testStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

// tended is what a Secret holds after it was tended, and why it was changed.
func tended(t *testing.T, data map[string][]byte, names []string, now time.Time) (map[string][]byte, string) {
	t.Helper()
	next, why, err := tend(data, names, now)
	if err != nil {
		t.Fatal(err)
	}
	if again, more, err := tend(next, names, now); err != nil || more != "" || !bytes.Equal(again[secretCertificate], next[secretCertificate]) {
		t.Fatalf("what was just made is to be changed: %s %v", more, err)
	}
	return next, why
}

// trusts checks that the certificate of one Secret is good by the authorities of another.
func trusts(t *testing.T, authorities, certificate map[string][]byte, name string, now time.Time) error {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate[secretCertificate], certificate[secretKey])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authorities[secretAuthorities])
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func authorities(data map[string][]byte) (n int) {
	for range pemBlocks(data[secretAuthorities]) {
		n++
	}
	return n
}

func TestCertificateLife(t *testing.T) {
	day := 24 * time.Hour
	data, why := tended(t, map[string][]byte{}, testNames, testStart)
	if want := "there is no authority that is good for long enough; there is no certificate with its key"; why != want {
		t.Errorf("it is made because %s, want %s", why, want)
	}
	for _, name := range testNames {
		if err := trusts(t, data, data, name, testStart); err != nil {
			t.Error(err)
		}
	}
	if _, why := tended(t, data, testNames, testStart.Add(240*day)); why != "" {
		t.Errorf("after 240 days it is made anew: %s", why)
	}
	now := testStart.Add(250 * day)
	next, why := tended(t, data, testNames, now)
	if why != "less than a third of the certificate's life is left" {
		t.Errorf("after 250 days it is made anew because %q", why)
	}
	if err := errors.Join(trusts(t, data, next, testNames[2], now), trusts(t, next, data, testNames[2], now)); err != nil || authorities(next) != 1 {
		t.Errorf("the new one is of another authority: %v", err)
	}
}

// TestAuthorityRotation checks that at no time two replicas that read the Secret within an hour of each other distrust each other.
func TestAuthorityRotation(t *testing.T) {
	data, _ := tended(t, nil, testNames, testStart)
	now := testStart.Add(authorityLife*2/3 + time.Hour)
	data, _ = tended(t, data, testNames, now.Add(-time.Hour*24)) // the certificate has been renewed meanwhile
	added, why := tended(t, data, testNames, now)
	if why != "there is no authority that is good for long enough" || authorities(added) != 2 {
		t.Fatalf("%d authorities, because %q", authorities(added), why)
	}
	if !bytes.Equal(added[secretCertificate], data[secretCertificate]) {
		t.Error("the new authority signs at once")
	}
	if same, why := tended(t, added, testNames, now.Add(59*time.Minute)); why != "" || authorities(same) != 2 {
		t.Errorf("before the hour is over: %q", why)
	}
	signed, why := tended(t, added, testNames, now.Add(61*time.Minute))
	if why != "there is a newer authority" || authorities(signed) != 2 {
		t.Errorf("after the hour: %d authorities, %q", authorities(signed), why)
	}
	for _, pair := range [][2]map[string][]byte{{data, added}, {added, data}, {added, signed}, {signed, added}} {
		if err := trusts(t, pair[0], pair[1], testNames[2], now.Add(2*time.Hour)); err != nil {
			t.Error(err)
		}
	}
	if trusts(t, data, signed, testNames[2], now) == nil {
		t.Error("the new authority is the old one")
	}
	later, _ := tended(t, signed, testNames, testStart.Add(authorityLife+time.Hour))
	if authorities(later) != 1 {
		t.Errorf("%d authorities when the old one has ended", authorities(later))
	}
}

func TestNamesOfACertificate(t *testing.T) {
	data, _ := tended(t, nil, testNames, testStart)
	renamed := []string{"scale.penstock.svc"}
	next, why := tended(t, data, renamed, testStart)
	if why != "the certificate lacks a name" {
		t.Errorf("changed because %q", why)
	}
	// Replicas with the old name are content, so that the two kinds do not undo each other's work.
	if _, why := tended(t, next, testNames, testStart); why != "" {
		t.Errorf("replicas with the old name change it: %s", why)
	}
	for _, name := range slices.Concat(renamed, testNames) {
		if err := trusts(t, next, next, name, testStart); err != nil {
			t.Error(err)
		}
	}
	renewed, _ := tended(t, next, renamed, testStart.Add(300*24*time.Hour))
	if trusts(t, renewed, renewed, testNames[0], testStart.Add(300*24*time.Hour)) == nil {
		t.Error("old names live on for ever")
	}
	for i := range 20 {
		next, _ = tended(t, next, []string{strings.Repeat("x", i+1) + ".penstock.svc"}, testStart)
	}
	pair, _ := tls.X509KeyPair(next[secretCertificate], next[secretKey])
	if n := len(pair.Leaf.DNSNames); n > maxNames {
		t.Errorf("the certificate has %d names", n)
	}
}

func TestSecretsThatCannotBeUsed(t *testing.T) {
	good, _ := tended(t, nil, testNames, testStart)
	other, _ := tended(t, nil, testNames, testStart)
	with := func(key string, value []byte) map[string][]byte {
		m := map[string][]byte{}
		for k, v := range good {
			m[k] = v
		}
		m[key] = value
		return m
	}
	for name, c := range map[string]struct {
		data map[string][]byte
		why  string
	}{
		"no authority":               {with(secretAuthorities, nil), "no authority"},
		"garbage for an authority":   {with(secretAuthorities, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), "no authority"},
		"a leaf for an authority":    {with(secretAuthorities, good[secretCertificate]), "no authority"},
		"another authority":          {with(secretAuthorities, other[secretAuthorities]), "no authority"},
		"another authority's key":    {with(secretSigners, other[secretSigners]), "no authority"},
		"garbage for a key":          {with(secretSigners, []byte("x")), "no authority"},
		"no certificate":             {with(secretCertificate, nil), "there is no certificate with its key"},
		"another certificate's key":  {with(secretKey, other[secretKey]), "there is no certificate with its key"},
		"garbage for a certificate":  {with(secretCertificate, []byte("x")), "there is no certificate with its key"},
		"a Secret of its own type":   {map[string][]byte{secretCertificate: {}, secretKey: {}}, "no authority"},
		"keys of somebody beside it": {map[string][]byte{"notes": []byte("mine")}, "no authority"},
	} {
		t.Run(name, func(t *testing.T) {
			next, why := tended(t, c.data, testNames, testStart)
			if !strings.Contains(why, c.why) {
				t.Errorf("changed because %q, want %q", why, c.why)
			}
			if err := trusts(t, next, next, testNames[2], testStart); err != nil {
				t.Error(err)
			}
		})
	}
	foreign := map[string][]byte{secretCertificate: good[secretCertificate], secretKey: good[secretKey], secretAuthorities: good[secretAuthorities]}
	if _, _, err := tend(foreign, testNames, testStart); !errors.Is(err, errForeignCertificate) {
		t.Errorf("somebody else's certificate: %v", err)
	}
}

// TestClockBehind has a replica read what another one made whose clock is ahead.
func TestClockBehind(t *testing.T) {
	data, _ := tended(t, nil, testNames, testStart)
	if _, why := tended(t, data, testNames, testStart.Add(-4*time.Minute)); why != "" {
		t.Errorf("4 minutes behind: %s", why)
	}
	behind := testStart.Add(-time.Hour)
	next, why := tended(t, data, testNames, behind)
	if !strings.Contains(why, "there is no authority") || !strings.Contains(why, "the clock of who made it was ahead") || authorities(next) != 2 {
		t.Errorf("an hour behind: %d authorities, %q", authorities(next), why)
	}
	if err := errors.Join(trusts(t, next, next, testNames[0], behind), trusts(t, next, next, testNames[0], testStart)); err != nil {
		t.Error(err)
	}
	if _, why := tended(t, next, testNames, testStart); why != "" {
		t.Errorf("what one made whose clock is behind is changed: %s", why)
	}
}
