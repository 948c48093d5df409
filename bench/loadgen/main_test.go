package loadgen

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// every is a trace of n short requests at equal intervals.
func every(interval time.Duration, n int) *trace.Trace {
	t := &trace.Trace{Name: "test", BlockTokens: 16}
	for i := range n {
		t.Requests = append(t.Requests, trace.Request{At: time.Duration(i) * interval, PromptTokens: 20, OutputTokens: 3})
	}
	return t
}

// events is a stream of server-sent events with the data.
func events(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		fmt.Fprintf(&b, "data: %s\n\n", d)
	}
	return b.String()
}

// Events of a chat.
const (
	roleEvent  = `{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`
	textEvent  = `{"choices":[{"index":0,"delta":{"content":"Say \"content\": now"},"finish_reason":null}]}`
	usageEvent = `{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27,"prompt_tokens_details":{"cached_tokens":16}}}`
	doneEvent  = `[DONE]`
)

// serve serves a handler until the test ends.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// answerStream answers with a stream.
func answerStream(w http.ResponseWriter, stream string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	io.WriteString(w, stream)
}

// serveRaw answers each connection's first request by a function, which is called when the request was read.
func serveRaw(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			readRequest(c)
			answer(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return "http://" + l.Addr().String()
}

// readRequest reads until a body of JSON has ended.
func readRequest(c net.Conn) {
	var all []byte
	b := make([]byte, 64<<10)
	for !strings.HasSuffix(string(all), "}") {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		all = append(all, b[:n]...)
	}
}

func mustRun(t *testing.T, ctx context.Context, tr *trace.Trace, o Options) *report.Measurement {
	t.Helper()
	m, err := Run(ctx, tr, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reset ends a connection as a crash would.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}
