package http2

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
)

// details decodes what came with a status.
func details(t *testing.T, f fields) (reason string, retry bool) {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(f.get("grpc-status-details-bin"))
	if err != nil {
		t.Fatal(err)
	}
	var p spb.Status
	if err := proto.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	message, err := url.PathUnescape(f.get("grpc-message"))
	if fmt.Sprint(p.Code) != f.get("grpc-status") || p.Message != message || err != nil {
		t.Errorf("the details say %d %q, the fields %v", p.Code, p.Message, f)
	}
	for _, d := range status.FromProto(&p).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = strings.ToLower(d.Reason)
		case *errdetails.RetryInfo:
			retry = d.RetryDelay.AsDuration() > 0
		}
	}
	return reason, retry
}

// wantRefused reads a request that the gateway refuses, whether it is a call or not, and checks how.
func wantRefused(c *party, r *record, isCall bool, httpStatus int, code string, retry bool) {
	c.t.Helper()
	c.whole(r)
	if isCall {
		last := r.trailers
		if last == nil {
			last = r.head
		}
		want := grpc.CodeOf(httpStatus, code)
		reason, hasRetry := details(c.t.(*testing.T), last)
		if got := last.get("grpc-status"); got != fmt.Sprint(uint32(want)) || reason != code || hasRetry != retry {
			c.t.Errorf("got status %s, %s (to be tried again: %v), want %v, %s (%v)", got, reason, hasRetry, want, code, retry)
		}
		if !strings.HasPrefix(last.get("grpc-message"), code+": ") || last.get(":status") != "" && last.get("x-request-id") == "" {
			c.t.Errorf("the status came as %v", last)
		}
		return
	}
	var answer struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal(r.body, &answer); err != nil {
		c.t.Errorf("%v: %s", err, r.body)
	}
	if got := r.head.get(":status"); got != fmt.Sprint(httpStatus) || answer.Error.Code != code || answer.Error.Message == "" {
		c.t.Errorf("got %s %s, want %d %s", got, r.body, httpStatus, code)
	}
	if (r.head.get("retry-after") != "") != retry || r.head.get("x-request-id") == "" || r.head.get("content-length") != fmt.Sprint(len(r.body)) {
		c.t.Errorf("the head is %v", r.head)
	}
}

func TestRefusals(t *testing.T) {
	g := startGateway(t, `
pools:
  dead: {endpoints: ["h2c://ENDPOINT"], retry: {attempts: 0}}
routes:
- match: {path: /dead}
  split: [{pool: dead}]
- match: {path: /v1}
  split: [{pool: dead}]
`, unused(t))
	c := g.dial()
	n := 0
	for _, test := range []struct {
		path   string
		status int
		code   string
	}{
		{"/nowhere/m", 404, "route_not_found"},
		{"/dead/m", 502, "connect_failed"},
		{"/dead/%zz", 400, "invalid_target"},
		{"/v1/../x", 400, "path_not_normalized"},
	} {
		for _, isCall := range []bool{true, false} {
			head := postOf(test.path)
			if isCall {
				head = callOf(test.path)
			}
			wantRefused(c, c.request(head, true), isCall, test.status, test.code, false)
			end := g.wantEnded(n, g.await(n + 1)[n].outcome, test.status)
			if want := -1; end.code != test.code || !isCall && end.grpc != want {
				t.Errorf("the observer saw %+v", end)
			}
			n++
		}
	}
}

func TestRefusalsOfTheQueue(t *testing.T) {
	for _, isCall := range []bool{true, false} {
		head := getOf("/x")
		if isCall {
			head = callOf("/s/m")
		}
		busy := func(queue string) (*gateway, *party) {
			e, g, c := start(t, fmt.Sprintf("pools: {only: {endpoints: [\"h2c://ENDPOINT\"], maxInFlight: 1, queue: {%s}}}\n", queue))
			s := warm(c, e)
			c.request(callOf("/s/busy"), true)
			s.takeWhole()
			return g, c
		}
		g, c := busy("size: 1, timeout: 20s")
		c.request(head, true)
		eventually(t, "it waits", func() bool { return g.dispatcher.Pool("only").QueueLen() == 1 })
		wantRefused(c, c.request(head, true), isCall, 429, "queue_full", true)
		g.await(2)
		g, c = busy("size: 1, timeout: 50ms")
		wantRefused(c, c.request(head, true), isCall, 504, "queue_timeout", true)
		g.await(2)
	}
}

func TestPoolWithoutEndpoints(t *testing.T) {
	e, g, c := start(t, "pools: {only: {endpoints: [\"h2c://ENDPOINT\"], queue: {size: 0}}}\n")
	warm(c, e)
	if err := g.dispatcher.SetEndpoints("only", nil); err != nil {
		t.Fatal(err)
	}
	wantRefused(c, c.request(callOf("/s/m"), true), true, 503, "no_endpoint", true)
	wantRefused(c, c.request(getOf("/x"), true), false, 503, "no_endpoint", true)
	g.await(3)
}

func TestBodiesThatAreTooLarge(t *testing.T) {
	e, g, c := start(t, "limits: {bodyBytes: 10KiB}\n"+simple)
	s := warm(c, e)
	r := c.request(postOf("/x").with("content-length", "10241"), false)
	wantRefused(c, r, false, 413, "body_too_large", false)
	r = c.request(postOf("/x"), false)
	q := s.take()
	c.upload(r, pattern(10241), false)
	s.wantReset(q, errCancel)
	wantRefused(c, r, false, 413, "body_too_large", false)
	c.await("what declines the rest", func() bool { return r.reset })
	// Behind the head of a response it is a reset.
	r = c.request(postOf("/x"), false)
	q = s.take()
	s.headers(q, list(":status", "200"), false)
	c.await("the head", func() bool { return r.head != nil })
	c.upload(r, pattern(10241), false)
	c.wantReset(r, errInternal)
	s.wantReset(q, errCancel)
	// Calls are bounded by nobody but their endpoints.
	r = c.request(callOf("/s/m"), false)
	c.upload(r, pattern(20_000), true)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.wantOutcome(1, dispatch.Refused)
	g.wantOutcome(2, dispatch.Refused)
	g.wantOutcome(3, dispatch.Refused)
	g.wantWholeWindows()
}

func TestCONNECTAndExpectations(t *testing.T) {
	_, _, c := start(t, simple)
	wantRefused(c, c.request(list(":method", "CONNECT", ":authority", "a:1"), true), false, 501, "connect_not_supported", false)
	wantRefused(c, c.request(postOf("/x").with("expect", "miracles"), true), false, 417, "unknown_expectation", false)
	wantRefused(c, c.request(list(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a b"), true), false, 400, "invalid_host", false)
	r := c.request(list(":method", "HEAD", ":scheme", "http", ":path", "/%zz", ":authority", "a"), true)
	c.wantAnswer(r, "400", "")
	if r.head.get("content-length") == "0" {
		t.Errorf("the head is %v", r.head)
	}
}

// TestRefusalToAClientThatUploads reads nothing of the answer before it has sent its body.
func TestRefusalToAClientThatUploads(t *testing.T) {
	g := startGateway(t, "pools: {only: {endpoints: [\"h2c://ENDPOINT\"]}}\nroutes: [{match: {path: /there}, split: [{pool: only}]}]\n", unused(t))
	c := g.dial(window(10))
	c.stingy = true
	r := c.request(postOf("/nowhere"), false)
	for range streamWindow / maxFrame {
		c.data(r, string(pattern(maxFrame)), false)
	}
	c.await("some of the answer", func() bool { return len(r.body) == 10 })
	c.give(r.id, 10_000)
	wantRefused(c, r, false, 404, "route_not_found", false)
	c.await("what declines the rest", func() bool { return r.reset })
	if r.code != errNone {
		t.Errorf("the rest is declined with %v", r.code)
	}
	g.wantOutcome(0, dispatch.Refused)
	g.wantWholeWindows()
}
