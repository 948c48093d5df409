package http1

import (
	"context"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

const (
	usageJSON = `{"usage":{"prompt_tokens":700,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":512}}}`
	usageSSE  = "data: {\"choices\":[]}\n\ndata: " + usageJSON + "\n\ndata: [DONE]\n\n"
)

// However a response comes, and whatever its endpoint speaks, what it says of tokens is known when its exchange ends.
func TestUsageIsKnownAtTheEnd(t *testing.T) {
	const sseHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	for _, test := range []struct {
		name     string
		response string
		ends     bool // with the connection
		streamed bool
		known    bool
	}{
		{"of known length", plain(200, usageJSON), false, false, true},
		{"in chunks", sseHead + "Transfer-Encoding: chunked\r\n\r\n" + chunk(usageSSE) + "0\r\n\r\n", false, true, true},
		{"in small chunks", sseHead + "Transfer-Encoding: chunked\r\n\r\n" + chunk(usageSSE[:60]) + chunk(usageSSE[60:75]) + chunk(usageSSE[75:]) + "0\r\n\r\n", false, true, true},
		{"until the connection ends", sseHead + "Connection: close\r\n\r\n" + usageSSE, true, true, true},
		{"an error", plain(400, usageJSON), false, false, false},
	} {
		for _, over := range []bool{false, true} {
			overBridge = over
			b, g, c := start(t, simple)
			overBridge = false
			c.send(post("/v1/chat/completions", `{}`))
			s := b.accept()
			s.request()
			s.send(test.response)
			if test.ends {
				s.close()
			}
			c.response("POST")
			want := ended{}
			if test.known {
				want.prompt, want.cached, want.output = 700, 512, 9
			}
			if e := g.await(1)[0]; e.prompt != want.prompt || e.cached != want.cached || e.output != want.output || e.streamed != test.streamed {
				t.Errorf("%s, over the bridge %v: the observer saw %+v", test.name, over, e)
			}
		}
	}
}

func TestUsageOfABridgedResponse(t *testing.T) {
	g, c := startBridged(t, elsewhere, func(_ context.Context, _ *bridge.Request, client bridge.Client) bridge.Result {
		return answer(client, bridge.Response{Status: 200, Length: -1, Fields: []bridge.Field{{Name: "content-type", Value: "text/event-stream"}}},
			[]string{usageSSE[:50], usageSSE[50:]})
	})
	c.send(post("/v1/chat/completions", `{}`))
	c.response("POST")
	if e := g.wantEnded(0, dispatch.Completed, 200); e.prompt != 700 || e.cached != 512 || !e.streamed {
		t.Errorf("the observer saw %+v", e)
	}
}
