package http1

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestConnectionsThatAreNotPooled(t *testing.T) {
	tests := []struct {
		name, request, response string
	}{
		{"Connection: close", getRequest, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
		{"HTTP/1.0", getRequest, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{"leftover bytes", getRequest, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!"},
		{"a second response", getRequest, plain(200, "ok") + plain(200, "evil")},
		{"a body for HEAD", "HEAD /x HTTP/1.1\r\nHost: gateway\r\n\r\n", plain(200, "ok")},
		{"a body for 204", getRequest, "HTTP/1.1 204 No Content\r\n\r\nbody"},
		{"bytes behind the last chunk", getRequest, chunkedHead + "2\r\nok\r\n0\r\n\r\nrest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, _, c := start(t, simple)
			c.send(test.request)
			s := b.accept()
			s.head()
			s.send(test.response)
			c.response(test.request[:strings.IndexByte(test.request, ' ')])
			s.gone()
			c.send(getRequest)
			s = b.accept()
			s.head()
			s.send(plain(200, "good"))
			if _, body := c.response("GET"); body != "good" {
				t.Errorf("the next response is %q", body)
			}
		})
	}
}

func TestKeepAliveOfHTTP10BackendIsUsed(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
	c.response("GET")
	c.send(getRequest)
	s.head()
	s.send(plain(200, "ok"))
	c.response("GET")
}

// An unsolicited answer, such as the 408 that servers write before they close an idle connection, is never that of the next request.
func TestUnsolicitedResponseIsNotTheNextOnes(t *testing.T) {
	const timeout = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate"
	for _, test := range []struct {
		name string
		end  func(*peer)
	}{{"then closed", (*peer).close}, {"then half-closed", (*peer).closeWrite}, {"and left open", func(*peer) {}}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, g, c := start(t, simple)
			s := warm(b, c)
			s.send(timeout)
			test.end(s)
			g.awaitUnasked()
			c.send(post("/x", "{}"))
			s = b.accept()
			s.request()
			s.send(plain(200, "good"))
			if res, body := c.response("POST"); res.StatusCode != 200 || body != "good" {
				t.Errorf("got %d %q, want the answer to the request", res.StatusCode, body)
			}
		})
	}
}

// awaitUnasked waits until what the backends sent without being asked has arrived on all idle connections, or these have been dropped.
func (g *gateway) awaitUnasked() {
	g.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); runtime.Gosched() {
		arrived := true
		for _, up := range g.server.allUpstreams() {
			for i := range up.shards {
				s := &up.shards[i]
				s.mu.Lock()
				for _, u := range s.conns {
					arrived = arrived && u.pending()
				}
				s.mu.Unlock()
			}
		}
		if arrived {
			return
		}
	}
	g.t.Fatal("what the backend sent does not arrive")
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	b, _, c := start(t, "pools: {only: {endpoints: [\"http://BACKEND\"], idleTimeout: 20ms}}\ntimeouts: {write: 40ms}\n")
	s := warm(b, c)
	s.closed()
}

func TestNoIdleConnectionsAreKept(t *testing.T) {
	b, _, c := start(t, "pools: {only: {endpoints: [\"http://BACKEND\"], idleConnections: 0}}\n")
	warm(b, c).closed()
	warm(b, c).closed()
}
