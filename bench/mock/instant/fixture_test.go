package instant

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/bench/mock/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

func newServer() *Server {
	return &Server{
		Life: new(lifecycle.Life), Replica: "replica-1", Model: "llama-3-8b", Models: []string{"llama-3-8b"}, MaxTokens: 64, MaxBodyBytes: 1 << 20,
		Page: func(path string) (int, string, []byte) {
			if path == "/health" {
				return http.StatusOK, "text/plain", nil
			}
			return http.StatusNotFound, "text/plain", []byte("no " + path)
		},
	}
}

// start serves until the test's end.
func start(t testing.TB) (s *Server, address string) {
	t.Helper()
	s = newServer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; err == nil {
			t.Error("Serve ended without an error")
		}
		s.Close()
	})
	return s, l.Addr().String()
}

// wire is a raw connection.
type wire struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, address string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &wire{TCPConn: c.(*net.TCPConn), t: t, r: bufio.NewReader(c)}
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatal(err)
	}
}

// response reads one response and its body.
func (w *wire) response() (*http.Response, string) {
	w.t.Helper()
	r, err := http.ReadResponse(w.r, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return r, string(b)
}

func post(path, headers, body string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: mock\r\n" + headers + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}
