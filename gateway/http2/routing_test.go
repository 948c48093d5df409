package http2

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// named serves endpoints that answer with their names, and a configuration in which they are the pools of these names.
func named(t *testing.T, routes string, names ...string) (*gateway, *party) {
	t.Helper()
	yaml := "pools:\n"
	var all []*endpoint
	for _, name := range names {
		e := startEndpoint(t)
		e.serve(func(s *party, q *record) {
			s.headers(q, list(":status", "200", "content-type", "application/grpc", "x-pool", name, "x-path", q.head.get(":path")), false)
			s.upload(q, q.body, false)
			s.endCall(q, "0")
		})
		all = append(all, e)
		yaml += fmt.Sprintf("  %s: {endpoints: [\"h2c://ENDPOINT\"]}\n", name)
	}
	g := startGateway(t, yaml+routes, all...)
	return g, g.dial()
}

func TestRoutes(t *testing.T) {
	g, c := named(t, `
routes:
- match: {grpcService: a.Service, grpcMethod: Special}
  split: [{pool: method}]
- match: {grpcService: a.Service}
  split: [{pool: service}]
- match: {host: other.example}
  split: [{pool: host}]
- match: {headers: {x-tenant: acme}}
  split: [{pool: header}]
- match: {path: /prefix}
  split: [{pool: path}]
  rewrite: {pathPrefix: /inner}
  requestHeaders: {set: {x-set: "1"}, remove: [x-drop]}
  responseHeaders: {set: {x-answer: "2"}, remove: [x-path]}
`, "method", "service", "host", "header", "path")
	for i, test := range []struct {
		head fields
		pool string
		path string
	}{
		{callOf("/a.Service/Special"), "method", "/a.Service/Special"},
		{callOf("/a.Service/Other"), "service", "/a.Service/Other"},
		{list(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "other.example:80"), "host", "/"},
		{list(":method", "GET", ":scheme", "http", ":path", "/", "host", "other.example"), "host", "/"},
		{callOf("/b.Service/m").with("x-tenant", "acme"), "header", "/b.Service/m"},
		{getOf("/prefix/x?y=z"), "path", ""},
	} {
		r := c.request(test.head, true)
		c.whole(r)
		if r.head.get("x-pool") != test.pool || r.head.get("x-path") != test.path {
			t.Errorf("%v went to %s as %s, want %s as %s", test.head, r.head.get("x-pool"), r.head.get("x-path"), test.pool, test.path)
		}
		if end := g.wantEnded(i, dispatch.Completed, 200); end.pool != test.pool {
			t.Errorf("the observer saw pool %s, want %s", end.pool, test.pool)
		}
		if test.pool == "path" && r.head.get("x-answer") != "2" {
			t.Errorf("the answer is %v", r.head)
		}
	}
}

func TestEditsOfRequests(t *testing.T) {
	e, _, c := start(t, simple+`
debugHeaders: true
routes:
- match: {path: /prefix}
  split: [{pool: only}]
  rewrite: {pathPrefix: /inner}
  requestHeaders: {set: {x-set: "1"}, remove: [x-drop]}
`)
	r := c.request(getOf("/prefix/x?y=z").with("x-set", "theirs", "x-drop", "a", "x-keep", "b", "x-forwarded-for", "1.2.3.4",
		"x-forwarded-proto", "https", "forwarded", "for=1.2.3.4", "x-real-ip", "1.2.3.4", "x-request-id", "mine"), true)
	s := e.accept()
	q := s.takeWhole()
	for name, want := range map[string]string{
		":path": "/inner/x?y=z", "x-set": "1", "x-drop": "", "x-keep": "b", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http",
		"x-forwarded-host": "gateway", "forwarded": "", "x-real-ip": "", "x-request-id": "mine",
	} {
		if got := q.head.get(name); got != want {
			t.Errorf("%s came as %q, want %q", name, got, want)
		}
	}
	s.respond(q, "200", "ok")
	c.wantAnswer(r, "200", "ok")
	if r.head.get("x-request-id") != "mine" || r.head.get("x-penstock-endpoint") != e.addr {
		t.Errorf("the answer's head is %v", r.head)
	}
}

func TestTrustedProxies(t *testing.T) {
	e, _, c := start(t, "trustedProxies: [\"127.0.0.0/8\"]\n"+simple)
	r := c.request(callOf("/s/m").with("x-forwarded-for", "1.2.3.4", "x-forwarded-for", "5.6.7.8", "x-forwarded-proto", "https",
		"x-forwarded-host", "outer", "x-real-ip", "1.2.3.4"), true)
	s := e.accept()
	q := s.takeWhole()
	for name, want := range map[string]string{
		"x-forwarded-for": "1.2.3.4, 5.6.7.8, 127.0.0.1", "x-forwarded-proto": "https", "x-forwarded-host": "outer", "x-real-ip": "1.2.3.4",
	} {
		if got := q.head.get(name); got != want {
			t.Errorf("%s came as %q, want %q", name, got, want)
		}
	}
	s.answerCall(q)
	c.wantStatus(r, "0")
}

// predict is a message of TensorFlow Serving's Predict.
func predict(model string) string {
	spec := protowire.AppendTag(nil, 1, protowire.BytesType)
	spec = protowire.AppendString(spec, model)
	m := protowire.AppendTag(nil, 1, protowire.BytesType)
	m = protowire.AppendBytes(m, spec)
	return message(string(m))
}

const byModel = `
limits: {heldBodyBytes: 600KiB}
routes:
- match: {model: small}
  split: [{pool: one}]
- match: {model: other}
  split: [{pool: two, model: "another-name"}]
`

func TestModelChoosesThePool(t *testing.T) {
	g, c := named(t, byModel, "one", "two")
	const tfs = "/tensorflow.serving.PredictionService/Predict"
	json := `{"prompt":"` + strings.Repeat("x", 500_000) + `","model":"other"}`
	n := 0
	for name, test := range map[string]struct {
		head       fields
		body, pool string
		want       string // where it is not body
	}{
		"KServe":                    {callOf(inferMethod), infer("small", 10, 10), "one", ""},
		"KServe, alias":             {callOf(inferMethod), infer("other", 10, 10), "two", infer("another-name", 10, 10)},
		"KServe, beyond the window": {callOf(inferMethod), infer("other", 500_000, 500_000), "two", infer("another-name", 500_000, 500_000)},
		"KServe, in front of much":  {callOf(inferMethod), infer("small", 0, 2_000_000), "one", ""},
		"TensorFlow Serving":        {callOf(tfs), predict("small"), "one", ""},
		"TensorFlow Serving, alias": {callOf(tfs), predict("other"), "two", predict("another-name")},
		"JSON":                      {postOf("/v1/x"), `{"model":"small"}`, "one", ""},
		"JSON, beyond the window":   {postOf("/v1/x"), json, "two", strings.Replace(json, "other", "another-name", 1)},
		"a stream, with both models": {callOf("/inference.GRPCInferenceService/ModelStreamInfer"),
			infer("other", 1, 1) + infer("small", 1, 1) + infer("other", 9, 9), "two",
			infer("another-name", 1, 1) + infer("small", 1, 1) + infer("another-name", 9, 9)},
	} {
		r := c.request(test.head, false)
		c.upload(r, []byte(test.body), true)
		c.whole(r)
		want := test.want
		if want == "" {
			want = test.body
		}
		if r.head.get("x-pool") != test.pool || string(r.body) != want {
			t.Errorf("%s went to %q with %d bytes (or others), want %q with %d", name, r.head.get("x-pool"), len(r.body), test.pool, len(want))
		}
		model := map[string]string{"one": "small", "two": "other"}[test.pool]
		if end := g.wantEnded(n, dispatch.Completed, 200); end.pool != test.pool || end.model != model {
			t.Errorf("%s: the observer saw pool %s and model %s", name, end.pool, end.model)
		}
		n++
	}
	g.wantWholeWindows()
}

// TestEveryMessageOfAStreamIsRenamed as it comes, in pieces, while the first ones are with the endpoint already.
func TestEveryMessageOfAStreamIsRenamed(t *testing.T) {
	for _, test := range []struct{ from, to string }{{"small", "a-model-with-a-much-longer-name"}, {"a-model-with-a-long-name", "s"}} {
		e := startEndpoint(t, window(20_000))
		g := startGateway(t, aliased, e)
		c := g.dial()
		r := c.request(callOf("/inference.GRPCInferenceService/ModelStreamInfer"), false)
		var s *party
		var q *record
		want := ""
		for i := range 30 {
			m := infer(test.from, i, 100*i)
			for len(m) > 0 {
				n := min(len(m), 700)
				c.upload(r, []byte(m[:n]), false)
				m = m[n:]
			}
			want += infer(test.to, i, 100*i)
			if s == nil {
				s = e.accept()
				q = s.take()
			}
			s.await("a message", func() bool { return len(q.body) >= len(want) })
		}
		c.data(r, "", true)
		s.whole(q)
		if string(q.body) != want {
			t.Errorf("%d bytes came, or others; want %d", len(q.body), len(want))
		}
		s.answerCall(q)
		c.wantStatus(r, "0")
		g.wantOutcome(0, dispatch.Completed)
		g.wantWholeWindows()
	}
}

func TestModelThatCannotBeFound(t *testing.T) {
	g, c := named(t, byModel, "one", "two")
	late := `{"prompt":"` + strings.Repeat("x", 700_000) + `","model":"small"}`
	compressed := "\x01" + infer("small", 1, 1)[1:]
	n := 0
	for name, test := range map[string]struct {
		head   fields
		body   string
		isCall bool
		status int
		code   string
	}{
		"another model":          {callOf(inferMethod), infer("none", 1, 1), true, 404, "model_not_found"},
		"no model":               {callOf(inferMethod), message(""), true, 400, "model_required"},
		"no message":             {callOf(inferMethod), "", true, 400, "model_required"},
		"a compressed message":   {callOf(inferMethod), compressed, true, 415, "encoded_body"},
		"no protobuf":            {callOf(inferMethod), message("\xff\xff\xff\xff"), true, 400, "invalid_message"},
		"half a message":         {callOf(inferMethod), infer("small", 100, 1)[:50], true, 400, "invalid_message"},
		"too late":               {callOf(inferMethod), infer("small", 700_000, 1), true, 413, "model_not_found_in_body"},
		"another method":         {callOf("/s/m"), message("x"), true, 400, "model_required"},
		"JSON, another model":    {postOf("/v1/x"), `{"model":"none"}`, false, 404, "model_not_found"},
		"JSON, no model":         {postOf("/v1/x"), `{}`, false, 400, "model_required"},
		"JSON, too late":         {postOf("/v1/x"), late, false, 413, "model_not_found_in_body"},
		"JSON, with an encoding": {postOf("/v1/x").with("content-encoding", "gzip"), `{"model":"small"}`, false, 415, "encoded_body"},
	} {
		r := c.request(test.head, false)
		c.upload(r, []byte(test.body), true)
		if test.body == "" {
			c.data(r, "", true)
		}
		c.whole(r)
		last := r.head
		if test.isCall {
			if reason, _ := details(t, last); reason != test.code {
				t.Errorf("%s: got %s, want %s", name, reason, test.code)
			}
		} else if last.get(":status") != fmt.Sprint(test.status) || !strings.Contains(string(r.body), test.code) {
			t.Errorf("%s: got %s %s, want %d %s", name, last.get(":status"), r.body, test.status, test.code)
		}
		if end := g.wantEnded(n, dispatch.Refused, test.status); end.code != test.code {
			t.Errorf("%s: the observer saw %s", name, end.code)
		}
		n++
	}
	g.wantWholeWindows()
}

func TestSplitsAndStickyKeys(t *testing.T) {
	g, c := named(t, `
routes:
- split: [{pool: one, weight: 50}, {pool: two, weight: 50}]
  sticky: {header: x-user}
`, "one", "two")
	counts := make(map[string]int)
	for range 100 {
		r := c.request(callOf("/s/m"), true)
		c.whole(r)
		counts[r.head.get("x-pool")]++
	}
	if counts["one"] < 20 || counts["two"] < 20 || counts["one"]+counts["two"] != 100 {
		t.Errorf("calls went to %v", counts)
	}
	pools := make(map[string]bool)
	for user := range 20 {
		of := ""
		for range 5 {
			r := c.request(callOf("/s/m").with("x-user", fmt.Sprint(user)), true)
			c.whole(r)
			pool := r.head.get("x-pool")
			if of != "" && of != pool {
				t.Errorf("user %d went to %s and then to %s", user, of, pool)
			}
			of = pool
		}
		pools[of] = true
	}
	if len(pools) != 2 {
		t.Errorf("users went to %v alone", pools)
	}
	g.await(200)
}

// TestCallsOfOneConnectionAreBalanced has one client call over one connection: each call is balanced by itself.
func TestCallsOfOneConnectionAreBalanced(t *testing.T) {
	e1, e2 := startEndpoint(t), startEndpoint(t)
	g := startGateway(t, two, e1, e2)
	c := g.dial()
	counts := make(map[string]int)
	for _, e := range []*endpoint{e1, e2} {
		e.serve(func(s *party, q *record) {
			s.headers(q, list(":status", "200", "content-type", "application/grpc", "x-from", e.addr, "grpc-status", "0"), true)
		})
	}
	for range 20 {
		r := c.request(callOf("/s/m"), true)
		c.wantStatus(r, "0")
		counts[r.head.get("x-from")]++
	}
	if counts[e1.addr] != 10 || counts[e2.addr] != 10 {
		t.Errorf("calls went to %v", counts)
	}
	g.await(20)
}

func TestQueueKeepsOrder(t *testing.T) {
	e, g, c := start(t, one)
	s := warm(c, e)
	busy := c.request(callOf("/s/busy"), true)
	q := s.takeWhole()
	var all []*record
	for i := range 5 {
		r := c.request(callOf(fmt.Sprintf("/s/%d", i)), false)
		c.upload(r, pattern(1000), true)
		all = append(all, r)
		eventually(t, "it waits", func() bool { return g.dispatcher.Pool("only").QueueLen() == i+1 })
	}
	s.answerCall(q)
	c.wantStatus(busy, "0")
	for i, r := range all {
		q := s.takeWhole()
		if want := fmt.Sprintf("/s/%d", i); q.head.get(":path") != want || len(q.body) != 1000 {
			t.Errorf("%s came with %d bytes, want %s", q.head.get(":path"), len(q.body), want)
		}
		s.answerCall(q)
		c.wantStatus(r, "0")
	}
	g.await(7)
}

// counting ejects what has failed three times in a row, for good.
type counting struct{}

func (counting) SetEndpoints([]*balancer.Endpoint, bool) []*balancer.Endpoint { return nil }
func (counting) Success(e *balancer.Endpoint)                                 { e.Failures.Store(0) }
func (counting) Due(int64) []*balancer.Endpoint                               { return nil }
func (counting) Next() int64                                                  { return 0 }
func (counting) Failure(e *balancer.Endpoint, now int64) (bool, int64) {
	return e.Failures.Add(1) == 3, now + int64(patience)
}

func TestFailuresEject(t *testing.T) {
	good, bad := startEndpoint(t), startEndpoint(t)
	good.serve(func(s *party, q *record) { s.answerCall(q) })
	bad.serve(func(s *party, q *record) { s.cancel(q, errInternal) })
	g := setup{ejector: func(config.Eject) dispatch.Ejector { return counting{} }}.start(t, two, good, bad)
	c := g.dial()
	failed := 0
	for range 20 {
		if r := c.whole(c.request(callOf("/s/m"), true)); r.reset {
			failed++
		}
	}
	if failed != 3 {
		t.Errorf("%d calls failed, want 3", failed)
	}
	if n := g.dispatcher.Pool("only").Ready(); n != 1 {
		t.Errorf("%d endpoints are ready, want 1", n)
	}
}

// TestWhatIsNobodysFaultEjectsNobody ends calls in ways that are no failure of their endpoint.
func TestWhatIsNobodysFaultEjectsNobody(t *testing.T) {
	e := startEndpoint(t)
	g := setup{ejector: func(config.Eject) dispatch.Ejector { return counting{} }}.start(t, never, e)
	c := g.dial()
	s := warm(c, e)
	ends := []func(r, q *record){
		func(r, q *record) { c.cancel(r, errCancel); s.wantReset(q, errCancel) },
		func(r, q *record) { s.cancel(q, errRefused); c.wantStatus(r, "14") },
		func(r, q *record) {
			s.headers(q, list(":status", "200", "content-type", "application/grpc", "grpc-status", "14"), true)
			c.wantStatus(r, "14")
		},
		func(r, q *record) {
			s.headers(q, list(":status", "200", "content-type", "application/grpc", "grpc-status", "13"), true)
			c.wantStatus(r, "13")
		},
		func(r, q *record) { g.look(11 * time.Second); c.wantStatus(r, "4") },
	}
	for range 4 {
		for _, end := range ends {
			r := c.request(callOf("/s/m").with("grpc-timeout", "10S"), true)
			end(r, s.takeWhole())
		}
	}
	g.await(1 + 4*len(ends))
	only := g.dispatcher.Pool("only").Endpoints()[0]
	if n := only.Balancer.Failures.Load(); n != 0 || only.Ejections() != 0 {
		t.Errorf("%d failures were counted", n)
	}
	if n := only.BackPressure(); n != 4 {
		t.Errorf("back-pressure was counted %d times, want 4", n)
	}
}
