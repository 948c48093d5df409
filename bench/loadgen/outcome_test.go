package loadgen

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/report"
)

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const rawHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

// chunk is text as a chunk of a body.
func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

func TestOutcomes(t *testing.T) {
	closedPort, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort.Close()
	good := events(roleEvent, textEvent, usageEvent, doneEvent)
	for name, c := range map[string]struct {
		url  string
		want string
	}{
		"good": {serve(t, func(w http.ResponseWriter, _ *http.Request) { answerStream(w, good) }), "ok"},
		"no end of the last line": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			answerStream(w, strings.TrimRight(good, "\n"))
		}), "ok"},
		"status":            {serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "full", http.StatusTooManyRequests) }), "status-429"},
		"created is not OK": {serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }), "status-201"},
		"nobody listens":    {"http://" + closedPort.Addr().String(), "connect"},
		"no [DONE]":         {serve(t, func(w http.ResponseWriter, _ *http.Request) { answerStream(w, events(textEvent, usageEvent)) }), "truncated"},
		"half a [DONE]":     {serve(t, func(w http.ResponseWriter, _ *http.Request) { answerStream(w, events(textEvent)+"data: [DO") }), "truncated"},
		"text of [DONE]": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			answerStream(w, events(`{"choices":[{"delta":{"content":"data: [DONE]"}}]}`))
		}), "truncated"},
		"cut within a chunk": {serveRaw(t, func(c net.Conn) { io.WriteString(c, rawHead+chunk(events(textEvent))+"ff\r\ndata: {") }), "truncated"},
		"cut between chunks": {serveRaw(t, func(c net.Conn) { io.WriteString(c, rawHead+chunk(events(textEvent))) }), "truncated"},
		"closed at once":     {serveRaw(t, func(net.Conn) {}), "closed"},
		"closed in the head": {serveRaw(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/ev") }), "closed"},
		"reset at once":      {serveRaw(t, reset), "reset"},
		"error in the stream": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			answerStream(w, events(textEvent, `{"error": {"message": "lost"}}`, doneEvent))
		}), "error-event"},
		"not a stream": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, usageEvent)
		}), "invalid"},
		"not HTTP":  {serveRaw(t, func(c net.Conn) { io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n") }), "invalid"},
		"long line": {serve(t, func(w http.ResponseWriter, _ *http.Request) { answerStream(w, "data: "+strings.Repeat("x", 2*maxLine)) }), "invalid"},
	} {
		m := mustRun(t, t.Context(), every(0, 1), Options{URL: c.url, Timeout: 20 * time.Second})
		r := m.Result(report.Objectives{})
		got := "ok"
		for kind := range r.Errors {
			got = kind
		}
		if got != c.want || r.Completed+r.Failed != 1 {
			t.Errorf("%s: %s, %d complete and %d failed, want %s", name, got, r.Completed, r.Failed, c.want)
		}
	}
}

// TestResetAmidTheStream awaits the client's reading before the reset, which would take unread data with it.
func TestResetAmidTheStream(t *testing.T) {
	read := make(chan struct{})
	o := Options{Timeout: 20 * time.Second, ProgressEvery: time.Millisecond}
	o.URL = serveRaw(t, func(c net.Conn) {
		io.WriteString(c, rawHead+chunk(events(textEvent)))
		<-read
		reset(c)
	})
	seen := false
	o.Progress = func(p Progress) {
		if p.TTFTP50 > 0 && !seen {
			seen = true
			close(read)
		}
	}
	m := mustRun(t, t.Context(), every(0, 1), o)
	if s := m.Samples[0]; s.Outcome != report.Reset || s.First == 0 || s.Pieces != 1 || s.Code != 200 {
		t.Errorf("%v: %+v", s.Outcome, s)
	}
}

func TestTimeoutOfARealServer(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-released:
		}
	})
	m := mustRun(t, t.Context(), every(0, 1), Options{URL: url, Timeout: 50 * time.Millisecond})
	if s := m.Samples[0]; s.Outcome != report.Timeout || s.End < 50*time.Millisecond {
		t.Errorf("%v: %+v", s.Outcome, s)
	}
}

// TestNothingIsSentTwice has a server that closes every connection after its answer without saying so.
func TestNothingIsSentTwice(t *testing.T) {
	var came atomic.Int64
	url := serveRaw(t, func(c net.Conn) {
		came.Add(1)
		io.WriteString(c, rawHead+chunk(events(textEvent, usageEvent, doneEvent))+"0\r\n\r\n")
	})
	m := mustRun(t, t.Context(), every(time.Millisecond, 100), Options{URL: url, Timeout: 20 * time.Second})
	r := m.Result(report.Objectives{})
	if int(came.Load()) > r.Sent || r.Completed+r.Failed != 100 || r.Errors["closed"]+r.Errors["reset"] != r.Failed {
		t.Errorf("%d requests came of %d that were sent; %d complete, errors %v", came.Load(), r.Sent, r.Completed, r.Errors)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var opened atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Fail") == "" {
			answerStream(w, events(textEvent, usageEvent, doneEvent))
			return
		}
		http.Error(w, "no", http.StatusServiceUnavailable)
	}), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(l)
	}()
	defer func() {
		s.Close()
		<-served
	}()
	for _, header := range []http.Header{nil, {"X-Fail": {"1"}}} {
		opened.Store(0)
		// One at a time: what is due while another is underway is dropped.
		m := mustRun(t, t.Context(), every(2*time.Millisecond, 100), Options{URL: "http://" + l.Addr().String(), Header: header, MaxInFlight: 1})
		if r := m.Result(report.Objectives{}); r.Completed+r.Errors["status-503"]+r.Dropped != 100 || r.Sent == 0 || opened.Load() != 1 {
			t.Errorf("%d requests took %d connections; errors %v", r.Sent, opened.Load(), r.Errors)
		}
	}
}

func TestEndpointsAreCounted(t *testing.T) {
	var n atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-mock-replica", "replica")
		switch n.Add(1) % 4 {
		case 0:
			w.Header().Set("x-penstock-endpoint", "a")
		case 1:
			w.Header().Set("x-penstock-endpoint", "b")
		case 2:
			w.Header().Del("x-mock-replica")
		}
		answerStream(w, events(textEvent, usageEvent, doneEvent))
	})
	r := mustRun(t, t.Context(), every(0, 40), Options{URL: url}).Result(report.Objectives{})
	want := []report.Endpoint{{Name: "a", Requests: 10, OutputTokens: 70}, {Name: "b", Requests: 10, OutputTokens: 70}, {Name: "replica", Requests: 10, OutputTokens: 70}}
	if len(r.Endpoints) != 3 || r.Endpoints[0] != want[0] || r.Endpoints[1] != want[1] || r.Endpoints[2] != want[2] || r.RequestImbalance != 1 {
		t.Errorf("endpoints %v, imbalance %v", r.Endpoints, r.RequestImbalance)
	}
}

func TestEndpointNamesAreBounded(t *testing.T) {
	var e endpointNames
	for i := range maxEndpoints + 10 {
		name := strings.Repeat("x", 1+i)
		if got := e.number(name); got != int32(i) && (i < maxEndpoints || got != -1) {
			t.Fatalf("name %d has the number %d", i, got)
		}
	}
	if e.number("x") != 0 || e.number("") != -1 || len(e.names) != maxEndpoints {
		t.Error("names that are known keep their numbers")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"":                             {},
		`cannot use the API "images"`:  {API: "images"},
		"with 1000 workers":            {Workers: 1000},
		"have -1 requests in flight":   {MaxInFlight: -1},
		"wait -1s for an answer":       {Timeout: -time.Second},
		"warm up for -1s":              {Warmup: -time.Second},
		`a target is a URL such as`:    {URL: "127.0.0.1:8000"},
		"leave /v1 out":                {URL: "http://a/v1/"},
		"has no query and no fragment": {URL: "http://a/?x=y"},
	} {
		err := o.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	if _, err := Run(t.Context(), every(0, 0), Options{}); err == nil || !strings.Contains(err.Error(), "without requests") {
		t.Errorf("an empty trace: %v", err)
	}
}
