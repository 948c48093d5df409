package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// withTLS is a tls section with certificates and whatever else it is to have.
func withTLS(a *authority, t *testing.T, more string, names ...string) string {
	t.Helper()
	var pairs []string
	for _, n := range names {
		c := a.files(t, n, n, "127.0.0.1")
		pairs = append(pairs, fmt.Sprintf("{certFile: %s, keyFile: %s}", c.CertFile, c.KeyFile))
	}
	return fmt.Sprintf("tls: {certificates: [%s]%s}\n", strings.Join(pairs, ", "), more)
}

// subject returns the subject of the certificate that the gateway shows a client that asks for name.
func (r *running) subject(client *tls.Config, name string) string {
	r.t.Helper()
	c := client.Clone()
	c.ServerName = name
	conn, err := tls.Dial("tcp", r.Addr().String(), c)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func httpsClient(t *testing.T, c *tls.Config) *http.Client {
	transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestHTTPSIsServed(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, "", "a.test", "b.test"))
	client := httpsClient(t, &tls.Config{RootCAs: ca.pool()})
	for range 2 { // the second time on the same connection
		response, err := client.Get("https://" + r.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != "hello" || response.TLS.NegotiatedProtocol != "h2" {
			t.Errorf("got %q over %q", body, response.TLS.NegotiatedProtocol)
		}
	}
	if n := r.metric(`penstock_tls_handshakes_total{result="success"}`); n != "1" {
		t.Errorf("%s handshakes were counted, want 1", n)
	}
	for name, want := range map[string]string{"a.test": "a.test", "b.test": "b.test"} {
		if got := r.subject(&tls.Config{RootCAs: ca.pool()}, name); got != want {
			t.Errorf("a client that asks for %s gets %s", name, got)
		}
	}
}

func TestRenewedCertificateIsServedAndABadOneIsNot(t *testing.T) {
	ca := newAuthority(t, "ca")
	pair := ca.files(t, "old", "a.test")
	r := start(t, pool(answering(t, "hello"))+fmt.Sprintf("tls: {certificates: [{certFile: %s, keyFile: %s}]}\n", pair.CertFile, pair.KeyFile))
	client := &tls.Config{RootCAs: ca.pool()}
	if got := r.subject(client, "a.test"); got != "old" {
		t.Fatalf("at first a client gets %s", got)
	}
	writeFile(t, pair.CertFile, []byte("broken"))
	r.logs.await(t, "cannot use changed certificates: the old ones stay in use", 1)
	if got := r.subject(client, "a.test"); got != "old" {
		t.Errorf("with a broken file a client gets %s", got)
	}
	before := r.logs.count("certificates read again")
	ca.replace(t, pair, "new", "a.test")
	r.logs.await(t, "certificates read again", before+1)
	if got := r.subject(client, "a.test"); got != "new" {
		t.Errorf("after the renewal a client gets %s", got)
	}
}

func TestClientCertificateIsAskedFor(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	file := filepath.Join(t.TempDir(), "clients.crt")
	writeFile(t, file, ca.pem)
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, ", clientCA: "+file, "a.test"))
	url := "https://" + r.Addr().String() + "/"
	for _, c := range []struct {
		who          string
		certificates []tls.Certificate
		ok           bool
	}{
		{"a client of the authority", []tls.Certificate{ca.clientCertificate(t, "client")}, true},
		{"a client of another one", []tls.Certificate{other.clientCertificate(t, "client")}, false},
		{"a client without a certificate", nil, false},
	} {
		response, err := httpsClient(t, &tls.Config{RootCAs: ca.pool(), Certificates: c.certificates}).Get(url)
		if err == nil {
			response.Body.Close()
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.who, err)
		}
	}
	r.logs.await(t, "cannot agree on TLS", 2)
	if n := r.metric(`penstock_tls_handshakes_total{result="failure"}`); n != "2" {
		t.Errorf("%s failed handshakes were counted, want 2", n)
	}
}

func TestPlaintextOnATLSPortIsRefusedInWords(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, "", "a.test"))
	status, body := fetch(t, http.DefaultClient, r.url("/"))
	if status != 400 || !strings.Contains(body, "https://") || !strings.Contains(body, `"code":"tls_required"`) {
		t.Errorf("got %d %q", status, body)
	}
}

func TestPlaintextBesideTLSWhereAllowed(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, ", allowPlaintext: true", "a.test"))
	r.expectSaid("without TLS", "200 hello")
	status, body := fetch(t, httpsClient(t, &tls.Config{RootCAs: ca.pool()}), "https://"+r.Addr().String()+"/")
	if status != 200 || body != "hello" {
		t.Errorf("with TLS: got %d %q", status, body)
	}
}

// One port takes HTTP/1.1 and HTTP/2, in the clear by the preface and with TLS by what is agreed in the handshake.
func TestOnePortSpeaksBothVersions(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, ", allowPlaintext: true", "a.test"))
	for _, test := range []struct {
		name, scheme, want string
		set                func(*http.Protocols)
	}{
		{"HTTP/1.1", "http", "HTTP/1.1", func(p *http.Protocols) { p.SetHTTP1(true) }},
		{"HTTP/2 by its preface", "http", "HTTP/2.0", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
		{"HTTP/1.1 over TLS", "https", "HTTP/1.1", func(p *http.Protocols) { p.SetHTTP1(true) }},
		{"HTTP/2 over TLS", "https", "HTTP/2.0", func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }},
	} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool(), ServerName: "a.test"}, Protocols: new(http.Protocols)}
		test.set(transport.Protocols)
		answer, err := (&http.Client{Transport: transport}).Get(test.scheme + "://" + r.Addr().String() + "/")
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		transport.CloseIdleConnections()
		if err != nil || string(body) != "hello" || answer.Proto != test.want {
			t.Errorf("%s: got %s %q, %v; want %s", test.name, answer.Proto, body, err, test.want)
		}
	}
}

func TestSilentClientsAreCut(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, "", "a.test")+"timeouts: {requestHead: 20ms}\n")
	silent, half := rawConn(t, r), rawConn(t, r)
	half.Write([]byte{recordTypeHandshake, 3, 1})
	for who, c := range map[string]net.Conn{"says nothing": silent, "stops within its handshake": half} {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a client that %s read %v, want the connection's end", who, err)
		}
	}
}

func TestHandshakesDoNotHoldUpTheEnd(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := start(t, pool(answering(t, "hello"))+withTLS(ca, t, "", "a.test")+"timeouts: {requestHead: 0s}\n")
	rawConn(t, r)
	r.awaitConnections(1)
	r.signals <- syscall.SIGTERM
	r.timer().end()
	r.timer().end()
	if err := r.wait(); err != nil {
		t.Errorf("Run returned %v: no request was cut", err)
	}
}
