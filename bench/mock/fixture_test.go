package mock

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come at once.
const patience = 10 * time.Second

// ending is the end of a request, as the server counts it.
type ending struct {
	endpoint string
	outcome  outcome
}

// fixture is a replica on a port of its own, and a client.
type fixture struct {
	*Server
	t       *testing.T
	client  *http.Client
	endings chan ending
}

// start runs a replica, a hundred times as fast as a GPU unless the options say otherwise, until the test's end.
func start(t *testing.T, o Options) *fixture {
	t.Helper()
	if o.Speed == 0 {
		o.Speed = 100
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Server: s, t: t, endings: make(chan ending, 1000)}
	s.ended = func(endpoint string, o outcome) { f.endings <- ending{endpoint, o} }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(l); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	f.client = &http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
	})
	return f
}

// do sends a request and reads its answer.
func (f *fixture) do(method, path, body string) (status int, header http.Header, answer string) {
	f.t.Helper()
	r, err := http.NewRequest(method, "http://"+f.Addr()+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	w, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return w.StatusCode, w.Header, string(b)
}

// post expects 200 and decodes the answer.
func (f *fixture) post(path, body string, into any) {
	f.t.Helper()
	status, _, answer := f.do("POST", path, body)
	if status != http.StatusOK {
		f.t.Fatalf("POST %s: status %d: %s", path, status, answer)
	}
	decode(f.t, answer, into)
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("cannot decode %q: %v", text, err)
	}
}

// faults sets faults over HTTP.
func (f *fixture) faults(list string) {
	f.t.Helper()
	f.post("/mock/faults", `{"faults":[`+list+`]}`, new(faultList))
}

// ending waits for the end of a request.
func (f *fixture) ending() ending {
	f.t.Helper()
	select {
	case e := <-f.endings:
		return e
	case <-time.After(patience):
		f.t.Fatal("no request ended")
		return ending{}
	}
}

// wire is a client without an HTTP library, which sees resets and ends as they are.
type wire struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func (f *fixture) dial() *wire {
	f.t.Helper()
	c, err := net.Dial("tcp", f.Addr())
	if err != nil {
		f.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	f.t.Cleanup(func() { c.Close() })
	return &wire{TCPConn: c.(*net.TCPConn), t: f.t, r: bufio.NewReader(c)}
}

// request sends a POST.
func (w *wire) request(path, body string) {
	w.t.Helper()
	text := "POST " + path + " HTTP/1.1\r\nHost: mock\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	if _, err := w.Write([]byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// rest reads until the connection's end; the error is nil for FIN.
func (w *wire) rest() (string, error) {
	b, err := io.ReadAll(w.r)
	return string(b), err
}

// until reads up to and with the text.
func (w *wire) until(text string) string {
	w.t.Helper()
	var b []byte
	for !strings.HasSuffix(string(b), text) {
		c, err := w.r.ReadByte()
		if err != nil {
			w.t.Fatalf("waited for %q, got %q: %v", text, b, err)
		}
		b = append(b, c)
	}
	return string(b)
}

const (
	chatPath = "/v1/chat/completions"
	hello    = `{"model":"llama-3-8b","messages":[{"role":"user","content":"Hello there"}],"max_tokens":8}`
	stream8  = `{"model":"llama-3-8b","messages":[{"role":"user","content":"Hello there"}],"max_tokens":8,"stream":true}`
)
