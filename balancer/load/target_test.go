package load

import (
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

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/mock"
)

var often = Config{Engine: "vllm", Interval: time.Millisecond, Timeout: 5 * time.Second}

// endpointAt is the target at a server's address.
func endpointAt(scheme, address string) Target {
	return Target{Endpoint: balancer.NewEndpoint(address, nil), URL: scheme + "://" + address + "/metrics"}
}

// startMock runs a mock replica of an engine and returns its address.
func startMock(t *testing.T, engine string) string {
	t.Helper()
	s, err := mock.New(mock.Options{Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// Every engine that is mimicked says how many requests wait, over HTTP/1.1 and over h2c.
func TestMockReplicasAreRead(t *testing.T) {
	for _, engine := range mock.EngineNames() {
		address := startMock(t, engine)
		for _, scheme := range []string{"http", "h2c"} {
			c := often
			c.Engine = engine
			r := newRig(t, c)
			target := endpointAt(scheme, address)
			r.SetTargets([]Target{target})
			if err := r.poll(target.Endpoint); err != nil {
				t.Errorf("%s over %s: %v", engine, scheme, err)
				continue
			}
			s := target.Endpoint.Signals()
			if !s.Waiting.Known() || !s.Running.Known() || s.KVCache.Known() == (engine == "tgi") {
				t.Errorf("%s over %s: got %+v", engine, scheme, s)
			}
			if engine == "vllm" && (s.BlockSize.Value == 0 || s.Blocks.Value == 0 || s.Adapters == nil) {
				t.Errorf("%s over %s: got %+v", engine, scheme, s)
			}
		}
	}
}

// served is a server that counts connections, and its address.
func served(t *testing.T, start func(*httptest.Server), h http.HandlerFunc) (s *httptest.Server, address string, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	s = httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	start(s)
	t.Cleanup(s.Close)
	return s, s.Listener.Addr().String(), connections
}

func vllmPage(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "vllm:num_requests_waiting 3\n") }

func TestConnectionIsKept(t *testing.T) {
	for _, scheme := range []string{"http", "h2c"} {
		_, address, connections := served(t, func(s *httptest.Server) {
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetHTTP1(true)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Start()
		}, func(w http.ResponseWriter, r *http.Request) {
			if got := r.ProtoMajor == 2; got != (scheme == "h2c") {
				t.Errorf("%s: polled by %s", scheme, r.Proto)
			}
			if r.UserAgent() != userAgent || !strings.HasPrefix(r.Header.Get("Accept"), "text/plain") || r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("the request's head is %v", r.Header)
			}
			vllmPage(w, r)
		})
		r := newRig(t, often)
		target := endpointAt(scheme, address)
		r.SetTargets([]Target{target})
		for range 20 {
			if err := r.poll(target.Endpoint); err != nil {
				t.Fatal(err)
			}
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%s: 20 polls took %d connections, want one", scheme, n)
		}
	}
}

func TestOverTLS(t *testing.T) {
	s, address, connections := served(t, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
	}, vllmPage)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	target := endpointAt("https", address)
	target.TLS = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	r := newRig(t, often)
	r.SetTargets([]Target{target})
	for range 3 {
		if err := r.poll(target.Endpoint); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("3 polls took %d connections, want one", n)
	}
	stranger := endpointAt("https", address)
	stranger.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "example.com"}
	r.SetTargets([]Target{stranger})
	if err := r.poll(stranger.Endpoint); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
}

func TestPollsThatFail(t *testing.T) {
	for _, test := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"not found", http.NotFound, "URL answered 404 Not Found, want 200"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
			"URL answered 302 Found, want 200"},
		{"another engine's page", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "sglang:num_queue_reqs 1\n") },
			"URL has no metrics of vllm: want vllm:num_requests_waiting, vllm:num_requests_running, vllm:kv_cache_usage_perc, vllm:gpu_cache_usage_perc"},
		{"an endless page", func(w http.ResponseWriter, r *http.Request) {
			line := []byte("vllm:num_requests_waiting 1\n" + strings.Repeat("#", 32<<10))
			for r.Context().Err() == nil {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}, "cannot read URL: the page has more than 4 MiB"},
		{"a page that breaks off", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			vllmPage(w, r)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "cannot read URL: unexpected EOF"},
	} {
		_, address, _ := served(t, (*httptest.Server).Start, test.h)
		r := newRig(t, often)
		target := endpointAt("http", address)
		r.SetTargets([]Target{target})
		err := r.poll(target.Endpoint)
		if got := strings.ReplaceAll(fmt.Sprint(err), target.URL, "URL"); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
		if s := target.Endpoint.Signals(); s.Waiting.Known() || s.Failure != fmt.Sprint(err) {
			t.Errorf("%s: the endpoint's signals are %+v", test.name, s)
		}
	}
}

func TestSilentEndpointTimesOut(t *testing.T) {
	_, address, _ := served(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := often
	c.Timeout = 10 * time.Millisecond
	r := newRig(t, c)
	target := endpointAt("http", address)
	r.SetTargets([]Target{target})
	want := "cannot get " + target.URL + " within 10ms: context deadline exceeded"
	if err := r.poll(target.Endpoint); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// An endpoint that leaves is not connected to any more, even while it holds a poll up.
func TestConnectionIsClosedWithItsTarget(t *testing.T) {
	arrived, left := make(chan struct{}, 1), make(chan struct{}, 1)
	_, address, _ := served(t, (*httptest.Server).Start, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	})
	r := newRig(t, often)
	r.SetTargets([]Target{endpointAt("http", address)})
	<-arrived
	r.SetTargets(nil)
	select {
	case <-left:
	case <-time.After(patience):
		t.Error("the poll of a target that has gone goes on")
	}
}

func TestMalformedURL(t *testing.T) {
	r := newRig(t, often)
	target := Target{Endpoint: balancer.NewEndpoint("a:1", nil), URL: "http://a b/"}
	r.SetTargets([]Target{target})
	if err := r.poll(target.Endpoint); err == nil || !strings.HasPrefix(err.Error(), "cannot poll a:1: ") {
		t.Errorf("got %v", err)
	}
}
