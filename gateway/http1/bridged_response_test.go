package http1

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestBridgedResponsesAreFramedForTheirClient(t *testing.T) {
	const get11, get10 = "GET /x HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: i\r\n", "GET /x HTTP/1.0\r\nX-Request-Id: i\r\n"
	const head11 = "HEAD /x HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: i\r\n"
	fields := []bridge.Field{{Name: "x-a", Value: "1"}, {Name: "trailer", Value: "x-sum"}, {Name: "x-request-id", Value: "endpoint's"}, {Name: "x-a", Value: "2"}}
	trailers := []bridge.Field{{Name: "x-sum", Value: "1"}, {Name: "content-length", Value: "9"}, {Name: "x-bad", Value: "a\r\nb: c"}}
	body := []string{"hello ", strings.Repeat("x", joinBytes+1)}
	whole := strings.Join(body, "")
	length := int64(len(whole))
	for _, test := range []struct {
		name, request string
		response      bridge.Response
		body          []string
		want          string
	}{
		{"of known length", get11, bridge.Response{Status: 201, Fields: fields, Length: length}, body,
			fmt.Sprintf("HTTP/1.1 201 Created\r\nx-a: 1\r\nx-a: 2\r\nContent-Length: %d\r\nx-request-id: i\r\n\r\n%s", length, whole)},
		{"in chunks", get11, bridge.Response{Status: 200, Fields: fields, Length: -1}, body,
			"HTTP/1.1 200 OK\r\nx-a: 1\r\nx-a: 2\r\nx-request-id: i\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body[0]) + chunk(body[1]) + "0\r\n\r\n"},
		{"in chunks, with trailers", get11 + "TE: trailers\r\n", bridge.Response{Status: 200, Fields: fields, Length: -1}, body,
			"HTTP/1.1 200 OK\r\nx-a: 1\r\ntrailer: x-sum\r\nx-a: 2\r\nx-request-id: i\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body[0]) + chunk(body[1]) +
				"0\r\nx-sum: 1\r\n\r\n"},
		{"to HTTP/1.0", get10, bridge.Response{Status: 200, Fields: fields, Length: -1}, body,
			"HTTP/1.1 200 OK\r\nx-a: 1\r\nx-a: 2\r\nx-request-id: i\r\nConnection: close\r\n\r\n" + whole},
		{"to HTTP/1.0, of known length", get10 + "Connection: keep-alive\r\n", bridge.Response{Status: 200, Length: length}, body,
			fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nx-request-id: i\r\nConnection: keep-alive\r\n\r\n%s", length, whole)},
		{"to HEAD", head11, bridge.Response{Status: 200, Length: 7, NoBody: true}, nil,
			"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nx-request-id: i\r\n\r\n"},
		{"to HEAD, of unknown length", head11, bridge.Response{Status: 200, Length: -1, NoBody: true}, nil, "HTTP/1.1 200 OK\r\nx-request-id: i\r\n\r\n"},
		{"204", get11, bridge.Response{Status: 204, NoBody: true}, nil, "HTTP/1.1 204 No Content\r\nx-request-id: i\r\n\r\n"},
		{"304", get11, bridge.Response{Status: 304, Length: 7, NoBody: true}, nil,
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nx-request-id: i\r\n\r\n"},
		{"an empty body", get11, bridge.Response{Status: 200}, nil, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-request-id: i\r\n\r\n"},
		{"before Connection: close", get11 + "Connection: close\r\n", bridge.Response{Status: 200}, nil,
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-request-id: i\r\nConnection: close\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, c := startBridged(t, elsewhere, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
				return answer(c, test.response, test.body, trailers...)
			})
			c.send(test.request + "\r\n")
			c.expect(test.want)
			e := g.wantEnded(0, dispatch.Completed, test.response.Status)
			if want := int64(len(strings.Join(test.body, ""))); e.response != want {
				t.Errorf("%d bytes were noted, want %d", e.response, want)
			}
			if strings.Contains(test.want, "Connection: close") {
				c.closed()
				return
			}
			c.send(test.request + "\r\n") // the connection is in order
			c.expect(test.want)
		})
	}
}

func TestBridgedInterimResponses(t *testing.T) {
	hints := []bridge.Field{{Name: "link", Value: "</a>"}}
	const early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
	for _, test := range []struct{ name, request, want string }{
		{"that nobody asked for", "POST /x HTTP/1.1\r\nHost: g\r\nContent-Length: 100000\r\n\r\n", early},
		{"that the client waits for", "POST /x HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n", goAhead + early},
		{"to HTTP/1.0", "POST /x HTTP/1.0\r\nContent-Length: 100000\r\n\r\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c := startBridged(t, elsewhere, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
				if want := strings.HasPrefix(test.want, goAhead); r.ExpectContinue != want {
					t.Errorf("ExpectContinue is %v, want %v", r.ExpectContinue, want)
				}
				for range 2 { // the second one has been given already
					c.Interim(100, nil)
				}
				c.Interim(103, hints)
				return answer(c, bridge.Response{Status: 200, Length: 2}, []string{"ok"})
			})
			c.send(test.request)
			c.expect(test.want)
			c.send(strings.Repeat("x", 100_000))
			if res, body := c.response("POST"); res.StatusCode != 200 || body != "ok" {
				t.Errorf("got %d %q", res.StatusCode, body)
			}
		})
	}
}

func TestBridgedResponseIsEditedAndRead(t *testing.T) {
	const yaml = `
debugHeaders: true
pools: {only: {endpoints: ["h2c://127.0.0.1:1"]}}
routes: [{split: [{pool: only}], responseHeaders: {set: {X-Team: ours}, remove: [server]}}]
`
	g, c := startBridged(t, yaml, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
		return answer(c, bridge.Response{Status: 200, Length: -1, Fields: []bridge.Field{
			{Name: "server", Value: "uvicorn"}, {Name: "x-team", Value: "theirs"}, {Name: "content-type", Value: "text/event-stream"},
		}}, []string{"data: {\"a\":1}\n\ndata: {\"us", "age\":{\"prompt_tokens\":12,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n"})
	})
	c.send(post("/v1/x", "{}"))
	head := c.head()
	wantHeader(t, head, "Server")
	wantHeader(t, head, "X-Team", "X-Team: ours")
	wantHeader(t, head, "x-penstock-endpoint", "x-penstock-endpoint: 127.0.0.1:1")
	e := g.wantEnded(0, dispatch.Completed, 200)
	if e.prompt != 12 || e.output != 7 || e.events != 2 {
		t.Errorf("noted %d tokens in, %d out, %d events; want 12, 7, 2", e.prompt, e.output, e.events)
	}
}
