package http2

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// older is a configuration whose endpoint speaks HTTP/1.1.
const older = "pools: {only: {endpoints: [\"http://ENDPOINT\"]}}\n"

// server is an HTTP/1.1 connection that a test plays.
type server struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (e *endpoint) acceptHTTP1() *server {
	e.t.Helper()
	conn := e.acceptRaw()
	conn.SetDeadline(time.Now().Add(patience))
	return &server{e.t.(*testing.T), conn, bufio.NewReader(conn)}
}

func (s *server) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, text); err != nil {
		s.t.Errorf("cannot send %.60q: %v", text, err)
	}
}

// head reads a request's head, whose body the test reads by itself.
func (s *server) head() *http.Request {
	s.t.Helper()
	req, err := http.ReadRequest(s.r)
	if err != nil {
		s.t.Fatalf("no request: %v", err)
	}
	return req
}

// request reads a whole request.
func (s *server) request() (*http.Request, string) {
	s.t.Helper()
	req := s.head()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		s.t.Fatalf("the request breaks off after %q: %v", body, err)
	}
	return req, string(body)
}

// gone waits until the gateway has ended the connection.
func (s *server) gone() {
	s.t.Helper()
	if _, err := io.Copy(io.Discard, s.r); err != nil && strings.Contains(err.Error(), "timeout") {
		s.t.Fatal("the connection stays open")
	}
}

func plain(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
}

const chunkedHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nX-A: b\r\n\r\n"

func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

func TestRequestsAreSentAsHTTP1(t *testing.T) {
	e, g, c := start(t, older)
	head := postOf("/v1/x?y=z").with("content-length", "2", "cookie", "a=b", "cookie", "c=d", "te", "trailers", "x-a", "1", "x-a", "2")
	r := c.request(head, false)
	c.data(r, "{}", true)
	s := e.acceptHTTP1()
	req, body := s.request()
	if req.Method != "POST" || req.RequestURI != "/v1/x?y=z" || req.Host != "gateway" || body != "{}" || req.ContentLength != 2 {
		t.Errorf("the request came as %+v %q", req, body)
	}
	for name, want := range map[string]string{
		"Cookie": "a=b; c=d", "X-A": "1|2", "Te": "trailers", "X-Forwarded-For": "127.0.0.1", "Content-Type": "application/json",
	} {
		if got := strings.Join(req.Header[name], "|"); got != want {
			t.Errorf("%s came as %q, want %q", name, got, want)
		}
	}
	s.send(plain(201, `{"usage":{"prompt_tokens":3,"completion_tokens":4}}`))
	c.whole(r)
	if r.head.get(":status") != "201" || r.head.get("content-length") != fmt.Sprint(len(r.body)) ||
		r.head.get("x-request-id") != req.Header.Get("X-Request-Id") {
		t.Errorf("got %v %s", r.head, r.body)
	}
	end := g.wantEnded(0, dispatch.Completed, 201)
	if end.request != 2 || end.response != int64(len(r.body)) || end.protocol != "HTTP/2" {
		t.Errorf("the observer saw %+v", end)
	}
	// The connection is used again.
	r = c.request(postOf("/x").with("content-length", "2"), false)
	c.data(r, "{", false)
	c.data(r, "}", true)
	req, body = s.request()
	if body != "{}" {
		t.Errorf("the request came as %v %q", req, body)
	}
	s.send(plain(200, "ok"))
	c.wantAnswer(r, "200", "ok")
	e.idle()
}

func TestRenamedModelForHTTP1(t *testing.T) {
	e, g, c := start(t, older+"routes: [{match: {model: small}, split: [{pool: only, model: much-larger}]}]\n")
	body := `{"model":"small"}`
	r := c.request(postOf("/v1/completions").with("content-length", fmt.Sprint(len(body))), false)
	c.data(r, body, true)
	s := e.acceptHTTP1()
	if req, got := s.request(); got != `{"model":"much-larger"}` || req.ContentLength != int64(len(got)) {
		t.Errorf("the request came with %d bytes: %q", req.ContentLength, got)
	}
	s.send(plain(200, "ok"))
	c.wantAnswer(r, "200", "ok")
	g.wantEnded(0, dispatch.Completed, 200)
}

func TestEventsAreStreamedFromHTTP1(t *testing.T) {
	e, g, c := start(t, older)
	r := c.request(postOf("/v1/chat/completions"), false)
	c.data(r, `{"stream":true}`, true)
	s := e.acceptHTTP1()
	s.request()
	s.send(chunkedHead)
	c.await("the head", func() bool { return r.head != nil })
	if r.head.get("x-a") != "b" || r.head.get("connection") != "" || r.head.get("transfer-encoding") != "" {
		t.Errorf("the head is %v", r.head)
	}
	want := ""
	for i := range 20 {
		event := fmt.Sprintf("data: {\"n\":%d}\n\n", i)
		want += event
		s.send(chunk(event))
		c.await("an event", func() bool { return string(r.body) == want })
	}
	last := "data: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}\n\n"
	s.send(chunk(last) + "0\r\nX-Sum: 7\r\n\r\n")
	c.wantAnswer(r, "200", want+last)
	if r.trailers.get("x-sum") != "7" {
		t.Errorf("the trailers are %v", r.trailers)
	}
	if end := g.wantEnded(0, dispatch.Completed, 200); end.prompt != 5 || end.output != 6 || end.events != 21 || !end.streamed {
		t.Errorf("the observer saw %+v", end)
	}
}

func TestCancelReachesHTTP1(t *testing.T) {
	for name, play := range map[string]func(e *endpoint, c *party, r *record) *server{
		"before the head": func(e *endpoint, c *party, r *record) *server {
			c.data(r, "{}", true)
			s := e.acceptHTTP1()
			s.request()
			return s
		},
		"amid the response": func(e *endpoint, c *party, r *record) *server {
			c.data(r, "{}", true)
			s := e.acceptHTTP1()
			s.request()
			s.send(chunkedHead + chunk("data: x\n\n"))
			c.await("an event", func() bool { return len(r.body) > 0 })
			return s
		},
		"amid the upload": func(e *endpoint, c *party, r *record) *server {
			c.data(r, "{", false)
			s := e.acceptHTTP1()
			s.head()
			return s
		},
	} {
		for how, leave := range map[string]func(c *party, r *record){
			"reset": func(c *party, r *record) { c.cancel(r, errCancel) },
			"left":  func(c *party, r *record) { c.leave() },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				e, g, c := start(t, older)
				r := c.request(postOf("/x"), false)
				s := play(e, c, r)
				leave(c, r)
				s.gone()
				g.wantEnded(0, dispatch.ClientGone, 499)
				eventually(t, "nothing is underway", func() bool { return g.server.Active() == 0 })
				if how == "reset" {
					g.wantWholeWindows()
				}
			})
		}
	}
}

func TestResponseOfHTTP1ThatBreaksOff(t *testing.T) {
	for name, sent := range map[string]string{
		"amid a chunk":         chunkedHead + "10\r\nabc",
		"at a chunk's end":     chunkedHead + chunk("abc"),
		"of a promised length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, older)
			r := c.request(getOf("/x"), true)
			s := e.acceptHTTP1()
			s.request()
			s.send(sent)
			c.await("what came so far", func() bool { return len(r.body) == 3 })
			s.conn.Close()
			c.wantReset(r, errInternal)
			g.wantEnded(0, dispatch.UpstreamBroken, 200)
		})
	}
}

func TestUploadsToHTTP1AreStreamed(t *testing.T) {
	e, g, c := start(t, older)
	r := c.request(postOf("/x"), false)
	c.data(r, "first", false)
	s := e.acceptHTTP1()
	req := s.head()
	got := make([]byte, 5)
	if _, err := io.ReadFull(req.Body, got); err != nil || string(got) != "first" {
		t.Fatalf("got %q, %v", got, err)
	}
	body := pattern(1 << 20)
	read := make(chan []byte)
	go func() {
		rest, _ := io.ReadAll(req.Body)
		read <- rest
	}()
	c.upload(r, body, false)
	c.headers(r, list("x-sum", "8"), true)
	if rest := <-read; string(rest) != string(body) || req.Trailer.Get("X-Sum") != "8" {
		t.Errorf("%d bytes came with the trailers %v", len(rest), req.Trailer)
	}
	s.send(plain(200, "ok"))
	c.wantAnswer(r, "200", "ok")
	g.wantOutcome(0, dispatch.Completed)
	g.wantWholeWindows()
}

func TestEarlyResponseOfHTTP1(t *testing.T) {
	e, g, c := start(t, older)
	r := c.request(postOf("/x"), false)
	c.data(r, "first", false)
	s := e.acceptHTTP1()
	s.head()
	s.send(plain(413, "too much"))
	c.wantAnswer(r, "413", "too much")
	c.await("what declines the rest", func() bool { return r.reset })
	if r.code != errNone {
		t.Errorf("the rest is declined with %v", r.code)
	}
	c.data(r, string(pattern(1000)), true)
	g.wantEnded(0, dispatch.Completed, 413)
	c.sync()
	g.wantWholeWindows()
	s.gone()
}

// TestHTTP1EndpointThatTakesNothing holds no more of an upload than the stream's window.
func TestHTTP1EndpointThatTakesNothing(t *testing.T) {
	e, g, c := start(t, older)
	r := c.request(postOf("/x"), false)
	c.data(r, "first", false)
	s := e.acceptHTTP1()
	s.head()
	for c.left(r) > 0 {
		c.upload(r, pattern(int(min(c.left(r), maxFrame))), false)
		if c.left(r) == 0 {
			c.sync()
		}
	}
	if held := g.heldUp(r.id); held > streamWindow {
		t.Errorf("%d bytes are held", held)
	}
	c.cancel(r, errCancel)
	s.gone()
	g.wantEnded(0, dispatch.ClientGone, 499)
	g.wantWholeWindows()
}

// TestSlowClientOfHTTP1 takes its response bit by bit.
func TestSlowClientOfHTTP1(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, older, e)
	c := g.dial(window(1000))
	r := c.request(getOf("/x"), true)
	s := e.acceptHTTP1()
	s.request()
	body := pattern(300_000)
	go s.send(plain(200, string(body)))
	c.wantAnswer(r, "200", string(body))
	g.wantOutcome(0, dispatch.Completed)
}

func TestStaleConnectionOfHTTP1(t *testing.T) {
	e, g, c := start(t, older)
	r := c.request(getOf("/warm"), true)
	s := e.acceptHTTP1()
	s.request()
	s.send(plain(200, "ok"))
	c.wantAnswer(r, "200", "ok")
	g.await(1)
	// The endpoint closes the connection when the next request comes.
	r = c.request(postOf("/x").with("content-length", "13"), false)
	c.data(r, `{"model":"a"}`, true)
	s.request()
	s.conn.(*net.TCPConn).SetLinger(0)
	s.conn.Close()
	s = e.acceptHTTP1()
	if _, body := s.request(); body != `{"model":"a"}` {
		t.Errorf("the body came the second time as %q", body)
	}
	s.send(plain(200, "ok"))
	c.wantAnswer(r, "200", "ok")
	if end := g.wantOutcome(1, dispatch.Completed); end.attempts != 2 {
		t.Errorf("%d attempts, want 2", end.attempts)
	}
}

func TestDeadHTTP1EndpointIsPassedOver(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, strings.ReplaceAll(two, "h2c://", "http://"), unused(t), e)
	c := g.dial()
	for range 4 {
		r := c.request(postOf("/x"), false)
		c.data(r, "half", false) // an upload of unknown length, of which nothing was read
		c.sync()
		c.data(r, "whole", true)
		s := e.acceptHTTP1()
		if _, body := s.request(); body != "halfwhole" {
			t.Errorf("the body came as %q", body)
		}
		s.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		c.wantAnswer(r, "200", "ok")
	}
	g.await(4)
}

func TestInterimAndExpectOfHTTP1(t *testing.T) {
	e, _, c := start(t, older)
	r := c.request(postOf("/x").with("expect", "100-continue"), false)
	s := e.acceptHTTP1()
	if req := s.head(); req.Header.Get("Expect") != "100-continue" {
		t.Errorf("the request came as %v", req.Header)
	}
	s.send("HTTP/1.1 100 Continue\r\n\r\n")
	c.await("100", func() bool { return len(r.interim) == 1 })
	c.data(r, "{}", true)
	// Closing, so that the second request does not come on this connection.
	s.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	c.wantAnswer(r, "200", "ok")
	if len(r.interim) != 2 || r.interim[1].get(":status") != "103" || r.interim[1].get("link") != "</a>" {
		t.Errorf("interim responses came as %v", r.interim)
	}
	// A body of known length is waited for, so the gateway says that it is to come.
	r = c.request(postOf("/x").with("expect", "100-continue", "content-length", "2"), false)
	c.await("100", func() bool { return len(r.interim) == 1 })
	c.data(r, "{}", true)
	s2 := e.acceptHTTP1()
	if req, body := s2.request(); body != "{}" || req.Header.Get("Expect") != "" {
		t.Errorf("the request came as %v %q", req.Header, body)
	}
	s2.send(plain(200, "ok"))
	c.wantAnswer(r, "200", "ok")
	if len(r.interim) != 1 {
		t.Errorf("interim responses came as %v", r.interim)
	}
}

func TestNoBodyOfHTTP1(t *testing.T) {
	e, _, c := start(t, older)
	var s *server
	for _, test := range []struct{ method, head, status, length string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "200", "100"},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", "204", ""},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "304", "100"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200", "0"},
	} {
		head := getOf("/x")
		head[0].Value = test.method
		r := c.request(head, true)
		if s == nil {
			s = e.acceptHTTP1()
		}
		s.request()
		s.send(test.head)
		c.wantAnswer(r, test.status, "")
		if got := r.head.get("content-length"); got != test.length {
			t.Errorf("%s: content-length is %q, want %q", test.status, got, test.length)
		}
	}
}

// TestCallsNeedHTTP2 has a call go to an endpoint that is listed as http://: it is spoken to in HTTP/2 nevertheless.
func TestCallsNeedHTTP2(t *testing.T) {
	e, g, c := start(t, older)
	r := c.request(callOf("/s/m"), true)
	s := e.accept()
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	g.wantOutcome(0, dispatch.Completed)
}
