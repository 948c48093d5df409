package http2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// selfSigned makes a certificate for 127.0.0.1 and a configuration whose endpoint has it.
func selfSigned(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}},
		"pools: {only: {endpoints: [\"https://ENDPOINT\"], tls: {ca: " + file + "}, retry: {attempts: 0}}}\n"
}

// acceptTLS waits for the gateway to connect over TLS, and greets it.
func (e *endpoint) acceptTLS(c *tls.Config) *party {
	e.t.Helper()
	p := newParty(e.t, tls.Server(e.acceptRaw(), c), false)
	p.greet(e)
	return p
}

func TestTLSOnBothSides(t *testing.T) {
	certificate, yaml := selfSigned(t)
	e := startEndpoint(t)
	g := setup{tls: certificate}.start(t, yaml, e)
	c := g.dial(window(20_000))
	r := c.request(callOf("/s/m"), false)
	s := e.acceptTLS(certificate)
	q := s.take()
	if q.head.get(":scheme") != "https" || q.head.get("x-forwarded-proto") != "https" {
		t.Errorf("the call came as %v", q.head)
	}
	want := ""
	s.beginCall(q)
	for range 20 {
		c.data(r, message("up"), false)
		want += message("up")
		s.await("a message", func() bool { return string(q.body) == want })
		s.data(q, message("down"), false)
	}
	c.data(r, "", true)
	s.whole(q)
	s.endCall(q, "0")
	c.wantStatus(r, "0")
	g.wantOutcome(0, dispatch.Completed)
	// Long bodies both ways, more than sockets hold.
	body := pattern(4 << 20)
	if raceEnabled {
		body = body[:1<<20]
	}
	r = c.request(callOf("/s/m"), false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.upload(r, body, true)
	}()
	q = s.takeWhole()
	<-done
	if string(q.body) != string(body) {
		t.Errorf("%d bytes came, or others", len(q.body))
	}
	s.beginCall(q)
	done = make(chan struct{})
	go func() {
		defer close(done)
		s.upload(q, body, false)
		s.endCall(q, "0")
	}()
	c.wantStatus(r, "0")
	<-done
	if string(r.body) != string(body) {
		t.Errorf("%d bytes came back, or others", len(r.body))
	}
	g.wantOutcome(1, dispatch.Completed)
	g.wantWholeWindows()
	// A client that leaves is noticed.
	c.request(callOf("/s/m"), true)
	q = s.takeWhole()
	c.leave()
	s.wantReset(q, errCancel)
	g.wantOutcome(2, dispatch.ClientGone)
}

func TestGracefulEndOverTLS(t *testing.T) {
	certificate, yaml := selfSigned(t)
	e := startEndpoint(t)
	g := setup{tls: certificate}.start(t, yaml, e)
	c := g.dial()
	r := c.request(callOf("/s/m"), true)
	s := e.acceptTLS(certificate)
	q := s.takeWhole()
	g.server.Drain()
	s.answerCall(q, "answer")
	c.wantStatus(r, "0")
	if err := c.gone(); err != io.EOF || len(c.goAways) != 2 {
		t.Errorf("the connection ended with %v after %v, want a clean end after two GOAWAYs", err, c.goAways)
	}
}

func TestTLSEndpointWithoutHTTP2(t *testing.T) {
	certificate, yaml := selfSigned(t)
	certificate.NextProtos = []string{"http/1.1"}
	e := startEndpoint(t)
	g := startGateway(t, yaml, e)
	c := g.dial()
	r := c.request(callOf("/s/m"), true)
	conn := tls.Server(e.acceptRaw(), certificate)
	conn.Handshake() // fails, as there is no protocol in common
	conn.Close()
	c.wantStatus(r, "14")
	if end := g.await(1)[0]; end.code != "connect_failed" {
		t.Errorf("the call ended as %+v", end)
	}
}
