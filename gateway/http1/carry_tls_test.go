package http1

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

func startSecureUpstream(t *testing.T, b *backend) (*Upstream, *tls.Config) {
	t.Helper()
	certificate, _ := selfSigned(t)
	leaf, err := x509.ParseCertificate(certificate.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	server := startUpstream(t, b).srv
	return server.NewUpstream(dispatch.EndpointConfig{
		Address: b.addr, IdleConnections: 8, TLS: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"},
	}), certificate
}

func TestCarryOverTLS(t *testing.T) {
	b := startBackend(t)
	up, certificate := startSecureUpstream(t, b)
	long := strings.Repeat("x", 60_000)
	k := bridgetest.Carry(t, up, postOf(int64(len(long)), true), bridgetest.NewClient(t, long))
	s := overTLS(b.accept(), certificate)
	if _, body := s.request(); body != long {
		t.Errorf("%d bytes came, want %d", len(body), len(long))
	}
	s.send(plain(200, "ok"))
	k.Ended(dispatch.Completed, false)
	c := bridgetest.NewClient(t, "")
	k = bridgetest.Carry(t, up, get("/next"), c)
	s.head()
	s.send(chunkedHead + chunk("token") + "0\r\n\r\n")
	k.Ended(dispatch.Completed, false)
	if c.Text() != "token" {
		t.Errorf("got %q", c.Text())
	}
	// The end of a call is noticed within a TLS read, too.
	k = bridgetest.Carry(t, up, get("/abort"), bridgetest.NewClient(t, ""))
	s.head()
	k.Cancel()
	s.gone()
	k.Ended(dispatch.ClientGone, false)
}

func TestCarryOverTLSTakesAnEndWithoutCloseNotifyForATruncation(t *testing.T) {
	for _, notify := range []bool{true, false} {
		b := startBackend(t)
		up, certificate := startSecureUpstream(t, b)
		c := bridgetest.NewClient(t, "")
		k := bridgetest.Carry(t, up, get("/x"), c)
		raw := b.accept()
		s := overTLS(raw, certificate)
		s.head()
		s.send("HTTP/1.1 200 OK\r\n\r\nhello")
		c.AwaitText("hello")
		want := dispatch.UpstreamBroken
		if notify {
			s.close()
			want = dispatch.Completed
		} else {
			raw.close()
		}
		k.Ended(want, false)
		if c.Complete != notify {
			t.Errorf("complete is %v, with close_notify %v", c.Complete, notify)
		}
	}
}
