package http2

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestTrailersOnly(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	for i, test := range []struct{ code, status int }{{0, 200}, {5, 404}, {8, 429}, {14, 503}, {99, 500}} {
		r := c.request(callOf("/s/m"), true)
		q := s.takeWhole()
		s.headers(q, list(":status", "200", "content-type", "application/grpc", "grpc-status", fmt.Sprint(test.code),
			"grpc-message", "why%20not", "x-bin", "AAEC"), true)
		c.wantStatus(r, fmt.Sprint(test.code))
		if r.trailers != nil || r.head.get("grpc-message") != "why%20not" || r.head.get("x-bin") != "AAEC" {
			t.Errorf("got %v and %v", r.head, r.trailers)
		}
		end := g.wantEnded(i+1, dispatch.Completed, test.status)
		if end.grpc != test.code || end.busy != (test.code == 8 || test.code == 14) || end.code != "" || end.events != 0 {
			t.Errorf("the observer saw %+v", end)
		}
	}
}

func TestTrailersAreRelayed(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r := c.request(callOf("/s/m").with("trace-bin", "AAECAwQ="), false)
	c.data(r, message("question"), false)
	c.headers(r, list("x-sum", "request"), true)
	q := s.takeWhole()
	if q.trailers.get("x-sum") != "request" || q.head.get("trace-bin") != "AAECAwQ=" {
		t.Errorf("the request came with %v and %v", q.head, q.trailers)
	}
	s.headers(q, list(":status", "200", "content-type", "application/grpc+proto", "grpc-encoding", "gzip", "x-bin", "//8"), false)
	s.upload(q, []byte(message("one")+message("")+message("three")), false)
	s.headers(q, list("grpc-status", "10", "grpc-message", "%C3%A4", "grpc-status-details-bin", "CAo", "x-a", "1", "x-a", "2"), true)
	last := c.wantStatus(r, "10")
	if r.head.get("content-type") != "application/grpc+proto" || r.head.get("grpc-encoding") != "gzip" || r.head.get("x-bin") != "//8" {
		t.Errorf("the head is %v", r.head)
	}
	if last.get("grpc-message") != "%C3%A4" || last.get("grpc-status-details-bin") != "CAo" || last.get("x-a") != "1|2" {
		t.Errorf("the trailers are %v", last)
	}
	if end := g.wantEnded(1, dispatch.Completed, 409); end.grpc != 10 || end.events != 3 || !end.streamed {
		t.Errorf("the observer saw %+v", end)
	}
}

func TestCallWithoutAStatus(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r := c.request(callOf("/s/m"), true)
	q := s.takeWhole()
	s.beginCall(q)
	s.upload(q, []byte(message("answer")), true)
	c.whole(r)
	if !r.ended || r.trailers != nil {
		t.Errorf("the response ended %v with %v", r.ended, r.trailers)
	}
	if end := g.wantOutcome(1, dispatch.Completed); end.grpc != 2 {
		t.Errorf("the observer saw status %d, want 2", end.grpc)
	}
	// What speaks no gRPC answers in HTTP.
	for i, test := range []struct{ status, grpc int }{{404, 12}, {503, 14}, {200, 2}} {
		r = c.request(callOf("/s/m"), true)
		s.respond(s.takeWhole(), fmt.Sprint(test.status), "<html>")
		c.wantAnswer(r, fmt.Sprint(test.status), "<html>")
		if end := g.wantEnded(i+2, dispatch.Completed, test.status); end.grpc != test.grpc {
			t.Errorf("%d is status %d to the observer, want %d", test.status, end.grpc, test.grpc)
		}
	}
}

func TestInterimResponses(t *testing.T) {
	e, _, c := start(t, simple)
	s := warm(c, e)
	r := c.request(postOf("/x").with("expect", "100-continue"), false)
	q := s.take()
	if q.head.get("expect") != "100-continue" {
		t.Errorf("the request came as %v", q.head)
	}
	s.headers(q, list(":status", "100"), false)
	c.await("100", func() bool { return len(r.interim) == 1 })
	c.data(r, "{}", true)
	s.whole(q)
	s.headers(q, list(":status", "103", "link", "</a>; rel=preload"), false)
	s.respond(q, "200", "ok")
	c.wantAnswer(r, "200", "ok")
	if len(r.interim) != 2 || r.interim[0].get(":status") != "100" || r.interim[1].get("link") != "</a>; rel=preload" {
		t.Errorf("interim responses came as %v", r.interim)
	}
	// Calls have none.
	r = c.request(callOf("/s/m"), true)
	q = s.takeWhole()
	s.headers(q, list(":status", "103"), false)
	s.answerCall(q)
	c.wantStatus(r, "0")
	if len(r.interim) != 0 {
		t.Errorf("interim responses came as %v", r.interim)
	}
}

func TestResponsesWithoutABody(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	for i, test := range []struct{ method, status, length string }{
		{"HEAD", "200", "100"}, {"HEAD", "404", ""}, {"GET", "204", ""}, {"GET", "304", "100"}, {"GET", "200", "0"}, {"POST", "200", ""},
	} {
		head := getOf("/x")
		head[0].Value = test.method
		r := c.request(head, true)
		q := s.takeWhole()
		answer := list(":status", test.status)
		if test.length != "" {
			answer = answer.with("content-length", test.length)
		}
		s.headers(q, answer, true)
		c.wantAnswer(r, test.status, "")
		if got := r.head.get("content-length"); got != test.length || q.head.get(":method") != test.method {
			t.Errorf("%s got %s with content-length %q, want %q", q.head.get(":method"), test.status, got, test.length)
		}
		g.wantOutcome(i+1, dispatch.Completed)
	}
}

// TestResponsesOfAnotherLength has endpoints send other than what they said.
func TestResponsesOfAnotherLength(t *testing.T) {
	for name, test := range map[string]struct {
		play  func(s *party, q *record, head fields)
		early bool // it is known before the head goes to the client
	}{
		"too short": {func(s *party, q *record, head fields) {
			s.headers(q, head, false)
			s.data(q, "123", true)
		}, false},
		"too short, with trailers": {func(s *party, q *record, head fields) {
			s.headers(q, head, false)
			s.data(q, "123", false)
			s.headers(q, list("x-a", "b"), true)
		}, false},
		"too long": {func(s *party, q *record, head fields) {
			s.headers(q, head, false)
			s.data(q, "12345678901", true)
		}, false},
		"no body": {func(s *party, q *record, head fields) { s.headers(q, head, true) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r := c.request(getOf("/x"), true)
			test.play(s, s.takeWhole(), list(":status", "200", "content-length", "10"))
			if test.early {
				c.whole(r)
				if r.head.get(":status") != "502" {
					t.Errorf("got %v", r.head)
				}
			} else {
				c.wantReset(r, errInternal)
			}
			g.wantOutcome(1, dispatch.UpstreamBroken)
			r = c.request(callOf("/s/m"), true)
			test.play(s, s.takeWhole(), list(":status", "200", "content-type", "application/grpc", "content-length", "10"))
			c.wantStatus(r, "14")
			g.wantOutcome(2, dispatch.UpstreamBroken)
			g.wantWholeWindows()
		})
	}
}

func TestRequestsOfAnotherLength(t *testing.T) {
	for name, play := range map[string]func(c *party, r *record){
		"too short":                func(c *party, r *record) { c.data(r, "123", true) },
		"too short, with trailers": func(c *party, r *record) { c.data(r, "123", false); c.headers(r, list("x-a", "b"), true) },
		"too long":                 func(c *party, r *record) { c.data(r, "12345678901", false) },
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r := c.request(postOf("/x").with("content-length", "10"), false)
			q := s.take()
			play(c, r)
			c.wantReset(r, errProtocol)
			s.wantReset(q, errCancel)
			if q.ended {
				t.Error("the request came to its end")
			}
			g.wantOutcome(1, dispatch.ClientGone)
			g.wantWholeWindows()
		})
	}
	t.Run("no body", func(t *testing.T) {
		_, _, c := start(t, simple)
		c.wantReset(c.request(postOf("/x").with("content-length", "10"), true), errProtocol)
		c.wantReset(c.request(postOf("/x").with("content-length", "1", "content-length", "1"), false), errProtocol)
		c.wantReset(c.request(postOf("/x").with("content-length", "+1"), false), errProtocol)
	})
}

// TestResponseThatBreaksOff never looks whole.
func TestResponseThatBreaksOff(t *testing.T) {
	for name, end := range map[string]func(s *party, q *record){
		"closed": func(s *party, _ *record) { s.leave() },
		"cut":    func(s *party, _ *record) { s.cutOff() },
		"GOAWAY": func(s *party, q *record) { s.sayGoAway(q.id, errInternal); s.leave() },
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r1, r2 := c.request(getOf("/x"), true), c.request(callOf("/s/m"), true)
			q1, q2 := s.takeWhole(), s.takeWhole()
			s.headers(q1, list(":status", "200", "content-type", "text/event-stream"), false)
			s.data(q1, "data: x\n\n", false)
			s.beginCall(q2)
			s.data(q2, message("whole"), false)
			c.await("what came so far", func() bool { return len(r1.body) > 0 && len(r2.body) > 0 })
			if name == "GOAWAY" {
				q1 = q2
			}
			end(s, q1)
			c.wantReset(r1, errInternal)
			c.wantStatus(r2, "14")
			if r2.trailers == nil {
				t.Error("the status came in no trailers")
			}
			g.wantOutcome(1, dispatch.UpstreamBroken)
			g.wantOutcome(2, dispatch.UpstreamBroken)
		})
	}
}

func TestMalformedResponses(t *testing.T) {
	for name, head := range map[string]fields{
		"no status":            list("content-type", "application/grpc"),
		"a status of words":    list(":status", "abc"),
		"a status of 2 digits": list(":status", "20"),
		"status 101":           list(":status", "101"),
		"status 600":           list(":status", "600"),
		"two statuses":         list(":status", "200", ":status", "200"),
		"a pseudo-header":      list(":status", "200", ":path", "/"),
		"upper case":           list(":status", "200", "X-A", "b"),
		"a line break":         list(":status", "200", "x-a", "b\r\nc: d"),
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r := c.request(getOf("/x"), true)
			q := s.takeWhole()
			s.headers(q, head, false)
			s.wantReset(q, errProtocol)
			c.whole(r)
			if r.head.get(":status") != "502" || !strings.Contains(string(r.body), "upstream_broken") {
				t.Errorf("got %v %s", r.head, r.body)
			}
			r = c.request(callOf("/s/m"), true)
			q = s.takeWhole()
			s.headers(q, head, false)
			s.wantReset(q, errProtocol)
			c.wantStatus(r, "14")
			g.wantOutcome(2, dispatch.UpstreamBroken)
		})
	}
	t.Run("DATA before the head", func(t *testing.T) {
		e, g, c := start(t, simple)
		s := warm(c, e)
		r := c.request(callOf("/s/m"), true)
		q := s.takeWhole()
		s.data(q, "x", false)
		s.wantReset(q, errProtocol)
		c.wantStatus(r, "14")
		g.wantWholeWindows()
	})
	t.Run("DATA behind the end", func(t *testing.T) {
		e, g, c := start(t, simple)
		s := warm(c, e)
		r := c.request(callOf("/s/m"), true)
		q := s.takeWhole()
		s.answerCall(q, "answer")
		s.data(q, "more", false)
		c.wantStatus(r, "0")
		s.sync()
		g.wantWholeWindows()
	})
}

// TestMalformedRequests are reset and reach no endpoint.
func TestMalformedRequests(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	good := callOf("/s/m")
	without := func(name string) (f fields) {
		for _, h := range good {
			if h.Name != name {
				f = append(f, h)
			}
		}
		return f
	}
	for name, head := range map[string]fields{
		"no method":             without(":method"),
		"no path":               without(":path"),
		"no scheme":             without(":scheme"),
		"an empty path":         list(":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"),
		"two paths":             list(":method", "GET", ":scheme", "http", ":path", "/", ":path", "/", ":authority", "a"),
		"an unknown pseudo":     list(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a", ":x", "y"),
		"a status":              list(":status", "200", ":method", "GET", ":scheme", "http", ":path", "/"),
		"a pseudo behind":       good.with(":x", "y"),
		"upper case":            good.with("X-A", "b"),
		"a name with a space":   good.with("x a", "b"),
		"no name":               good.with("", "b"),
		"a line break":          good.with("x-a", "b\r\nc: d"),
		"a NUL":                 good.with("x-a", "b\x00"),
		"connection":            good.with("connection", "close"),
		"keep-alive":            good.with("keep-alive", "timeout=5"),
		"proxy-connection":      good.with("proxy-connection", "close"),
		"transfer-encoding":     good.with("transfer-encoding", "chunked"),
		"upgrade":               good.with("upgrade", "h2c"),
		"te: gzip":              without("te").with("te", "gzip"),
		"another host":          good.with("host", "other"),
		"a method with a space": list(":method", "GET /", ":scheme", "http", ":path", "/", ":authority", "a"),
	} {
		r := c.request(head, true)
		c.await("a reset of "+name, r.over)
		if !r.reset || r.code != errProtocol {
			t.Errorf("%s: got %v (reset: %v %v), want a reset", name, r.head, r.reset, r.code)
		}
	}
	s.sync()
	if len(s.arrived) != 0 {
		t.Errorf("%d of them reached the endpoint", len(s.arrived))
	}
	r := c.request(good, true)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.await(2)
}

func TestTrailersOfARequestThatAreMalformed(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	for name, trailers := range map[string]fields{
		"a pseudo-header": list(":path", "/"),
		"upper case":      list("X-A", "b"),
		"too large":       list("x-a", strings.Repeat("a", 65<<10)),
	} {
		r := c.request(callOf("/s/m"), false)
		q := s.take()
		c.headers(r, trailers, true)
		c.wantReset(r, errProtocol)
		s.wantReset(q, errCancel)
		if q.ended {
			t.Errorf("%s: the request came to its end", name)
		}
	}
	g.await(4)
}

// TestSecretsStayOutOfTables sends what must not, or need not, enter compression tables.
func TestSecretsStayOutOfTables(t *testing.T) {
	e, _, c := start(t, simple)
	s := warm(c, e)
	head := callOf("/s/m").with("authorization", "Bearer secret", "cookie", "a=b", "x-plain", "c")
	head = append(head, hpack.HeaderField{Name: "x-own", Value: "secret", Sensitive: true})
	c.request(head, true)
	q := s.takeWhole()
	for _, f := range q.head {
		want := f.Name == "authorization" || f.Name == "cookie" || f.Name == "x-own" || f.Name == "x-request-id"
		if f.Sensitive != want {
			t.Errorf("%s came as sensitive: %v", f.Name, f.Sensitive)
		}
	}
	if q.head.get("authorization") != "Bearer secret" || q.head.get("cookie") != "a=b" || q.head.get("x-own") != "secret" {
		t.Errorf("the head is %v", q.head)
	}
}
