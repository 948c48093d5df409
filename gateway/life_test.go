package gateway

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// streaming is a model server that sends a first event, and the last one when it is let go on.
func streaming(t testing.TB) (address string, goOn chan struct{}) {
	goOn = make(chan struct{})
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path != "/stream" {
			io.WriteString(w, "short")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-goOn:
			io.WriteString(w, "data: last\n\n")
		case <-r.Context().Done():
		}
	}), goOn
}

// openStream begins a stream and returns its response after the first event.
func openStream(t testing.TB, r *running) (*http.Response, *bufio.Reader) {
	t.Helper()
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: false}}).Post(r.url("/stream"), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewReader(response.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: first\n" {
		t.Fatalf("the stream began with %q (%v)", line, err)
	}
	return response, lines
}

func TestTermLetsAStreamFinish(t *testing.T) {
	address, goOn := streaming(t)
	r := start(t, pool(address)+"shutdown: {lameDuck: 7s, drain: 1m}\n")
	if status, body := r.admin("/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("while serving /readyz says %d %q", status, body)
	}
	response, lines := openStream(t, r)
	if response.Close {
		t.Error("before the signal an answer says Connection: close")
	}
	idle := rawConn(t, r)
	exchange(t, idle, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n")

	r.signals <- syscall.SIGTERM
	lameDuck := r.timer()
	if lameDuck.most != 7*time.Second {
		t.Errorf("the lame duck lasts %v", lameDuck.most)
	}
	if status, body := r.admin("/readyz"); status != 503 || body != "draining\n" {
		t.Errorf("in the lame duck /readyz says %d %q", status, body)
	}
	if status, _ := r.admin("/healthz"); status != 200 {
		t.Errorf("in the lame duck /healthz says %d", status)
	}
	late := rawConn(t, r)
	if answer := exchange(t, late, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n"); !answer.Close || answer.StatusCode != 200 {
		t.Errorf("in the lame duck a new connection got status %d, Connection: close %v", answer.StatusCode, answer.Close)
	}
	if answer := exchange(t, idle, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n"); !answer.Close {
		t.Error("in the lame duck an answer on an old connection does not say Connection: close")
	}
	unused := rawConn(t, r)
	r.awaitConnections(2) // the stream and the unused one; the others were closed by their answers

	lameDuck.end()
	drain := r.timer()
	if drain.most != time.Minute {
		t.Errorf("the drain lasts %v", drain.most)
	}
	if _, err := unused.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an idle connection read %v at the drain, want its end", err)
	}
	if !isRefused(t, r.Addr().String()) {
		t.Error("in the drain a new connection is taken")
	}
	close(goOn)
	rest, err := io.ReadAll(lines)
	if err != nil || string(rest) != "\ndata: last\n\n" {
		t.Errorf("the stream ended with %q (%v)", rest, err)
	}
	if err := r.wait(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	if n := len(r.access.lines); n != 4 {
		t.Errorf("%d access-log lines were written by the end of 4 requests", n)
	}
	for _, step := range []string{"stopping: readiness is off", "no more connections are accepted", "every request has finished took=", "stopped cut=0"} {
		if r.logs.count(step) != 1 {
			t.Errorf("the log has no step %q", step)
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	for _, phase := range []string{"lame duck", "drain"} {
		t.Run(phase, func(t *testing.T) {
			address, _ := streaming(t)
			r := start(t, pool(address))
			_, lines := openStream(t, r)
			r.signals <- syscall.SIGTERM
			timer := r.timer()
			if phase == "drain" {
				timer.end()
				r.timer()
			}
			r.signals <- syscall.SIGHUP // is no stop
			r.signals <- os.Interrupt
			if err := r.wait(); !errors.Is(err, ErrCut) {
				t.Errorf("Run returned %v, want ErrCut", err)
			}
			if line := r.logs.await(t, "second signal: ending at once", 1); !strings.Contains(line, "active=1") {
				t.Errorf("logged %q, want the number of requests that were cut", line)
			}
			if _, err := io.ReadAll(lines); err == nil {
				t.Error("the stream that was cut ended as if it were complete")
			}
		})
	}
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	address, _ := streaming(t)
	r := start(t, pool(address))
	_, lines := openStream(t, r)
	r.signals <- syscall.SIGTERM
	r.timer().end()
	r.timer().end()
	if err := r.wait(); !errors.Is(err, ErrCut) {
		t.Errorf("Run returned %v, want ErrCut", err)
	}
	r.logs.await(t, "cutting the requests that did not finish in time active=1", 1)
	if _, err := io.ReadAll(lines); err == nil {
		t.Error("the stream that was cut ended as if it were complete")
	}
}

func TestIdleGatewayEndsCleanly(t *testing.T) {
	r := start(t, pool(answering(t, "hello")))
	rawConn(t, r)
	r.signals <- syscall.SIGTERM
	r.timer().end()
	if err := r.wait(); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestConnectionsBeyondTheCapWait(t *testing.T) {
	r := start(t, pool(answering(t, "hello"))+"limits: {connections: 2}\n")
	first, second := rawConn(t, r), rawConn(t, r)
	for _, c := range []net.Conn{first, second} {
		exchange(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	third := rawConn(t, r) // the kernel completes it; it waits in the backlog
	io.WriteString(third, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	exchange(t, first, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if n := r.slots.count(); n != 2 {
		t.Errorf("%d connections are open at a cap of 2", n)
	}
	first.Close()
	if answer := readAnswer(t, third); answer.StatusCode != 200 {
		t.Errorf("the connection that waited got status %d", answer.StatusCode)
	}
}

func TestPortsThatAreTaken(t *testing.T) {
	taken, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, port := range []string{"traffic", "admin"} {
		c := parse(t, pool("127.0.0.1:1"))
		if port == "traffic" {
			c.Listen = taken.Addr().String()
		} else {
			c.Admin = taken.Addr().String()
		}
		g, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = g.Run(t.Context())
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "cannot open the "+port+" port") {
			t.Errorf("Run returned %v", err)
		}
	}
}
