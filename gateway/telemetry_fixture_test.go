package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan = "00f067aa0ba902b7"
	sampledBy  = "00-" + traceID + "-" + callerSpan + "-01"
	chatBody   = `{"model":"llama","messages":[{"role":"user","content":"the secret prompt"}]}`
	answer     = `{"model":"llama-8b-of-the-server","choices":[{"message":{"content":"the secret answer"}}],"usage":{"prompt_tokens":11,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":7}}}`
)

// heads takes what an endpoint was told of traces.
type heads chan http.Header

func newHeads() heads { return make(heads, 64) }

func (h heads) next(t testing.TB) http.Header {
	t.Helper()
	select {
	case head := <-h:
		return head
	case <-time.After(patience):
		t.Fatal("the endpoint was asked for nothing")
	}
	panic("not reached")
}

// model is a model server of both versions of HTTP, plaintext, that gives one answer. It returns its host:port.
func model(t testing.TB, h heads, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" { // what engines are polled for
			return
		}
		h <- r.Header.Clone()
		serve(w, r)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func answerChat(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, answer)
}

// caller speaks one version of HTTP.
func caller(t testing.TB, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// chat asks for a completion, with header fields given as "Name: value", and returns the response's status and body.
func chat(t testing.TB, client *http.Client, g *running, fields ...string) (int, string) {
	t.Helper()
	response, err := client.Do(newChat(t, context.Background(), g, fields...))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func newChat(t testing.TB, ctx context.Context, g *running, fields ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "POST", g.url("/v1/chat/completions?key=the-secret-key"), strings.NewReader(chatBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer the-secret-token")
	r.Header.Set("Content-Type", "application/json")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

const routed = `
routes:
  - {name: chats, match: {model: llama}, split: [{pool: main, model: llama-8b}]}
`

func poolAt(scheme string, addresses ...string) string {
	list := make([]string, len(addresses))
	for i, a := range addresses {
		list[i] = fmt.Sprintf("%q", scheme+"://"+a)
	}
	return "pools:\n  main:\n    engine: vllm\n    metrics: {interval: 1h}\n    endpoints: [" + strings.Join(list, ", ") + "]\n"
}

// ways are all that a request can take through the engines.
var ways = []struct {
	name   string
	http2  bool
	scheme string
}{
	{"HTTP/1.1", false, "http"},
	{"HTTP/2", true, "h2c"},
	{"HTTP/2 to HTTP/1.1", true, "http"},
	{"HTTP/1.1 to HTTP/2", false, "h2c"},
}
