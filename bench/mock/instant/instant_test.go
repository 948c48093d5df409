package instant

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	chat       = "/v1/chat/completions"
	whole5     = `{"model":"m","messages":[{"role":"user","content":"Hello"}],"max_tokens":5}`
	stream5    = `{"model":"m", "stream" : true, "max_tokens" : 5,"messages":[{"role":"user","content":"Hello"}]}`
	withUsage5 = `{"stream":true,"stream_options":{"include_usage":true},"max_tokens":5}`
)

type completion struct {
	Object, Model string
	Choices       []struct {
		Text    string
		Message *struct{ Role, Content string }
		Delta   *struct{ Role, Content string }
		Reason  *string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
}

func decode(t *testing.T, text string) (c completion) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("cannot decode %q: %v", text, err)
	}
	return c
}

func TestWholeAnswers(t *testing.T) {
	s, address := start(t)
	w := dial(t, address)
	w.send(post(chat, "", whole5))
	r, body := w.response()
	c := decode(t, body)
	if r.StatusCode != 200 || r.Header.Get("x-mock-replica") != "replica-1" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("response %+v", r)
	}
	if c.Object != "chat.completion" || c.Model != "llama-3-8b" || c.Choices[0].Message.Content != strings.Repeat(word, 5) ||
		*c.Choices[0].Reason != "length" || c.Usage.Completion != 5 || c.Usage.Prompt != len(whole5)/4 || c.Usage.Total != 5+len(whole5)/4 {
		t.Errorf("answer %s", body)
	}
	// All on the same connection.
	w.send(post("/v1/completions", "", `{}`))
	_, body = w.response()
	if c := decode(t, body); c.Object != "text_completion" || len(c.Choices[0].Text) != 64*len(word) {
		t.Errorf("answer %s", body)
	}
	for _, path := range []string{"/v1/embeddings", "/v2/models/m/infer"} {
		w.send(post(path, "", `{}`))
		if r, body := w.response(); r.StatusCode != 200 || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", path, r.StatusCode, body)
		}
	}
	w.send("GET /health?x=1 HTTP/1.1\r\nHost: mock\r\n\r\nGET /x HTTP/1.1\r\n\r\n")
	if r, body := w.response(); r.StatusCode != 200 || body != "" {
		t.Errorf("/health: %d %q", r.StatusCode, body)
	}
	if r, body := w.response(); r.StatusCode != 404 || body != "no /x" {
		t.Errorf("/x: %d %q", r.StatusCode, body)
	}
	s.Close() // an exchange is counted after its answer was sent
	if c := s.Counts(); c != (Counts{Started: 4, Finished: 4}) {
		t.Errorf("counts %+v", c)
	}
}

// checkStream reads the events of a stream of n tokens.
func checkStream(t *testing.T, body string, n int, role, usage bool) {
	t.Helper()
	var events []string
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(block, "data: ")
		if !ok {
			t.Fatalf("event %q", block)
		}
		events = append(events, data)
	}
	if last := events[len(events)-1]; last != "[DONE]" {
		t.Fatalf("ends with %q", last)
	}
	events = events[:len(events)-1]
	if usage {
		last := decode(t, events[len(events)-1])
		if len(last.Choices) != 0 || last.Usage.Completion != n {
			t.Errorf("usage chunk %s", events[len(events)-1])
		}
		events = events[:len(events)-1]
	}
	if role {
		if first := decode(t, events[0]); first.Choices[0].Delta.Role != "assistant" {
			t.Errorf("first chunk %s", events[0])
		}
		events = events[1:]
	}
	if len(events) != n {
		t.Fatalf("%d token chunks, want %d", len(events), n)
	}
	for i, e := range events {
		c := decode(t, e)
		if (c.Choices[0].Reason != nil) != (i == n-1) {
			t.Errorf("chunk %d: %s", i, e)
		}
	}
}

func TestStreams(t *testing.T) {
	_, address := start(t)
	w := dial(t, address)
	for _, c := range []struct {
		path, body  string
		tokens      int
		role, usage bool
	}{
		{chat, stream5, 5, true, false},
		{chat, withUsage5, 5, true, true},
		{"/v1/completions", withUsage5, 5, false, true},
		{chat, `{"stream":true,"max_completion_tokens":2,"max_tokens":5}`, 2, true, false},
		{chat, `{"stream":true,"max_tokens":2000}`, 2000, true, false}, // more than one write
	} {
		w.send(post(c.path, "", c.body))
		r, body := w.response()
		if r.TransferEncoding[0] != "chunked" || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
			t.Errorf("response %+v", r)
		}
		checkStream(t, body, c.tokens, c.role, c.usage)
	}
}

func TestEveryEventIsItsOwnChunk(t *testing.T) {
	_, address := start(t)
	w := dial(t, address)
	w.send(post(chat, "Connection: close\r\n", stream5))
	b, err := io.ReadAll(w.r)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(b), "\r\n\r\n")
	for n := 0; ; n++ {
		var size int
		if _, err := fmt.Sscanf(body, "%x\r\n", &size); err != nil {
			t.Fatal(err)
		}
		_, body, _ = strings.Cut(body, "\r\n")
		if size == 0 {
			if n != 7 || body != "\r\n" {
				t.Errorf("%d chunks, then %q", n, body)
			}
			return
		}
		if data := body[:size]; !strings.HasPrefix(data, "data: ") || strings.Count(data, "\n\n") != 1 {
			t.Errorf("chunk %q", data)
		}
		body = body[size+2:]
	}
}

func TestPacedStream(t *testing.T) {
	s, address := start(t)
	w := dial(t, address)
	const interval = 15 * time.Millisecond
	began := time.Now()
	w.send(post(chat, "X-Mock-Interval: 15ms\r\n", withUsage5))
	_, body := w.response()
	if took := time.Since(began); took < 4*interval {
		t.Errorf("5 tokens took %v, want at least %v", took, 4*interval)
	}
	checkStream(t, body, 5, true, true)
	// Tokens arrive one by one: the first ones are here while the last is an hour away.
	w.send(post(chat, "x-mock-interval: 1h\r\n", stream5))
	if _, err := w.r.Peek(500); err != nil {
		t.Fatal(err)
	}
	if n := s.Counts(); n.Started != 2 || n.Finished != 1 {
		t.Errorf("counts %+v", n)
	}
	// The test's end closes the server, which must not wait for the hour.
}

func TestClientThatLeavesIsCounted(t *testing.T) {
	s, address := start(t)
	w := dial(t, address)
	w.send(post(chat, "X-Mock-Interval: 1ms\r\n", `{"stream":true,"max_tokens":100000}`))
	if _, err := w.r.Peek(500); err != nil {
		t.Fatal(err)
	}
	w.SetLinger(0)
	w.Close()
	for deadline := time.Now().Add(patience); s.Counts().Cancelled != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counts %+v", s.Counts())
		}
	}
}

func TestBodiesInEveryForm(t *testing.T) {
	_, address := start(t)
	t.Run("pipelined", func(t *testing.T) {
		w := dial(t, address)
		w.send(strings.Repeat(post(chat, "", whole5), 50) + post(chat, "", stream5))
		for range 50 {
			if _, body := w.response(); decode(t, body).Usage.Completion != 5 {
				t.Fatalf("answer %s", body)
			}
		}
		_, body := w.response()
		checkStream(t, body, 5, true, false)
	})
	t.Run("a byte at a time", func(t *testing.T) {
		w := dial(t, address)
		for _, b := range []byte(post(chat, "", whole5)) {
			w.send(string(b))
		}
		w.response()
	})
	t.Run("chunked", func(t *testing.T) {
		w := dial(t, address)
		for range 2 {
			w.send("POST " + chat + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA;x=y\r\n{\"max_toke\r\n7\r\nns\":3 }\r\n0\r\nTrailer: x\r\n\r\n")
			if _, body := w.response(); decode(t, body).Usage.Completion != 3 {
				t.Errorf("answer %s", body)
			}
		}
	})
	t.Run("large", func(t *testing.T) {
		w := dial(t, address)
		long := `{"messages":[{"role":"user","content":"` + strings.Repeat(`say \"stream\":true `, 12_000) + `"}],"max_tokens":3}`
		for range 3 {
			w.send(post(chat, "", long))
			if _, body := w.response(); decode(t, body).Usage.Completion != 3 || decode(t, body).Usage.Prompt != len(long)/4 {
				t.Errorf("answer %s", body)
			}
		}
	})
	t.Run("expected", func(t *testing.T) {
		w := dial(t, address)
		w.send("POST " + chat + " HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
		line, err := w.r.ReadString('\n')
		if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
		w.r.ReadString('\n')
		w.send("{}")
		w.response()
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		w := dial(t, address)
		w.send("POST " + chat + " HTTP/1.0\r\nContent-Length: 31\r\n\r\n" + `{"stream":true, "max_tokens":3}`)
		b, err := io.ReadAll(w.r)
		if err != nil || strings.Contains(string(b), "chunked") {
			t.Fatalf("%q, %v", b, err)
		}
		_, body, _ := strings.Cut(string(b), "\r\n\r\n")
		checkStream(t, body, 3, true, false)
	})
}

func TestRefusals(t *testing.T) {
	_, address := start(t)
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"no request line": {"\r\n\r\n", 400},
		"no version":      {"GET /\r\n\r\n", 400},
		"almost HTTP/2":   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\n\r\n", 400},
		"no colon":        {"GET / HTTP/1.1\r\nx\r\n\r\n", 400},
		"length":          {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
		"overflow":        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		"encoding":        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
		"chunk size":      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400},
		"chunk end":       {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400},
		"huge chunk":      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7FFFFFFF\r\n", 413},
		"interval":        {post(chat, "x-mock-interval: soon\r\n", "{}"), 400},
		"large head":      {"GET / HTTP/1.1\r\n" + strings.Repeat("a: b\r\n", 12_000), 431},
		"large body":      {"POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413},
		"path":            {post("/v1/responses", "", "{}"), 404},
		"no tokens":       {post(chat, "", `{"max_tokens":0}`), 400},
		"many tokens":     {post(chat, "", `{"max_tokens":1000000}`), 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, address)
			w.send(c.text)
			r, body := w.response()
			if r.StatusCode != c.status || !r.Close || !json.Valid([]byte(body)) {
				t.Errorf("status %d, close %v: %s", r.StatusCode, r.Close, body)
			}
			w.CloseWrite()
			if rest, err := io.ReadAll(w.r); len(rest) > 0 || err != nil {
				t.Errorf("after the answer: %q, %v", rest, err)
			}
		})
	}
}

func TestCloseBeforeServe(t *testing.T) {
	s := newServer()
	s.Close()
	_, address := start(t)
	if r, err := http.Get("http://" + address + "/health"); err != nil {
		t.Fatal(err)
	} else {
		r.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}
