package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

func TestTraceOfARequest(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for _, way := range ways {
			t.Run(protocol+" "+way.name, func(t *testing.T) {
				c := collect(t, protocol)
				t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
				h := newHeads()
				endpoint := model(t, h, answerChat)
				g := start(t, poolAt(way.scheme, endpoint)+routed)
				if status, body := chat(t, caller(t, way.http2), g, "traceparent: "+sampledBy, "tracestate: a=1", "tracestate: b=2"); status != 200 || body != answer {
					t.Fatalf("the client got %d %s", status, body)
				}
				checkTraced(t, c, h.next(t), endpoint, way.http2)
			})
		}
	}
}

func checkTraced(t *testing.T, c *collector, told http.Header, endpoint string, http2 bool) {
	t.Helper()
	r := c.one()
	if got := fmt.Sprintf("%x %x", r.server.TraceId, r.server.ParentSpanId); got != traceID+" "+callerSpan {
		t.Errorf("the request's trace and parent are %s", got)
	}
	if len(r.attempts) != 1 {
		t.Fatalf("there are %d attempts, want 1", len(r.attempts))
	}
	a := r.attempts[0]
	if got := told.Values("traceparent"); !slices.Equal(got, []string{parentOf(a)}) {
		t.Errorf("the endpoint was told %q, want %q", got, parentOf(a))
	}
	if got := told.Values("tracestate"); !slices.Equal(got, []string{"a=1,b=2"}) || a.TraceState != "a=1,b=2" {
		t.Errorf("the endpoint was told the state %q", got)
	}
	version := "1.1"
	if http2 {
		version = "2"
	}
	host, port, _ := net.SplitHostPort(endpoint)
	check(t, r.server, map[string]any{"http.request.method": "POST", "url.path": "/v1/chat/completions", "url.scheme": "http",
		"http.route": "/v1/chat/completions", "http.response.status_code": 200, "network.protocol.version": version,
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "vllm", "gen_ai.request.model": "llama", "gen_ai.response.model": "llama-8b-of-the-server",
		"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 5, "penstock.route": "chats", "penstock.pool": "main",
		"penstock.endpoint": endpoint, "penstock.attempts": 1, "penstock.outcome": "completed", "error.type": "-", "rpc.system.name": "-"})
	check(t, a, map[string]any{"http.request.method": "POST", "url.path": "/v1/chat/completions", "url.full": "http://" + endpoint + "/v1/chat/completions",
		"http.response.status_code": 200,
		"server.address":            host, "server.port": port, "gen_ai.operation.name": "chat", "gen_ai.request.model": "llama-8b", "gen_ai.response.model": "llama-8b-of-the-server",
		"gen_ai.usage.input_tokens": 11, "gen_ai.usage.cache_read.input_tokens": 7, "gen_ai.usage.output_tokens": 5, "penstock.pool": "main", "penstock.endpoint": endpoint,
		"http.request.resend_count": "-", "penstock.retry_reason": "-", "error.type": "-"})
	if r.server.Name != "POST /v1/chat/completions" || a.Name != "chat llama-8b" {
		t.Errorf("the spans are called %q and %q", r.server.Name, a.Name)
	}
	if r.server.StartTimeUnixNano > a.StartTimeUnixNano || a.EndTimeUnixNano > r.server.EndTimeUnixNano || a.StartTimeUnixNano > a.EndTimeUnixNano {
		t.Error("the attempt is not within the request")
	}
	if age := time.Since(time.Unix(0, int64(r.server.StartTimeUnixNano))); age < 0 || age > 2*patience {
		t.Errorf("the request began %v ago", age)
	}
	have := attributesOf(c.resource.Values)
	if have["service.name"] != "penstock" || have["deployment.environment.name"] != "test" {
		t.Errorf("the resource is %v", have)
	}
	if strings.Contains(string(c.raw), "secret") {
		t.Errorf("a secret was exported: %q", c.raw)
	}
}

// traceparents says what an endpoint is told where a client said what. "=" is the client's own word, "new" a trace of the gateway.
func TestWhatEndpointsAreToldOfTraces(t *testing.T) {
	const unsampled = "00-" + traceID + "-" + callerSpan + "-00"
	for _, c := range []struct {
		name, sampler, arg string
		client             []string
		want               string // a prefix, or "="
		flags              string
		traced             bool
	}{
		{"not sampled by the caller", "", "", []string{unsampled}, "=", "", false},
		{"not sampled by the caller, which does not count", "always_on", "", []string{unsampled}, "00-" + traceID + "-", "-01", true},
		{"sampled by the caller, which does not count", "always_off", "", []string{sampledBy}, "=", "", false},
		{"a new trace", "", "", nil, "00-", "-01", true},
		{"a new trace that is not sampled", "parentbased_traceidratio", "0", nil, "00-", "-00", false},
		{"malformed", "", "", []string{"00-" + traceID + "-" + callerSpan + "-1"}, "00-", "-01", true},
		{"malformed and not sampled", "parentbased_always_off", "", []string{strings.ToUpper(sampledBy)}, "00-", "-00", false},
		{"twice", "", "", []string{sampledBy, sampledBy}, "00-", "-01", true},
		{"a later version", "", "", []string{"01-" + traceID + "-" + callerSpan + "-03-more"}, "00-" + traceID + "-", "-03", true},
	} {
		for _, way := range ways {
			t.Run(c.name+" "+way.name, func(t *testing.T) {
				col := collect(t, "http/protobuf")
				t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
				t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.arg)
				h := newHeads()
				g := start(t, poolAt(way.scheme, model(t, h, answerChat))+routed)
				fields := []string{"tracestate: a=1"}
				for _, v := range c.client {
					fields = append(fields, "traceparent: "+v)
				}
				chat(t, caller(t, way.http2), g, fields...)
				told := h.next(t)
				checkTold(t, told, c.client, c.want, c.flags)
				if keeps := c.want == "=" || strings.Contains(c.want, traceID); keeps != (told.Get("tracestate") == "a=1") {
					t.Errorf("the state is %q", told.Values("tracestate"))
				}
				g.stop() // what was traced is sent by then
				if n := len(col.requests()); n != len(map[bool][]int{true: {1}}[c.traced]) {
					t.Errorf("%d requests were traced", n)
				}
			})
		}
	}
}

func checkTold(t *testing.T, told http.Header, client []string, want, flags string) {
	t.Helper()
	got := told.Values("traceparent")
	switch {
	case want == "=" && slices.Equal(got, client):
	case want != "=" && len(got) == 1 && len(got[0]) == 55 && strings.HasPrefix(got[0], want) && strings.HasSuffix(got[0], flags) &&
		!slices.Contains(client, got[0]) && strings.Contains(want, traceID) == strings.Contains(got[0], traceID):
	default:
		t.Errorf("the endpoint was told %q", got)
	}
}

func TestWithoutTracingTheTraceContextPassesThrough(t *testing.T) {
	for _, env := range []map[string]string{
		{},
		{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
		{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
	} {
		for name, value := range env {
			t.Setenv(name, value)
		}
		for _, way := range ways {
			h := newHeads()
			g := start(t, poolAt(way.scheme, model(t, h, answerChat))+routed)
			chat(t, caller(t, way.http2), g, "traceparent: of any kind", "tracestate: a", "tracestate: b")
			told := h.next(t)
			if p, s := told.Values("traceparent"), told.Values("tracestate"); !slices.Equal(p, []string{"of any kind"}) || !slices.Equal(s, []string{"a", "b"}) {
				t.Errorf("%v, %s: the endpoint was told %q and %q", env, way.name, p, s)
			}
			if g.telemetry.Tracer != nil {
				t.Errorf("%v: traces are on", env)
			}
		}
	}
}

func TestRetriesAreSiblings(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "http/protobuf")
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			dead := l.Addr().String()
			l.Close()
			h := newHeads()
			endpoint := model(t, h, answerChat)
			config := strings.Replace(poolAt(way.scheme, dead, endpoint), "    engine",
				"    balance: round-robin\n    eject: {consecutiveFailures: 0}\n    engine", 1)
			g := start(t, config+routed)
			client := caller(t, way.http2)
			for range 2 { // one of them finds the dead one first
				if status, _ := chat(t, client, g); status != 200 {
					t.Fatalf("the client got %d", status)
				}
			}
			list := c.await(2)
			i := slices.IndexFunc(list, func(r traced) bool { return len(r.attempts) == 2 })
			if i < 0 {
				t.Fatal("no request was tried again")
			}
			r := list[i]
			check(t, r.server, map[string]any{"penstock.attempts": 2, "penstock.endpoint": endpoint, "error.type": "-"})
			check(t, r.attempts[0], map[string]any{"penstock.endpoint": dead, "error.type": "connect_failed", "http.response.status_code": "-",
				"http.request.resend_count": "-", "gen_ai.usage.input_tokens": "-"})
			check(t, r.attempts[1], map[string]any{"penstock.endpoint": endpoint, "error.type": "-", "http.request.resend_count": 1,
				"penstock.retry_reason": "connect_failed", "http.response.status_code": 200})
			if s := r.attempts[0].Status; s.GetCode() != otlp.Status_STATUS_CODE_ERROR || !strings.Contains(s.GetMessage(), "refused") {
				t.Errorf("the first attempt has the status %v", s)
			}
			told := []string{h.next(t).Get("traceparent"), h.next(t).Get("traceparent")}
			if !slices.Contains(told, parentOf(r.attempts[1])) {
				t.Errorf("the endpoint was told %q, want %q", told, parentOf(r.attempts[1]))
			}
		})
	}
}

func TestTraceOfAStream(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "grpc")
			g := start(t, poolAt(way.scheme, model(t, newHeads(), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				io.WriteString(w, "data: {\"choices\":[]}\n\n")
				w.(http.Flusher).Flush()
				io.WriteString(w, "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n")
			}))+routed)
			chat(t, caller(t, way.http2), g)
			r := c.one()
			if got := events(r.server); !slices.Equal(got, []string{"penstock.first_token"}) {
				t.Errorf("the request's events are %q", got)
			}
			if got := events(r.attempts[0]); !slices.Equal(got, []string{"penstock.response_head", "penstock.first_token"}) {
				t.Errorf("the attempt's events are %q", got)
			}
			check(t, r.server, map[string]any{"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 9})
		})
	}
}

// TestModelThatNoRouteReads has a route that takes any request: the model is in the trace where the body comes before the request goes on, and never in
// the access log or what the endpoint gets.
func TestModelThatNoRouteReads(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "http/protobuf")
			bodies := make(chan string, 1)
			g := start(t, poolAt(way.scheme, model(t, newHeads(), func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				bodies <- string(body)
				w.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(w, "data: {\"id\":\"x\",\"model\":\"llama-v2\",\"choices\":[{\"delta\":{\"content\":\"the secret\"}}]}\n\ndata: [DONE]\n\n")
			})))
			chat(t, caller(t, way.http2), g)
			r := c.one()
			for _, s := range []*otlp.Span{r.server, r.attempts[0]} {
				check(t, s, map[string]any{"gen_ai.request.model": "llama", "gen_ai.response.model": "llama-v2"})
			}
			if r.attempts[0].Name != "chat llama" {
				t.Errorf("the attempt is called %q", r.attempts[0].Name)
			}
			if got := <-bodies; got != chatBody {
				t.Errorf("the endpoint got %s", got)
			}
			if line := g.access.await(t, 1)[0]; !strings.Contains(line, `"model":""`) {
				t.Errorf("the line is %s", line)
			}
			if strings.Contains(string(c.raw), "secret") {
				t.Errorf("a secret was exported: %q", c.raw)
			}
		})
	}
}

// TestWaitInTheQueueInItsTrace fills an endpoint, and then asks for more than its queue of one holds: once a request is refused for that, the other one
// waits.
func TestWaitInTheQueueInItsTrace(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "http/protobuf")
			h, release := newHeads(), make(chan struct{})
			endpoint := model(t, h, func(w http.ResponseWriter, r *http.Request) {
				<-release
				answerChat(w, r)
			})
			g := start(t, strings.Replace(poolAt(way.scheme, endpoint), "    engine", "    maxInFlight: 1\n    queue: {size: 1}\n    engine", 1)+routed)
			client, statuses := caller(t, way.http2), make(chan int, 3)
			ask := func() {
				status, _ := chat(t, client, g)
				statuses <- status
			}
			go ask()
			h.next(t)
			go ask()
			go ask()
			if status := <-statuses; status != 429 {
				t.Errorf("the request that found the queue full got %d", status)
			}
			close(release)
			if a, b := <-statuses, <-statuses; a != 200 || b != 200 {
				t.Errorf("the other ones got %d and %d", a, b)
			}
			waited := 0
			for i, r := range c.await(3) {
				if len(events(r.server)) == 0 {
					continue
				}
				waited++
				if got := events(r.server); i == 0 || !slices.Equal(got, []string{"penstock.queued", "penstock.dequeued"}) {
					t.Errorf("the events of request %d are %q", i, got)
				}
				if wait := attributesOf(r.server.Attributes)["penstock.queue_wait_ms"]; wait.(float64) <= 0 {
					t.Errorf("the request waited for %v ms", wait)
				}
			}
			if waited != 1 {
				t.Errorf("%d requests have events of a queue, want 1", waited)
			}
		})
	}
}

func TestTraceOfATunnel(t *testing.T) {
	c := collect(t, "http/protobuf")
	h := newHeads()
	g := start(t, pool(model(t, h, func(w http.ResponseWriter, r *http.Request) {
		conn, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(conn, both)
	})))
	conn, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(conn)
	if _, err := http.ReadResponse(r, nil); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "there and back")
	conn.(*net.TCPConn).CloseWrite()
	if echo, _ := io.ReadAll(r); string(echo) != "there and back" {
		t.Errorf("the tunnel gave %q", echo)
	}
	span := c.one()
	check(t, span.server, map[string]any{"http.response.status_code": 101, "error.type": "-", "url.path": "/chat"})
	if got := h.next(t).Get("traceparent"); len(span.attempts) != 1 || got != parentOf(span.attempts[0]) {
		t.Errorf("the endpoint was told %q", got)
	}
}

func TestMirrorsHaveNoSpans(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := collect(t, "http/protobuf")
			original, copied := newHeads(), newHeads()
			g := start(t, poolAt(way.scheme, model(t, original, answerChat))+"  copies: {endpoints: [\"http://"+model(t, copied, answerChat)+"\"]}\n"+
				"routes:\n  - {match: {model: llama}, split: [{pool: main}], mirror: {pool: copies, percent: 100}}\n")
			chat(t, caller(t, way.http2), g, "traceparent: "+sampledBy)
			r := c.one()
			if got := original.next(t).Get("traceparent"); got != parentOf(r.attempts[0]) {
				t.Errorf("the endpoint was told %q", got)
			}
			if got := copied.next(t).Get("traceparent"); got != parentOf(r.server) {
				t.Errorf("the mirror was told %q, want %q", got, parentOf(r.server))
			}
			g.stop()
			if len(c.spans) != 2 {
				t.Errorf("there are %d spans, want 2", len(c.spans))
			}
		})
	}
}

func TestRouteMayKeepTracesToItself(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			collect(t, "http/protobuf")
			h := newHeads()
			g := start(t, poolAt(way.scheme, model(t, h, answerChat))+
				"routes:\n  - {match: {model: llama}, split: [{pool: main}], requestHeaders: {remove: [traceparent, tracestate]}}\n")
			chat(t, caller(t, way.http2), g, "traceparent: "+sampledBy, "tracestate: a=1")
			if told := h.next(t); told.Get("traceparent") != "" || told.Get("tracestate") != "" {
				t.Errorf("the endpoint was told %v", told)
			}
		})
	}
}

func TestTracesAreInTheAccessLog(t *testing.T) {
	c := collect(t, "http/protobuf")
	g := start(t, pool(answering(t, "hello")))
	chat(t, caller(t, false), g)
	id := fmt.Sprintf("%q:%q", "trace_id", fmt.Sprintf("%x", c.one().server.TraceId))
	if line := g.access.await(t, 1)[0]; !strings.Contains(line, id) {
		t.Errorf("the line %s has no %s", line, id)
	}
}
