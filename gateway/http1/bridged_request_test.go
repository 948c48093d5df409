package http1

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestBridgedRequestSaysTheSame(t *testing.T) {
	for _, test := range []struct{ name, request, want, body string }{
		{"a GET", "GET http://api.example:81/a%2f?b=%25 HTTP/1.1\r\nHost: other\r\nX-B: 1\r\nX-A:  2 \r\nAuthorization: Bearer t\r\nCookie: a=b\r\n" +
			"X-Request-Id: id-1\r\nConnection: X-B, close\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\r\n",
			"GET http api.example:81 /a%2f?b=%25 0 [{x-a 2 false} {authorization Bearer t true} {cookie a=b true} {x-request-id id-1 false} " +
				"{x-forwarded-for 127.0.0.1 false} {x-forwarded-proto http false} {x-forwarded-host api.example:81 false}]", ""},
		{"a POST", "POST /v1/x HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: id-1\r\nTE: trailers\r\nConnection: TE\r\nContent-Length: 4\r\n\r\nbody",
			"POST http gateway /v1/x 4 trailers [{x-request-id id-1 false} {x-forwarded-for 127.0.0.1 false} {x-forwarded-proto http false} " +
				"{x-forwarded-host gateway false}]", "body"},
		{"chunks with trailers", "POST /v1/x HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: id-1\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"2;a=b\r\nbo\r\n2\r\ndy\r\n0\r\nX-Sum:  1 \r\n\r\n",
			"POST http gateway /v1/x -1 [{x-request-id id-1 false} {x-forwarded-for 127.0.0.1 false} {x-forwarded-proto http false} " +
				"{x-forwarded-host gateway false}]", "body[{x-sum 1 false}]"},
		{"an expectation that is met already", "POST /v1/x HTTP/1.1\r\nHost: gateway\r\nX-Request-Id: id-1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
			"POST http gateway /v1/x 4 [{x-request-id id-1 false} {x-forwarded-for 127.0.0.1 false} {x-forwarded-proto http false} " +
				"{x-forwarded-host gateway false}]", "body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c := startBridged(t, elsewhere, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
				said := fmt.Sprint(r.Method, " ", r.Scheme, " ", r.Authority, " ", r.Path, " ", r.Length, " ")
				if r.TakesTrailers {
					said += "trailers "
				}
				if r.ExpectContinue {
					said += "expects "
				}
				if !r.Held {
					said += "not held "
				}
				if said += fmt.Sprint(r.Fields); said != test.want {
					t.Errorf("the request is\n%s, want\n%s", said, test.want)
				}
				body, err := io.ReadAll(readerOf(c))
				if trailers := c.Trailers(); trailers != nil {
					body = fmt.Append(body, trailers)
				}
				if string(body) != test.body || err != nil {
					t.Errorf("the body is %q (%v), want %q", body, err, test.body)
				}
				return respond(c, bridge.Response{Status: 200}, nil)
			})
			c.send(test.request)
			c.response("GET")
		})
	}
}

func TestBridgedUploadIsReadAsItArrives(t *testing.T) {
	for _, test := range []struct {
		name, head, end, trailers string
		frame                     func(string) string
	}{
		{"chunked", uploadHead, "0\r\nX-Sum: 1\r\n\r\n", "[{x-sum 1 false}]", chunk},
		{"by length", "POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\n", strings.Repeat("x", 100_000-8), "[]",
			func(s string) string { return s }},
	} {
		t.Run(test.name, func(t *testing.T) {
			pieces := make(chan string)
			g, c := startBridged(t, elsewhere, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
				if r.Method == "GET" {
					return respond(c, bridge.Response{Status: 204}, nil)
				}
				defer close(pieces)
				b := make([]byte, 4)
				for range 2 {
					if _, err := io.ReadFull(readerOf(c), b); err != nil {
						t.Error(err)
					}
					pieces <- string(b)
				}
				io.Copy(io.Discard, readerOf(c))
				if got := fmt.Sprint(c.Trailers()); got != test.trailers || r.Held {
					t.Errorf("the trailers are %s (held: %v), want %s", got, r.Held, test.trailers)
				}
				return respond(c, bridge.Response{Status: 200}, nil)
			})
			c.send(test.head + test.frame("ping"))
			for _, want := range []string{"ping", "pong"} {
				if got := <-pieces; got != want {
					t.Errorf("the endpoint got %q, want %q", got, want)
				}
				if want == "ping" {
					c.send(test.frame("pong"))
				}
			}
			c.send(test.end + getRequest) // what follows is the next request
			if res, _ := c.response("POST"); res.StatusCode != 200 || res.Close {
				t.Errorf("got %d (close: %v)", res.StatusCode, res.Close)
			}
			g.wantEnded(0, dispatch.Completed, 200)
			if res, _ := c.response("GET"); res.StatusCode != 204 {
				t.Errorf("the request behind the body got %d", res.StatusCode)
			}
		})
	}
}

func TestBridgedModelIsReplaced(t *testing.T) {
	const yaml = `
pools: {only: {endpoints: ["h2c://127.0.0.1:1"]}}
routes: [{match: {model: short}, split: [{pool: only, model: a-longer-name}]}]
`
	const body, want = `{"a":1,"model":"short","b":2}`, `{"a":1,"model":"a-longer-name","b":2}`
	for name, request := range map[string]string{
		"by length": post("/v1/x", body),
		"chunked":   uploadHead + chunk(body[:20]) + chunk(body[20:]) + "0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, c := startBridged(t, yaml, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
				if got, err := io.ReadAll(readerOf(c)); string(got) != want || err != nil || r.Length >= 0 && r.Length != int64(len(want)) {
					t.Errorf("the body is %q of %d bytes (%v), want %q", got, r.Length, err, want)
				}
				return respond(c, bridge.Response{Status: 200}, nil)
			})
			c.send(request)
			c.response("POST")
		})
	}
}

func TestUpgradeIsIgnoredOverTheBridge(t *testing.T) {
	_, c := startBridged(t, elsewhere, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
		for _, f := range r.Fields {
			if f.Name == "upgrade" || f.Name == "connection" {
				t.Errorf("the endpoint got %v", f)
			}
		}
		return answer(c, bridge.Response{Status: 426, Length: 0}, nil)
	})
	c.send("GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	if res, _ := c.response("GET"); res.StatusCode != 426 {
		t.Errorf("got %d, want 426", res.StatusCode)
	}
}
