package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// probeOnce probes a URL over the network once.
func probeOnce(t *testing.T, url string, config *tls.Config, c ProbeConfig) error {
	t.Helper()
	p := NewProber(c, Transports(config), nil)
	defer p.Close()
	return p.get(context.Background(), Target{Name: "x", URL: url})
}

var patient = ProbeConfig{Path: "/health?full=1", Interval: time.Second, Timeout: 10 * time.Second}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestProbeRequest(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer s.Close()
	if err := probeOnce(t, s.URL, nil, patient); err != nil {
		t.Fatal(err)
	}
	if got.Method != "GET" || got.RequestURI != "/health?full=1" || got.UserAgent() != "penstock-probe" || !got.Close {
		t.Errorf("the probe was %s %s by %q, close %v", got.Method, got.RequestURI, got.UserAgent(), got.Close)
	}
	if got.Header.Get("Accept-Encoding") != "" {
		t.Error("the probe asked for a compressed answer")
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	mux := http.NewServeMux()
	mux.Handle("/health", http.RedirectHandler("/elsewhere", http.StatusFound))
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	s := httptest.NewServer(mux)
	defer s.Close()
	wantError(t, probeOnce(t, s.URL, nil, patient), s.URL+"/health?full=1 answered 302 Found, want 200 to 299")
	if followed.Load() {
		t.Error("the redirect was followed")
	}
}

// An endless body is read to the bound only.
func TestBodyIsBounded(t *testing.T) {
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		chunk := make([]byte, 8<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	if err := probeOnce(t, s.URL, nil, patient); err != nil {
		t.Error(err)
	}
	<-ended
}

func TestBodyThatHangs(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("beginning"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	c := patient
	c.Timeout = 500 * time.Millisecond
	wantError(t, probeOnce(t, s.URL, nil, c), "cannot read the response of "+s.URL, "within 500ms", "deadline exceeded")
}

func TestBodyThatIsCut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("beginning"))
	}))
	defer s.Close()
	wantError(t, probeOnce(t, s.URL, nil, patient), "cannot read the response of "+s.URL, "unexpected EOF")
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	wantError(t, probeOnce(t, "http://"+l.Addr().String(), nil, patient), "cannot get http://127.0.0.1:", "connection refused")
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
		}
	}))
	s.Config.ErrorLog = discard()
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if err := probeOnce(t, s.URL, &tls.Config{RootCAs: roots, ServerName: "example.com"}, patient); err != nil {
		t.Error(err)
	}
	wantError(t, probeOnce(t, s.URL, nil, patient), "cannot get https://", "certificate")
}

func TestH2C(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Proto)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true) // and nothing else
	s.Start()
	defer s.Close()
	if err := probeOnce(t, "h2c://"+s.Listener.Addr().String(), nil, patient); err != nil {
		t.Error(err)
	}
	if err := probeOnce(t, s.URL, nil, patient); err == nil {
		t.Error("HTTP/1.1 was answered: the server proves nothing")
	}
}

func TestBadURLs(t *testing.T) {
	for url, want := range map[string]string{
		"10.0.0.1:8000":     `cannot probe x`,
		"ftp://10.0.0.1:21": `cannot probe x: its URL "ftp://10.0.0.1:21" must begin with http://, https:// or h2c://`,
		"http://":           `cannot probe x: its URL "http://" has no host`,
		"http://%zz":        "cannot probe x: ",
		"":                  "must begin with",
	} {
		wantError(t, probeOnce(t, url, nil, patient), want)
	}
	c := patient
	c.Path = "/\x00"
	wantError(t, probeOnce(t, "http://10.0.0.1:8000", nil, c), "cannot make a probe for http://10.0.0.1:8000/")
}

// A whole life over the network: targets of several schemes, then Close; nothing may be left running.
func TestProberOverTheNetwork(t *testing.T) {
	var up atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	type told struct {
		target  string
		healthy bool
	}
	reports := make(chan told, 100)
	c := ProbeConfig{Path: "/", Interval: 5 * time.Millisecond, Timeout: 10 * time.Second}
	p := NewProber(c, Transports(nil), func(target string, healthy bool, _ error) { reports <- told{target, healthy} })
	p.SetTargets([]Target{{Name: "plain", URL: s.URL}})
	if got := <-reports; got != (told{"plain", false}) {
		t.Errorf("told %+v first", got)
	}
	up.Store(true)
	if got := <-reports; got != (told{"plain", true}) {
		t.Errorf("told %+v then", got)
	}
	p.Close()
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
