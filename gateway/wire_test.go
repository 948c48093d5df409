package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
)

// rawConn opens a connection to the traffic port.
func rawConn(t testing.TB, r *running) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// exchange sends a request and reads its answer, body included.
func exchange(t testing.TB, c net.Conn, request string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, c)
}

// readAnswer reads an answer whose body is replaced by what was read of it.
func readAnswer(t testing.TB, c net.Conn) *http.Response {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer
}

// awaitConnections waits until n client connections are open.
func (r *running) awaitConnections(n int) {
	r.t.Helper()
	deadline := time.AfterFunc(patience, r.slots.changed.Broadcast)
	defer deadline.Stop()
	start := time.Now()
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	for r.slots.open != n {
		if time.Since(start) >= patience {
			r.t.Fatalf("%d connections are open, want %d", r.slots.open, n)
		}
		r.slots.changed.Wait()
	}
}

// parse reads a configuration on ports of the loopback.
func parse(t testing.TB, yaml string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(onLoopback(yaml)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
