package http1

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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// selfSigned makes a certificate for 127.0.0.1 and a configuration that trusts it.
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
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{certificate}},
		"pools: {only: {endpoints: [\"https://BACKEND\"], tls: {ca: " + file + "}}}\n"
}

// overTLS speaks TLS on a connection that the gateway opened.
func overTLS(p *peer, c *tls.Config) *peer { return newPeer(p.t, tls.Server(p.conn, c)) }

func TestTLSToTheEndpoint(t *testing.T) {
	certificate, yaml := selfSigned(t)
	b, g, c := start(t, yaml)
	c.send(post("/x", "{}"))
	s := overTLS(b.accept(), certificate)
	s.request()
	s.send(chunkedHead)
	c.head()
	for range 10 {
		s.send(chunk("token"))
		c.expect(chunk("token"))
	}
	s.send("0\r\n\r\n")
	c.expect("0\r\n\r\n")
	// The connection is used again, for a request that is longer than sockets hold.
	long := strings.Repeat("x", 60_000)
	go c.send(post("/y", long))
	if _, body := s.request(); body != long {
		t.Errorf("%d bytes came, want %d", len(body), len(long))
	}
	go s.send(plain(200, strings.Repeat(long, 20)))
	if _, body := c.response("POST"); len(body) != 20*len(long) {
		t.Errorf("%d bytes came back, want %d", len(body), 20*len(long))
	}
	// A client that leaves is noticed.
	c.send(getRequest)
	s.head()
	c.close()
	s.gone()
	g.wantEnded(2, dispatch.ClientGone, 499)
}

func TestUploadOverTLS(t *testing.T) {
	certificate, yaml := selfSigned(t)
	b, _, c := start(t, yaml)
	c.send(uploadHead + chunk("one"))
	s := overTLS(b.accept(), certificate)
	s.head()
	s.expect(chunk("one"))
	c.send(chunk("two") + "0\r\n\r\n")
	s.expect(chunk("two") + "0\r\n\r\n")
	s.send(plain(200, "ok"))
	c.response("POST")
}

func TestStaleTLSConnectionIsRetried(t *testing.T) {
	certificate, yaml := selfSigned(t)
	b, g, c := start(t, yaml)
	c.send(getRequest)
	s := overTLS(b.accept(), certificate)
	s.head()
	s.send(plain(200, "ok"))
	c.response("GET")
	c.send(post("/x", "{}"))
	s.request()
	s.close()
	s = overTLS(b.accept(), certificate)
	s.request()
	s.send(plain(200, "ok"))
	c.response("POST")
	if e := g.wantEnded(1, dispatch.Completed, 200); e.attempts != 2 {
		t.Errorf("%d attempts, want 2", e.attempts)
	}
}

func TestUntrustedCertificateIsAConnectFailure(t *testing.T) {
	_, yaml := selfSigned(t)
	other, _ := selfSigned(t)
	b, g, c := start(t, strings.Replace(yaml, "tls:", "retry: {attempts: 0}, tls:", 1))
	c.send(getRequest)
	s := overTLS(b.accept(), other)
	if _, err := s.r.ReadByte(); err == nil {
		t.Error("the gateway spoke to a stranger")
	}
	if res, body := c.response("GET"); res.StatusCode != 502 || !strings.Contains(body, "connect_failed") {
		t.Errorf("got %d %s, want 502 connect_failed", res.StatusCode, body)
	}
	g.wantEnded(0, dispatch.Refused, 502)
}

func TestBodyThatEndsWithATLSConnection(t *testing.T) {
	for _, test := range []struct {
		name    string
		end     func(*peer)
		outcome dispatch.Outcome
	}{
		{"with close_notify", func(s *peer) { s.closeWrite() }, dispatch.Completed},
		// Anybody on the way could have sent that FIN (RFC 9112, section 9.8).
		{"without close_notify", func(s *peer) { s.conn.(*tls.Conn).NetConn().Close() }, dispatch.UpstreamBroken},
	} {
		t.Run(test.name, func(t *testing.T) {
			certificate, yaml := selfSigned(t)
			b, g, c := start(t, yaml)
			c.send(getRequest)
			s := overTLS(b.accept(), certificate)
			s.head()
			s.send("HTTP/1.1 200 OK\r\n\r\nhello")
			res, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			test.end(s)
			if _, err := io.ReadAll(res.Body); (err == nil) != (test.outcome == dispatch.Completed) {
				t.Errorf("the client's response ended with %v", err)
			}
			g.wantEnded(0, test.outcome, 200)
		})
	}
}
