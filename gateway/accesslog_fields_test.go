package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/openai"
)

// logged is the line that an exchange gets, with the given change.
func logged(t *testing.T, cutting bool, change func(*dispatch.Exchange)) map[string]any {
	t.Helper()
	out := newLineBuffer()
	log := newAccessLog(newLineWriter(out))
	log.set(config.AccessLog{Enabled: true, Sample: 1})
	log.cutting.Store(cutting)
	x := &dispatch.Exchange{Status: 200}
	change(x)
	log.write(x, "route", "pool")
	log.lines.close(patience)
	line := make(map[string]any)
	if err := json.Unmarshal([]byte(out.await(t, 1)[0]), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

func TestAccessLogFieldsOfFewRequests(t *testing.T) {
	refused := func(as dispatch.Outcome) func(*dispatch.Exchange) {
		return func(x *dispatch.Exchange) { x.Outcome, x.Refusal = dispatch.Refused, dispatch.FailureReply(as) }
	}
	ended := func(as dispatch.Outcome) func(*dispatch.Exchange) {
		return func(x *dispatch.Exchange) { x.Outcome = as }
	}
	streamed := func(last, completion, events int64) func(*dispatch.Exchange) {
		return func(x *dispatch.Exchange) {
			x.Streamed, x.Started, x.FirstToken, x.LastToken, x.Events = true, 0, 1e9, last, events
			x.Usage = openai.Usage{CompletionTokens: completion}
		}
	}
	for _, c := range []struct {
		name    string
		change  func(*dispatch.Exchange)
		cutting bool
		field   string
		want    any // nil: the field is not there
	}{
		{"a client without a trace", func(*dispatch.Exchange) {}, false, "trace_id", nil},
		{"a client with a trace", func(x *dispatch.Exchange) { copy(x.ClientTrace[:], "4bf92f3577b34da6a3ce929d0e0e4736") }, false, "trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"},
		{"no retry", func(x *dispatch.Exchange) { x.Attempts = 1 }, false, "retry", nil},
		{"a retry", func(x *dispatch.Exchange) { x.Attempts, x.Retried = 2, dispatch.StreamRefused }, false, "retry", "stream_refused"},

		{"tokens by usage", streamed(3e9, 5, 9), false, "tpot_ms", 500.0},
		{"tokens by events", streamed(3e9, 0, 9), false, "tpot_ms", 250.0},
		{"one token", streamed(1e9, 1, 1), false, "tpot_ms", nil},
		{"tokens in one piece", streamed(1e9, 5, 5), false, "tpot_ms", nil},
		{"not streamed", func(x *dispatch.Exchange) { streamed(3e9, 5, 9)(x); x.Streamed = false }, false, "tpot_ms", nil},

		{"completed", ended(dispatch.Completed), false, "abort", nil},
		{"completed while all is cut", ended(dispatch.Completed), true, "abort", nil},
		{"a local page", ended(dispatch.Refused), false, "abort", nil},
		{"a full queue", func(x *dispatch.Exchange) {
			x.Outcome, x.Refusal = dispatch.Refused, dispatch.NewReply(429, "queue_full", "", "", 1)
		}, false, "abort", nil},
		{"no connection", refused(dispatch.ConnectFailed), false, "abort", nil},
		{"an endpoint that refuses", refused(dispatch.StreamRefused), false, "abort", nil},
		{"a client that left", ended(dispatch.ClientGone), false, "abort", "client"},
		{"a request that is cut at the end", ended(dispatch.ClientGone), true, "abort", "gateway"},
		{"an endpoint that breaks off", ended(dispatch.UpstreamBroken), false, "abort", "endpoint"},
		{"an endpoint that breaks off as all is cut", ended(dispatch.UpstreamBroken), true, "abort", "gateway"},
		{"an endpoint that resets", ended(dispatch.UpstreamReset), false, "abort", "endpoint"},
		{"the same, and the client is told", refused(dispatch.UpstreamReset), false, "abort", "endpoint"},
		{"a broken answer, and the client is told", refused(dispatch.UpstreamBroken), false, "abort", "endpoint"},
		{"a stale connection, and the client is told", refused(dispatch.StaleConnection), false, "abort", "endpoint"},
		{"a slow endpoint", ended(dispatch.UpstreamTimeout), false, "abort", "gateway"},
		{"the same, and the client is told", refused(dispatch.UpstreamTimeout), false, "abort", "gateway"},
		{"a deadline", ended(dispatch.DeadlineExceeded), false, "abort", "gateway"},
	} {
		if got := logged(t, c.cutting, c.change)[c.field]; got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.name, c.field, got, c.want)
		}
	}
}

func TestAccessLogAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool then drops what it is given now and then")
	}
	o := newObserved(t, true)
	copy(o.x.ClientTrace[:], "4bf92f3577b34da6a3ce929d0e0e4736")
	o.x.Retried, o.x.Outcome, o.x.Refusal = dispatch.ConnectFailed, dispatch.Refused, dispatch.FailureReply(dispatch.UpstreamTimeout)
	if n := testing.AllocsPerRun(1000, func() { o.log.write(&o.x, "route", "pool") }); n != 0 {
		t.Errorf("a line with every field allocates %v times", n)
	}
}

// TestAccessLogFieldsAreDocumented holds the table for operators against the lines that are written.
func TestAccessLogFieldsAreDocumented(t *testing.T) {
	doc := doc(t, "operations.md")
	_, doc, _ = strings.Cut(doc, "## The access log")
	doc, _, _ = strings.Cut(doc, "\n## ")
	line := logged(t, false, func(x *dispatch.Exchange) {
		copy(x.ClientTrace[:], "4bf92f3577b34da6a3ce929d0e0e4736")
		x.Retried, x.Outcome, x.GRPCStatus = dispatch.ConnectFailed, dispatch.ClientGone, 1
		x.Streamed, x.FirstToken, x.LastToken, x.Events = true, 1, 2e9, 3
	})
	documented := make(map[string]bool)
	for row := range strings.Lines(doc) {
		if fields, _, ok := strings.Cut(strings.TrimPrefix(row, "| "), " | "); ok {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(fields, -1) {
				documented[name[1]] = true
			}
		}
	}
	for name := range line {
		if !documented[name] && name != "level" && name != "msg" {
			t.Errorf("docs/operations.md does not name the field %s", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/operations.md names the field %s, which no line has", name)
	}
}

// versions are clients of both versions of HTTP, in the clear. They do not try again by themselves.
func versions(t *testing.T) map[string]*http.Client {
	clients := make(map[string]*http.Client)
	for name, set := range map[string]func(*http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) }, "HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		set(transport.Protocols)
		t.Cleanup(transport.CloseIdleConnections)
		clients[name] = &http.Client{Transport: transport}
	}
	return clients
}

// TestAccessLogSaysWhoCut cuts requests from every side.
func TestAccessLogSaysWhoCut(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		serve      func(w http.ResponseWriter, r *http.Request) // after the first event, if begun
		begun      bool
		then       func(r *running, response *http.Response)
		abort      string
	}{
		{"the client leaves", "", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true,
			func(_ *running, response *http.Response) { response.Body.Close() }, "client"},
		{"the endpoint breaks off", "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, nil, "endpoint"},
		{"the endpoint hangs up", "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, nil, "endpoint"},
		{"the endpoint does not answer", "timeouts: {responseHeader: 50ms}\n", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false, nil, "gateway"},
		{"the endpoint pauses", "timeouts: {streamIdle: 50ms}\n", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true, nil, "gateway"},
		{"the gateway is stopped", "", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true,
			func(r *running, _ *http.Response) { r.signals <- os.Interrupt; r.signals <- os.Interrupt }, "gateway"},
	} {
		for version, client := range versions(t) {
			address := backend(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				if c.begun {
					w.Header().Set("Content-Type", "text/event-stream")
					io.WriteString(w, "data: 1\n\n")
					w.(http.Flusher).Flush()
				}
				c.serve(w, r)
			})
			r := start(t, pool(address)+c.yaml)
			request, _ := http.NewRequest(http.MethodPost, r.url("/v1/x"), strings.NewReader("{}"))
			request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if c.then != nil {
				c.then(r, response)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			line := r.access.await(t, 1)[0]
			if !strings.Contains(line, fmt.Sprintf(`"abort":%q`, c.abort)) || !strings.Contains(line, fmt.Sprintf(`"protocol":%q`, version)) {
				t.Errorf("%s, %s: want abort %q in %s", c.name, version, c.abort, line)
			}
			if !strings.Contains(line, `"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"`) {
				t.Errorf("%s, %s: no trace in %s", c.name, version, line)
			}
			r.stop()
		}
	}
}

func TestAccessLogSaysWhyARequestWasSentAgain(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	address := answering(t, "hello")
	for version, client := range versions(t) {
		r := start(t, fmt.Sprintf("pools: {main: {endpoints: [\"http://%s\", \"http://%s\"], balance: round-robin, eject: {consecutiveFailures: 1}}}\n",
			dead.Listener.Addr(), address))
		for range 2 { // one of them meets the dead endpoint
			response, err := client.Post(r.url("/v1/x"), "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		lines := strings.Join(r.access.await(t, 2), "")
		if strings.Count(lines, `"retry":`) != 1 || !strings.Contains(lines, `"attempts":2,`) || !strings.Contains(lines, `"retry":"connect_failed"`) {
			t.Errorf("%s: the log says\n%s", version, lines)
		}
		r.stop()
	}
}

// TestWhatClientsSayIsNotLogged sends a mark wherever requests have what is nobody's business, in sound requests and broken ones.
func TestWhatClientsSayIsNotLogged(t *testing.T) {
	const mark = "m4rk-of-the-client"
	body := fmt.Sprintf(`{"messages":[{"role":"user","content":%q},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"a\":\"%s\"}"}}]}],`+
		`"tools":[{"function":{"description":%q}}],"user":%q,"model":"llama"}`, mark, mark, mark, mark)
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Set-Cookie", mark)
		io.WriteString(w, `{"choices":[{"message":{"content":"`+mark+`"}}]}`)
	})
	r := start(t, pool(address)+"limits: {bodyBytes: 4KiB}\nroutes:\n- match: {model: llama, path: /v1}\n  split: [{pool: main}]\n")
	n := 0
	for version, client := range versions(t) {
		for what, sent := range map[string]string{
			"sound": body, "for no model": strings.Replace(body, "llama", "qwen", 1), "no JSON": mark + body, "without its end": body[:len(body)/2],
			"too long": body + strings.Repeat(mark, 300),
		} {
			request, _ := http.NewRequest(http.MethodPost, r.url("/v1/chat/completions?key="+mark), strings.NewReader(sent))
			for _, name := range []string{"Authorization", "X-Api-Key", "Cookie", "Traceparent", "X-Forwarded-For", "User-Agent", "Referer"} {
				request.Header.Set(name, "Bearer "+mark)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatalf("%s, %s: %v", version, what, err)
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			n++
		}
	}
	for _, head := range []string{
		"GET /v1?key=" + mark + " HTTP/1.1\r\nHost: a\r\nAuthorization: " + mark + "\r\n x\r\n\r\n",
		"GET /v1?key=" + mark + " HTTP/1.1\r\nHost: a\r\n" + mark + "\r\n\r\n",
		"POST /v1?key=" + mark + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + mark + "\r\n",
		mark + "\x01 / HTTP/1.1\r\n\r\n",
	} {
		c := rawConn(t, r)
		io.WriteString(c, head)
		c.SetReadDeadline(time.Now().Add(patience))
		io.Copy(io.Discard, c)
		n++
	}
	for _, line := range r.access.await(t, n) {
		if strings.Contains(line, mark) {
			t.Errorf("the access log has what a client said: %s", line)
		}
	}
	if r.logs.count(mark) > 0 {
		t.Error("the log has what a client said")
	}
}
