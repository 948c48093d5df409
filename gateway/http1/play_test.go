package http1

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// What tests play on raw connections, beside what peer and backend do by themselves.

// start serves the configuration with one backend, and connects a client.
func start(t testing.TB, yaml string) (*backend, *gateway, *peer) {
	t.Helper()
	b := startBackend(t)
	g := startGateway(t, yaml, b)
	return b, g, g.dial()
}

func (p *peer) close() { p.conn.Close() }

// reset closes the connection with a reset.
func (p *peer) reset() {
	p.conn.(*net.TCPConn).SetLinger(0)
	p.conn.Close()
}

// closeWrite half-closes the connection.
func (p *peer) closeWrite() {
	p.t.Helper()
	if err := closeWrite(p.conn); err != nil {
		p.t.Fatal(err)
	}
}

// rest reads to the end of the connection; a clean end is a nil error.
func (p *peer) rest() (string, error) {
	got, err := io.ReadAll(p.r)
	return string(got), err
}

// gone waits until the peer's connection has ended, whatever comes before, and says when.
func (p *peer) gone() time.Time {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.r); err != nil && strings.Contains(err.Error(), "i/o timeout") {
		p.t.Fatal("the connection stays open")
	}
	return time.Now()
}

// idle fails if the gateway has opened a connection that the test did not accept.
func (b *backend) idle() {
	b.t.Helper()
	select {
	case p := <-b.conns:
		p.close()
		b.t.Error("the gateway connected to a backend that was to hear nothing")
	default:
	}
}

// eventually waits for a state that nobody announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// wantEnded waits for the exchange at index i and checks how it ended.
func (g *gateway) wantEnded(i int, outcome dispatch.Outcome, status int) ended {
	g.t.Helper()
	e := g.await(i + 1)[i]
	if e.outcome != outcome || e.status != status {
		g.t.Errorf("exchange %d ended as %v with status %d, want %v with %d", i, e.outcome, e.status, outcome, status)
	}
	return e
}

// wantHeader fails unless head has exactly these lines that start with name.
func wantHeader(t testing.TB, head, name string, want ...string) {
	t.Helper()
	got := headerLines(head, name)
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s came as %q, want %q", name, got, want)
	}
}

// chunk frames data as one chunk.
func chunk(data string) string {
	return string(appendChunkSize(nil, len(data))) + data + "\r\n"
}

const (
	chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
	uploadHead  = "POST /v1/x HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"
	getRequest  = "GET /x HTTP/1.1\r\nHost: gateway\r\n\r\n"
)
