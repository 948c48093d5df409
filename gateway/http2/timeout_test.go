package http2

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestEndpointThatDoesNotAnswer(t *testing.T) {
	e, g, c := start(t, "timeouts: {responseHeader: 10s}\n"+simple)
	s := warm(c, e)
	r := c.request(postOf("/x"), false)
	c.data(r, "{}", false)
	q := s.take()
	g.look(11 * time.Second) // the request is not whole yet
	c.sync()
	c.data(r, "", true)
	s.whole(q)
	g.look(9 * time.Second)
	c.sync()
	if r.over() {
		t.Fatal("the request was given up too early")
	}
	g.look(11 * time.Second)
	s.wantReset(q, errCancel)
	c.whole(r)
	if r.head.get(":status") != "504" || !strings.Contains(string(r.body), "upstream_timeout") {
		t.Errorf("got %v %s", r.head, r.body)
	}
	g.wantEnded(1, dispatch.UpstreamTimeout, 504)
	r = c.request(callOf("/s/m"), true)
	q = s.takeWhole()
	g.look(11 * time.Second)
	s.wantReset(q, errCancel)
	c.wantStatus(r, "4")
	g.wantEnded(2, dispatch.UpstreamTimeout, 504)
	g.wantWholeWindows()
}

func TestResponseThatPauses(t *testing.T) {
	e, g, c := start(t, "timeouts: {streamIdle: 10s}\n"+simple)
	s := warm(c, e)
	r := c.request(getOf("/x"), true)
	q := s.takeWhole()
	s.headers(q, list(":status", "200"), false)
	s.data(q, "token", false)
	c.await("a token", func() bool { return len(r.body) == 5 })
	g.look(9 * time.Second)
	s.data(q, "token", false)
	c.await("a token", func() bool { return len(r.body) == 10 })
	g.look(11 * time.Second)
	s.wantReset(q, errCancel)
	c.wantReset(r, errInternal)
	g.wantEnded(1, dispatch.UpstreamTimeout, 200)
	// Calls may be silent for as long as they like.
	r = c.request(callOf("/s/m"), true)
	q = s.takeWhole()
	s.beginCall(q)
	c.await("the head", func() bool { return r.head != nil })
	g.look(4 * time.Minute)
	s.endCall(q, "0")
	c.wantStatus(r, "0")
}

func TestRequestThatPauses(t *testing.T) {
	for name, begin := range map[string]func(c *party) *record{
		"behind the head": func(c *party) *record { return c.request(postOf("/x"), false) },
		"amid the body": func(c *party) *record {
			r := c.request(postOf("/x").with("content-length", "10"), false)
			c.data(r, "12345", false)
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, "timeouts: {requestBody: 10s}\n"+simple)
			s := warm(c, e)
			r := begin(c)
			q := s.take()
			g.look(9 * time.Second)
			c.sync()
			g.look(11 * time.Second)
			s.wantReset(q, errCancel)
			c.whole(r)
			if r.head.get(":status") != "408" || !strings.Contains(string(r.body), "request_timeout") {
				t.Errorf("got %v %s", r.head, r.body)
			}
			g.wantEnded(1, dispatch.ClientGone, 499)
			g.wantWholeWindows()
		})
		t.Run(name+", before an HTTP/1.1 endpoint", func(t *testing.T) {
			e, g, c := start(t, "timeouts: {requestBody: 10s}\npools: {only: {endpoints: [\"http://ENDPOINT\"]}}\n")
			r := begin(c)
			if name == "behind the head" {
				conn := e.acceptRaw()
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
			} else {
				c.sync()
			}
			g.look(11 * time.Second)
			c.whole(r)
			if r.head.get(":status") != "408" {
				t.Errorf("got %v %s", r.head, r.body)
			}
			g.wantEnded(0, dispatch.ClientGone, 499)
		})
	}
	t.Run("of a call", func(t *testing.T) {
		e, g, c := start(t, "timeouts: {requestBody: 10s, responseHeader: 10s}\n"+simple)
		s := warm(c, e)
		r := c.request(callOf("/s/m"), false)
		c.data(r, message("one"), false)
		q := s.take()
		g.look(4 * time.Minute)
		c.data(r, message("two"), true)
		s.answerCall(s.whole(q))
		c.wantStatus(r, "0")
	})
}

// TestEndpointThatTakesNothingIsNotTheClientsFault has an endpoint take none of a request that the client has sent.
func TestEndpointThatTakesNothingIsNotTheClientsFault(t *testing.T) {
	e := startEndpoint(t, window(0))
	g := startGateway(t, "timeouts: {requestBody: 10s}\n"+simple, e)
	c := g.dial()
	s := warm(c, e)
	r := c.request(postOf("/x"), false)
	c.data(r, "{}", true)
	q := s.take()
	c.sync()
	g.look(11 * time.Second)
	s.give(q.id, 10)
	s.respond(s.whole(q), "200", "ok")
	c.wantAnswer(r, "200", "ok")
	g.wantEnded(1, dispatch.Completed, 200)
}

// An upload that the endpoint holds up is given as long as an answer is, and then it is the endpoint's fault.
func TestEndpointThatHoldsUpAnUpload(t *testing.T) {
	e := startEndpoint(t, window(0))
	g := startGateway(t, "timeouts: {requestBody: 10s, responseHeader: 100s}\n"+simple, e)
	c := g.dial()
	s := warm(c, e)
	r := c.request(postOf("/x"), false)
	c.data(r, "{", false)
	q := s.take()
	c.sync()
	g.look(11 * time.Second)
	c.sync()
	g.look(90 * time.Second)
	c.sync()
	if r.ended {
		t.Fatalf("it ended too early, with %v %s", r.head, r.body)
	}
	g.look(130 * time.Second)
	s.wantReset(q, errCancel)
	c.whole(r)
	if r.head.get(":status") != "504" || !strings.Contains(string(r.body), "upstream_timeout") {
		t.Errorf("got %v %s", r.head, r.body)
	}
	g.wantEnded(1, dispatch.UpstreamTimeout, 504)
	g.wantWholeWindows()
}

func TestClientThatTakesNothing(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, "timeouts: {write: 10s}\n"+simple, e)
	c := g.dial(window(5))
	c.stingy = true
	s := warm(c, e)
	for i, head := range []fields{callOf("/s/m"), getOf("/x")} {
		r := c.request(head, true)
		q := s.takeWhole()
		s.beginCall(q)
		s.data(q, "123456789", false)
		s.sync()
		c.await("what it takes", func() bool { return len(r.body) == 5 })
		g.look(9 * time.Second)
		c.give(r.id, 1)
		c.await("what it takes", func() bool { return len(r.body) == 6 })
		g.look(9 * time.Second)
		c.sync()
		if r.over() {
			t.Error("the response was given up too early")
		}
		g.look(11 * time.Second)
		c.wantReset(r, errCancel)
		s.wantReset(q, errCancel)
		g.wantEnded(i+1, dispatch.ClientGone, 499)
	}
	// An answer of the gateway's own is no different.
	r := c.request(getOf("/%zz"), true)
	c.await("what it takes", func() bool { return len(r.body) == 5 })
	g.look(11 * time.Second)
	c.wantReset(r, errCancel)
	g.await(4)
	g.wantWholeWindows()
}

func TestClientWhoseSocketTakesNothing(t *testing.T) {
	e := startEndpoint(t)
	g := startGateway(t, "timeouts: {write: 10s}\n"+simple, e)
	c := g.dial(window(1 << 30))
	c.give(0, 1<<30)
	c.conn.(*net.TCPConn).SetReadBuffer(128 << 10)
	s := warm(c, e)
	c.request(callOf("/s/m"), true)
	q := s.takeWhole()
	s.beginCall(q)
	for s.left(q) > 0 {
		s.upload(q, pattern(int(min(s.left(q), maxFrame))), false)
		if s.left(q) == 0 {
			s.sync()
		}
	}
	g.look(9 * time.Second)
	s.sync()
	if q.reset {
		t.Error("the call was given up too early")
	}
	g.look(11 * time.Second)
	s.wantReset(q, errCancel)
	g.wantEnded(1, dispatch.ClientGone, 499)
	eventually(t, "the connection is cut", func() bool { return g.server.Open() == 0 })
	g.wantWholeWindows()
}

func TestIdleClientsAreSentAway(t *testing.T) {
	e, g, c := start(t, "timeouts: {keepAlive: 10s}\n"+simple)
	s := warm(c, e)
	r := c.request(callOf("/s/m"), true)
	q := s.takeWhole()
	g.look(11 * time.Second) // it is not idle
	s.answerCall(q)
	c.wantStatus(r, "0")
	g.await(2)
	g.look(9 * time.Second)
	c.sync()
	if len(c.goAways) != 0 {
		t.Errorf("GOAWAY came as %v", c.goAways)
	}
	g.look(11 * time.Second)
	if err := c.gone(); err != io.EOF || len(c.goAways) != 2 {
		t.Errorf("the connection ended with %v after %v, want a clean end after two GOAWAYs", err, c.goAways)
	}
}

func TestSilentPeersAreAskedForASignOfLife(t *testing.T) {
	e, g, c := start(t, "timeouts: {ping: 30s}\n"+simple)
	c.mute = true
	s := warm(c, e)
	s.mute = true
	g.look(31 * time.Second)
	c.await("a PING", func() bool { return len(c.pings) == 1 })
	c.pong()
	c.mute = false
	c.sync()
	s.sync()
	if len(s.pings) != 0 {
		t.Error("an endpoint without requests was asked")
	}
	r := c.request(callOf("/s/m"), false)
	q := s.take()
	g.look(31 * time.Second)
	s.await("a PING", func() bool { return len(s.pings) == 1 })
	c.sync()
	g.look(31*time.Second + 19*time.Second) // asked once
	c.sync()
	s.sync()
	if len(s.pings) != 1 || q.reset {
		t.Errorf("%d PINGs came", len(s.pings))
	}
	g.look(31*time.Second + 21*time.Second)
	c.wantStatus(r, "14")
	if err := s.gone(); err == io.EOF {
		t.Error("the endpoint's connection ended cleanly, want a reset")
	}
	g.wantOutcome(1, dispatch.UpstreamReset)
}

func TestEndpointThatDoesNotGreet(t *testing.T) {
	e, g, c := start(t, "timeouts: {connect: 50ms}\npools: {only: {endpoints: [\"h2c://ENDPOINT\"], retry: {attempts: 0}}}\n")
	c.wantStatus(c.request(callOf("/s/m"), true), "14")
	if e := g.await(1)[0]; e.code != "connect_failed" {
		t.Errorf("the call ended as %v", e.code)
	}
	conn := e.acceptRaw()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the connection stays open")
	}
}

// TestEndpointThatSpeaksSomethingElse answers as an HTTP/1.1 server does.
func TestEndpointThatSpeaksSomethingElse(t *testing.T) {
	e, g, c := start(t, never)
	r := c.request(callOf("/s/m"), true)
	conn := e.acceptRaw()
	begin := time.Now()
	conn.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
	c.wantStatus(r, "14")
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("that was noticed after %v", took)
	}
	if e := g.await(1)[0]; e.code != "connect_failed" {
		t.Errorf("the call ended as %v", e.code)
	}
}

func TestHalfOfAHeadIsNotWaitedForForever(t *testing.T) {
	greeting := preface + string(appendSettings(nil, nil))
	block := string(appendFrameHeader(nil, 3, frameHeaders, 0, 1)) + "abc" // without END_HEADERS
	for name, sent := range map[string]string{
		"nothing":                   "",
		"half a preface":            preface[:12],
		"a preface":                 preface,
		"half of SETTINGS":          preface + "\x00\x00\x06\x04\x00",
		"half of HEADERS":           greeting + string(appendFrameHeader(nil, 100, frameHeaders, flagEndHeaders, 1)) + "abc",
		"HEADERS without their end": greeting + block,
		"CONTINUATION without end":  greeting + block + string(appendFrameHeader(nil, 0, frameContinuation, 0, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, "timeouts: {requestHead: 10s}\n"+simple, unused(t))
			c := g.dialRaw()
			c.send(sent)
			eventually(t, "the gateway has read that", func() bool {
				for _, cc := range g.clientConns() {
					if cc.midway.Load() != 0 {
						return true
					}
				}
				return false
			})
			g.look(9 * time.Second)
			g.look(11 * time.Second)
			if err := c.gone(); err == nil {
				t.Error("the connection stays open")
			}
		})
	}
}
