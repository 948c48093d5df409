package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

func TestClientThatLeavesInItsTrace(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "grpc")
			g := start(t, poolAt(way.scheme, model(t, newHeads(), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: {}\n\n")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}))+routed)
			ctx, leave := context.WithCancel(context.Background())
			response, err := caller(t, way.http2).Do(newChat(t, ctx, g))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := response.Body.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			leave()
			response.Body.Close()
			r := c.one()
			for _, s := range []*otlp.Span{r.server, r.attempts[0]} {
				check(t, s, map[string]any{"error.type": "client_gone", "http.response.status_code": 200, "penstock.outcome": "client_gone"})
				if s.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR {
					t.Errorf("span %q has the status %v", s.Name, s.Status)
				}
			}
		})
	}
}

func TestRefusalsInTheirTraces(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "http/protobuf")
			g := start(t, "pools:\n"+
				"  main: {endpoints: [\"http://127.0.0.1:1\"], probe: {path: /}, queue: {size: 0}}\n  other: {endpoints: [\"http://127.0.0.1:1\"]}\nroutes:\n"+
				"  - {match: {headers: {x-pool: other}, model: llama}, split: [{pool: other}]}\n  - {match: {headers: {x-pool: main}}, split: [{pool: main}]}\n")
			client := caller(t, way.http2)
			if status, _ := chat(t, client, g, "x-pool: main"); status != 503 {
				t.Fatalf("the client got %d", status)
			}
			if status, _ := chat(t, client, g); status != 404 {
				t.Fatalf("the client got %d", status)
			}
			list := c.await(2)
			check(t, list[0].server, map[string]any{"http.response.status_code": 503, "error.type": "no_endpoint", "penstock.refusal": "no_endpoint",
				"penstock.outcome": "refused", "penstock.pool": "main", "penstock.endpoint": "-", "penstock.attempts": 0})
			check(t, list[1].server, map[string]any{"http.response.status_code": 404, "penstock.outcome": "refused", "penstock.pool": "-"})
			for i, want := range []otlp.Status_StatusCode{otlp.Status_STATUS_CODE_ERROR, otlp.Status_STATUS_CODE_UNSET} {
				if got := list[i].server.Status.GetCode(); got != want || len(list[i].attempts) != 0 {
					t.Errorf("request %d has the status %v and %d attempts", i, got, len(list[i].attempts))
				}
			}
		})
	}
}

func TestTraceOfAHeadThatCannotBeRead(t *testing.T) {
	c := collect(t, "http/protobuf")
	g := start(t, pool(answering(t, "never")))
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n")
	io.Copy(io.Discard, conn)
	r := c.one()
	check(t, r.server, map[string]any{"http.response.status_code": 400, "http.request.method": "-", "penstock.outcome": "refused"})
	if r.server.Name != "HTTP" {
		t.Errorf("the span is called %q", r.server.Name)
	}
}

func TestEndpointsErrorInItsTrace(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "http/protobuf")
			g := start(t, poolAt(way.scheme, model(t, newHeads(), func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.WriteHeader(429)
			}))+routed)
			chat(t, caller(t, way.http2), g)
			r := c.one()
			check(t, r.server, map[string]any{"http.response.status_code": 429, "error.type": "-", "penstock.refusal": "-"})
			check(t, r.attempts[0], map[string]any{"http.response.status_code": 429, "error.type": "429"})
			if s, a := r.server.Status.GetCode(), r.attempts[0].Status.GetCode(); s != otlp.Status_STATUS_CODE_UNSET || a != otlp.Status_STATUS_CODE_ERROR {
				t.Errorf("the request has the status %v and its attempt %v", s, a)
			}
		})
	}
}

func TestResponseThatBreaksOffInItsTrace(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "http/protobuf")
			g := start(t, poolAt(way.scheme, model(t, newHeads(), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: {}\n\n")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}))+routed)
			response, err := caller(t, way.http2).Do(newChat(t, context.Background(), g))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(response.Body); err == nil {
				t.Error("the response ended as if it were whole")
			}
			response.Body.Close()
			r := c.one()
			for _, s := range []*otlp.Span{r.server, r.attempts[0]} {
				check(t, s, map[string]any{"error.type": "upstream_broken", "http.response.status_code": 200, "penstock.outcome": "upstream_broken"})
				if s.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR {
					t.Errorf("span %q has the status %v", s.Name, s.Status)
				}
			}
		})
	}
}
