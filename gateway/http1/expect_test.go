package http1

import (
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

const (
	expectHead = "POST /v1/x HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: "
	goAhead    = "HTTP/1.1 100 Continue\r\n\r\n"
)

// byModel is a configuration whose routes need the model's name.
const byModel = `
pools:
  only:
    endpoints: ["http://BACKEND"]
routes:
  - match: {model: small}
    split: [{pool: only}]
  - match: {model: other}
    split: [{pool: only, model: "longer-name"}]
`

func TestExpectIsForwardedAndTheBackendsAnswerComesBack(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(expectHead + "5\r\n\r\n")
	s := b.accept()
	wantHeader(t, s.head(), "Expect", "Expect: 100-continue")
	s.send(goAhead)
	c.expect(goAhead)
	c.send("hello")
	s.expect("hello")
	s.send(goAhead) // a second one is not for the client
	s.send(plain(200, "ok"))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("after the body came %q", head)
	}
	c.expect("ok")
	// Both connections are in step.
	c.send(getRequest)
	s.head()
	s.send(plain(200, "again"))
	if _, body := c.response("GET"); body != "again" {
		t.Errorf("got %q", body)
	}
}

func TestRefusedExpectationLeavesTheBodyUnread(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(expectHead + "5000\r\n\r\n")
	s := b.accept()
	s.head()
	s.send(plain(413, "too much"))
	res, body := c.response("POST")
	if res.StatusCode != 413 || body != "too much" || !res.Close {
		t.Errorf("got %d %q (close: %v), want 413 and close", res.StatusCode, body, res.Close)
	}
	// The backend was promised a body: nothing else may be sent to it.
	if got, err := s.rest(); got != "" {
		t.Errorf("the backend got %q (%v) after its refusal", got, err)
	}
	c.closed()
	g.wantEnded(0, dispatch.Completed, 413)
}

func TestExpectWithTheBodyBehindItNeedsNoAnswer(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(expectHead + "5\r\n\r\nhello")
	s := b.accept()
	wantHeader(t, s.head(), "Expect")
	s.expect("hello")
	s.send(plain(200, "ok"))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", head)
	}
}

func TestExpectIsAnsweredOnceWhenTheModelIsNeeded(t *testing.T) {
	for _, pieces := range [][]string{{`{"model":"small"}`}, {`{"mod`, `el":"small"}`}, {`{`, `"model":"other`, `"}`}} {
		b, _, c := start(t, byModel)
		length := 0
		for _, p := range pieces {
			length += len(p)
		}
		c.send(expectHead + strconv.Itoa(length) + "\r\n\r\n")
		c.expect(goAhead)
		for _, p := range pieces {
			c.send(p)
		}
		s := b.accept()
		req, _ := s.request()
		if req.Header.Get("Expect") != "" {
			t.Error("the expectation was forwarded though it was answered")
		}
		s.send(goAhead + plain(200, "ok"))
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
			t.Errorf("after the body came %q", head)
		}
	}
}

func TestUnknownModelIsRefusedBehindAnExpectation(t *testing.T) {
	b, _, c := start(t, byModel)
	c.send(expectHead + "16\r\n\r\n")
	c.expect(goAhead)
	c.send(`{"model":"nope"}`)
	if res, _ := c.response("POST"); res.StatusCode != 404 {
		t.Errorf("got %d, want 404", res.StatusCode)
	}
	b.idle()
}

func TestExpectOfHTTP10IsIgnored(t *testing.T) {
	b, _, c := start(t, simple)
	c.send("POST /x HTTP/1.0\r\nHost: gateway\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
	s := b.accept()
	wantHeader(t, s.head(), "Expect")
	s.expect("hello")
	s.send(goAhead + plain(200, "ok"))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", head)
	}
}
