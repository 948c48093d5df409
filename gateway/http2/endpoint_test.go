package http2

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// endpoint is a model server that a test plays by hand: every connection is handed to the test.
type endpoint struct {
	t        testing.TB
	addr     string
	listener net.Listener
	conns    chan net.Conn
	settings []xhttp2.Setting // that each connection begins with
	stingy   bool             // no credit is given but by the test
	hasty    bool             // serve answers a request once its head is there
	serving  sync.WaitGroup
}

func startEndpoint(t testing.TB, settings ...xhttp2.Setting) *endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{t: t, addr: l.Addr().String(), listener: l, conns: make(chan net.Conn, 256), settings: settings}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			e.conns <- conn
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		close(e.conns)
		for conn := range e.conns {
			conn.Close()
		}
		e.serving.Wait()
	})
	return e
}

// accept waits for the gateway to connect, and greets it.
func (e *endpoint) accept() *party {
	e.t.Helper()
	p := newParty(e.t, e.acceptRaw(), false)
	p.greet(e)
	return p
}

func (e *endpoint) acceptRaw() net.Conn {
	e.t.Helper()
	select {
	case conn := <-e.conns:
		e.t.Cleanup(func() { conn.Close() })
		return conn
	case <-time.After(patience):
		e.t.Fatal("the gateway does not connect to the endpoint")
		return nil
	}
}

func (p *party) greet(e *endpoint) {
	p.t.Helper()
	p.stingy = e.stingy
	got := make([]byte, len(preface))
	if _, err := io.ReadFull(p.conn, got); err != nil || string(got) != preface {
		p.fail("the connection begins with %q, %v", got, err)
	}
	p.set(e.settings...)
	p.await("the gateway's SETTINGS", func() bool { return len(p.theirs) > 0 })
}

// warm makes a call, so that requests from then on leave at once and in order, and returns the endpoint's connection.
func warm(c *party, e *endpoint) *party {
	e.t.Helper()
	r := c.request(callOf("/s/warm"), true)
	s := e.accept()
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
	s.sync()
	return s
}

// idle fails if the gateway has opened a connection that the test did not accept.
func (e *endpoint) idle() {
	e.t.Helper()
	select {
	case conn := <-e.conns:
		conn.Close()
		e.t.Error("the gateway connected to an endpoint that was to hear nothing")
	default:
	}
}

// take waits for the next request.
func (p *party) take() *record {
	p.t.Helper()
	p.await("a request", func() bool { return len(p.arrived) > 0 })
	r := p.arrived[0]
	p.arrived = p.arrived[1:]
	return r
}

// takeWhole waits for the next request and its end.
func (p *party) takeWhole() *record {
	p.t.Helper()
	return p.whole(p.take())
}

// respond answers a request.
func (p *party) respond(r *record, status, body string) {
	p.t.Helper()
	p.headers(r, list(":status", status, "content-type", "application/json"), body == "")
	if body != "" {
		p.upload(r, []byte(body), true)
	}
}

// head sends the head of a call's response.
func (p *party) beginCall(r *record) {
	p.t.Helper()
	p.headers(r, list(":status", "200", "content-type", "application/grpc"), false)
}

// endCall sends the trailers of a call's response.
func (p *party) endCall(r *record, status string) {
	p.t.Helper()
	p.headers(r, list("grpc-status", status), true)
}

// answerCall answers a call with messages and OK.
func (p *party) answerCall(r *record, messages ...string) {
	p.t.Helper()
	p.beginCall(r)
	for _, m := range messages {
		p.upload(r, []byte(message(m)), false)
	}
	p.endCall(r, "0")
}

// serve lets goroutines play the endpoint, one a connection: answer is called for each request once it is complete, or its head if e is
// hasty.
func (e *endpoint) serve(answer func(p *party, r *record)) {
	e.serving.Go(func() {
		for conn := range e.conns {
			e.serving.Go(func() {
				defer conn.Close()
				p := newParty(e.t, conn, false)
				p.played = true
				p.play(e, answer)
			})
		}
	})
}

func (p *party) play(e *endpoint, answer func(p *party, r *record)) {
	defer func() {
		if r := recover(); r != nil && r != errPlayed {
			panic(r)
		}
	}()
	p.greet(e)
	for p.step() == nil {
		p.conn.SetDeadline(time.Now().Add(patience))
		waiting := p.arrived
		p.arrived = nil
		for _, r := range waiting {
			switch {
			case r.reset:
			case r.ended || e.hasty:
				answer(p, r)
			default:
				p.arrived = append(p.arrived, r)
				continue
			}
			r.body = nil
		}
	}
}

// first waits until the gateway connects to one of two endpoints, and returns the connection, and the other endpoint.
func first(e1, e2 *endpoint) (s *party, other *endpoint) {
	e1.t.Helper()
	var conn net.Conn
	select {
	case conn = <-e1.conns:
		other = e2
	case conn = <-e2.conns:
		e1, other = e2, e1
	case <-time.After(patience):
		e1.t.Fatal("the gateway does not connect")
	}
	e1.t.Cleanup(func() { conn.Close() })
	s = newParty(e1.t, conn, false)
	s.greet(e1)
	return s, other
}

// eventually waits for a state that nobody announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about that %s", what)
		}
	}
}

// unused is an address that nobody listens at.
func unused(t testing.TB) *endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &endpoint{t: t, addr: l.Addr().String()}
}
