package http1

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const byPrefix = `
pools:
  llama: {endpoints: ["http://BACKEND", "http://BACKEND"], balance: prefix}
`

// chat is a request's body: a conversation that begins as all of its family do, and has a tail of its own.
func chat(family, tail string) string {
	return fmt.Sprintf(`{"messages":[{"role":"system","content":"You help."},{"role":"user","content":"%s %s"}],"stream":false,"model":"m"}`,
		strings.Repeat(family+" begins like this. ", 1500), tail)
}

// answerWith has a backend answer every request with a name.
func (b *backend) answerWith(name string) {
	b.serve(func(p *peer, _ *http.Request, _ string) { p.send(plain(200, name)) })
}

// However a body arrives, its prompt is read before the pick: conversations that begin alike go to the same endpoint, and others elsewhere.
func TestPromptsThatBeginAlikeGoToOneEndpoint(t *testing.T) {
	one, two := startBackend(t), startBackend(t)
	one.answerWith("one")
	two.answerWith("two")
	g := startGateway(t, byPrefix, one, two)
	head := strings.Replace(uploadHead, "/v1/x", "/v1/chat/completions", 1)
	half := func(s string) (string, string) { return s[:len(s)/2], s[len(s)/2:] }
	ways := []struct {
		name string
		send func(c *peer, body string)
	}{
		{"at once", func(c *peer, body string) { c.send(post("/v1/chat/completions", body)) }},
		{"head first", func(c *peer, body string) {
			request := post("/v1/chat/completions", body)
			at := strings.Index(request, "\r\n\r\n") + 4
			c.send(request[:at])
			c.send(request[at:])
		}},
		{"in chunks", func(c *peer, body string) {
			first, second := half(body)
			c.send(head + chunk(first))
			c.send(chunk(second) + "0\r\n\r\n")
		}},
		{"long", func(c *peer, body string) {
			c.send(post("/v1/chat/completions", strings.Replace(body, `"stream"`, `"metadata":{"x":"`+strings.Repeat("y", 100<<10)+`"},"stream"`, 1)))
		}},
	}
	seen := make(map[string]int)
	for i := range 12 {
		family := fmt.Sprintf("family %d", i)
		first := ""
		for _, way := range ways {
			c := g.dial()
			way.send(c, chat(family, way.name))
			_, name := c.response("POST")
			c.close()
			if first == "" {
				first = name
				seen[name]++
			}
			if name != first {
				t.Errorf("%s, sent %s, went to %s, and what began like it to %s", family, way.name, name, first)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("all went to one endpoint: %v", seen)
	}
}

// A body of unknown length that stops while its prompt is read is timed like any other.
func TestPromptThatDoesNotCome(t *testing.T) {
	one, two := startBackend(t), startBackend(t)
	g := startGateway(t, byPrefix+"timeouts: {requestBody: 50ms}\n", one, two)
	c := g.dial()
	c.send(strings.Replace(uploadHead, "/v1/x", "/v1/chat/completions", 1) + chunk(`{"messages":[`))
	if res, body := c.response("POST"); res.StatusCode != 408 {
		t.Errorf("got %d %s, want 408", res.StatusCode, body)
	}
	one.idle()
	two.idle()
}

// What a prompt costs counts on its endpoint until the answer begins.
func TestPromptTokensCountUntilTheAnswer(t *testing.T) {
	one, two := startBackend(t), startBackend(t)
	g := startGateway(t, strings.Replace(byPrefix, "prefix", "least-tokens", 1), one, two)
	long, short := g.dial(), g.dial()
	long.send(post("/v1/chat/completions", chat("long", "")))
	var busy *peer
	var free *backend
	select {
	case busy = <-one.conns:
		free = two
	case busy = <-two.conns:
		free = one
	case <-time.After(patience):
		t.Fatal("no backend got the request")
	}
	busy.request()
	// Twice, as one request in flight on each would leave the choice to chance if tokens did not count.
	for range 2 {
		short.send(post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`))
		s := free.accept()
		s.request()
		s.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
		short.response("POST")
	}
	busy.send(plain(200, "done"))
	long.response("POST")
}
