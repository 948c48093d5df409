package autoscale

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestStrangersKeepNobodyOut has clients that nobody knows hold more connections than the port has room for: some say nothing, others may ask
// whether the gateway is alive and keep their connections.
func TestStrangersKeepNobodyOut(t *testing.T) {
	f := newFleet(t)
	a, b := f.start(1), f.start(2)
	a.awaitOutstanding("3")
	transport := a.transport(f.front)
	defer transport.CloseIdleConnections()
	ask := func(reused bool) {
		t.Helper()
		if got := askOver(t, a, transport); got != reused {
			t.Errorf("the API server's connection was reused: %v, want %v", got, reused)
		}
	}
	ask(false)
	for range maxKnown + 100 {
		c, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	ask(true)
	transport.CloseIdleConnections()
	ask(false)
	for range 40 {
		defer askIfAlive(t, a).Close()
	}
	ask(true)
	transport.CloseIdleConnections()
	ask(false)
	b.set(4)
	a.awaitOutstanding("5") // whose clients have connections of their own, each of them a new one
}

// transport is that of a client that keeps its connection.
func (r *replica) transport(certificate *tls.Certificate) *http.Transport {
	return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: r.ids.Load().authorities, ServerName: "penstock-autoscale.penstock.svc",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil },
	}}
}

// askOver asks what may be asked with a certificate, and reports whether that went over a connection that was there.
func askOver(t *testing.T, r *replica, transport *http.Transport) (reused bool) {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "https://"+r.Addr().String()+externalPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport, Timeout: requestTimeout / 2}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		t.Errorf("the API server is answered with %s", response.Status)
	}
	return reused
}

// askIfAlive asks without a certificate what anybody may ask, and returns the open connection.
func askIfAlive(t *testing.T, r *replica) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", r.Addr().String(), &tls.Config{RootCAs: r.ids.Load().authorities, ServerName: "penstock-autoscale.penstock.svc"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("HTTP/1.1 200 OK"))
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 200 OK" {
		t.Fatalf("got %q and %v", answer, err)
	}
	return c
}

// endless is a connection that lasts until it is closed.
type endless struct {
	net.Conn
	name   int
	closed chan<- int
}

func (c endless) Close() error {
	c.closed <- c.name
	return nil
}

func TestDoor(t *testing.T) {
	closed := make(chan int, 100)
	enter := func(d *door, names ...int) (all []*caller) {
		for _, n := range names {
			all = append(all, d.enter(endless{name: n, closed: closed}))
		}
		return all
	}
	expect := func(when string, want ...int) {
		t.Helper()
		synctest.Wait()
		var got []int
		for len(closed) > 0 {
			got = append(got, <-closed)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: closed are %v, want %v", when, got, want)
		}
	}
	for name, play := range map[string]func(*door){
		"the oldest stranger makes room": func(d *door) {
			all := enter(d, 1, 2, 3)
			all[1].recognised()
			enter(d, 4)
			expect("one was recognised, so that there is room")
			enter(d, 5, 6)
			expect("one for one", 1, 3)
			all[1].Close()
			expect("who was recognised leaves", 2)
			enter(d, 7)
			expect("which makes no room for strangers", 4)
		},
		"strangers have some time": func(d *door) {
			all := enter(d, 1, 2)
			time.Sleep(strangerTime - time.Second)
			all[0].recognised()
			enter(d, 3)
			time.Sleep(2 * time.Second)
			expect("the time is up of one that was not recognised", 2)
			all[1].recognised() // too late
			all[1].Close()
			expect("closed again, by its server", 2)
			time.Sleep(time.Hour)
			expect("who was recognised stays", 3)
		},
		"who leaves makes room": func(d *door) {
			all := enter(d, 1, 2, 3)
			all[0].Close()
			all[0].Close()
			expect("closed twice", 1, 1)
			enter(d, 4)
			expect("there is room")
		},
		"not everybody is kept": func(d *door) {
			for _, c := range enter(d, 1, 2, 3) {
				c.recognised()
			}
			time.Sleep(strangerTime + time.Second)
			expect("there is room for two", 3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed = make(chan int, 100) // of the bubble
				play(&door{maxStrangers: 3, maxKnown: 2})
			})
		})
	}
}
