package mock

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// long would run for minutes at speed 1.
const (
	longStream = `{"model":"llama-3-8b","messages":[{"role":"user","content":"Tell me everything."}],"max_tokens":20000,"stream":true}`
	longWhole  = `{"model":"llama-3-8b","messages":[{"role":"user","content":"Tell me everything."}],"max_tokens":20000}`
)

// await polls the replica's state until it is as wanted.
func (f *fixture) await(what string, wanted func(State) bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); !wanted(f.State()); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited in vain until %s: %+v", what, f.State())
		}
	}
}

func running(n int) func(State) bool {
	return func(s State) bool { return s.Engine.Running == n }
}

func TestClientThatLeavesFreesTheEngine(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		leave func(*wire)
	}{
		"close mid-stream":         {longStream, func(w *wire) { w.Close() }},
		"reset mid-stream":         {longStream, func(w *wire) { w.SetLinger(0); w.Close() }},
		"half-close mid-stream":    {longStream, func(w *wire) { w.CloseWrite() }},
		"close before any answer":  {longWhole, func(w *wire) { w.Close() }},
		"close while it is queued": {longWhole, func(w *wire) { w.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, Options{Speed: 1})
			w := f.dial()
			w.request(chatPath, c.body)
			if c.body == longStream {
				w.until(`"role":"assistant"`)
			} else {
				f.await("it runs", running(1))
			}
			left := time.Now()
			c.leave(w)
			if e := f.ending(); e != (ending{chatPath, cancelled}) {
				t.Errorf("ended as %+v", e)
			}
			if took := time.Since(left); took > time.Second {
				t.Errorf("the cancel took %v", took)
			} else {
				t.Logf("cancelled %v after the client left", took)
			}
			s := f.State()
			if s.Engine.Running != 0 || s.Engine.KVUsage != 0 || s.Engine.Cancelled != 1 {
				t.Errorf("engine %+v", s.Engine)
			}
			if want := (RequestCounts{Started: 1, Cancelled: 1}); s.Requests != want || s.Endpoints[chatPath] != want {
				t.Errorf("counts %+v, %+v", s.Requests, s.Endpoints[chatPath])
			}
		})
	}
}

func TestClientThatLeavesMidUploadIsCounted(t *testing.T) {
	f := start(t, Options{})
	w := f.dial()
	io.WriteString(w, "POST "+chatPath+" HTTP/1.1\r\nHost: mock\r\nContent-Length: 1000\r\n\r\n{")
	f.await("it started", func(s State) bool { return s.Requests.Running == 1 })
	w.Close()
	if e := f.ending(); e.outcome != cancelled {
		t.Errorf("ended as %+v", e)
	}
	if s := f.State(); s.Engine.Steps != 0 {
		t.Errorf("engine %+v", s.Engine)
	}
}

// h2 is a client that speaks cleartext HTTP/2 with prior knowledge.
func (f *fixture) h2() *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &p}
	f.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func TestHTTP2StreamsAndCancels(t *testing.T) {
	f := start(t, Options{Speed: 1})
	client := f.h2()
	w, err := client.Post("http://"+f.Addr()+chatPath, "application/json", strings.NewReader(stream8))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(w.Body)
	if err != nil || w.ProtoMajor != 2 || len(events(t, string(body))) != 10 {
		t.Fatalf("protocol %s: %q %v", w.Proto, body, err)
	}
	f.ending()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+f.Addr()+chatPath, strings.NewReader(longStream))
	if err != nil {
		t.Fatal(err)
	}
	if w, err = client.Do(r); err != nil {
		t.Fatal(err)
	}
	leave()
	w.Body.Close()
	if e := f.ending(); e.outcome != cancelled {
		t.Errorf("ended as %+v", e)
	}
	if s := f.State(); s.Engine.Running != 0 || s.Engine.KVUsage != 0 {
		t.Errorf("engine %+v", s.Engine)
	}
}

func TestCloseCutsEverything(t *testing.T) {
	f := start(t, Options{Speed: 1})
	w := f.dial()
	w.request(chatPath, longStream)
	w.until(`"role":"assistant"`)
	f.Close()
	if e := f.ending(); e.outcome != failed {
		t.Errorf("ended as %+v", e)
	}
	if text, _ := w.rest(); strings.Contains(text, "[DONE]") || strings.HasSuffix(text, "0\r\n\r\n") {
		t.Errorf("the stream ended cleanly: %q", text)
	}
	if err := f.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := net.Dial("tcp", f.Addr()); err == nil {
		t.Error("the port is still open")
	}
}

func TestReplicaOnEveryAddressIsNamedByTheConnection(t *testing.T) {
	for _, instant := range []bool{false, true} {
		s, err := New(Options{Instant: instant})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(l); err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		r, err := client.Get("http://127.0.0.1:" + port + "/health")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if got, want := r.Header.Get("x-mock-replica"), "127.0.0.1:"+port; got != want {
			t.Errorf("instant %v: x-mock-replica is %q, want %q", instant, got, want)
		}
		s.Close()
	}
}

func TestStartErrors(t *testing.T) {
	f := start(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := f.Start(l); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("second Start: %v", err)
	}
	f.Close()
	if err := f.Start(l); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Start after Close: %v", err)
	}
	unstarted, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	unstarted.Close()
}

func TestOptionErrorsListWhatExists(t *testing.T) {
	for want, o := range map[string]Options{
		"llama3-8b-h100":  {Profile: "gpt-9"},
		"sglang":          {Engine: "ollama"},
		"speed -1":        {Speed: -1},
		"speed 1e+09":     {Speed: 1e9},
		"-5 tokens":       {MaxTokens: -5},
		"-1 bytes":        {MaxBodyBytes: -1},
		"without a name":  {Models: []string{"a", ""}},
		"-1 sequences":    {MaxSequences: -1},
		"budget of 3":     {MaxBatchedTokens: 3},
		"KV cache of 1 t": {KVTokens: 1},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v does not say %q", o, err, want)
		}
	}
}
