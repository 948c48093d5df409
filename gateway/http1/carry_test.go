package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

// startUpstream makes the connection pool of a backend.
func startUpstream(t testing.TB, b *backend) *Upstream {
	t.Helper()
	d := dispatch.New(dispatch.Options{})
	s, err := NewServer(d, &Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); d.Close() })
	return s.NewUpstream(dispatch.EndpointConfig{Address: b.addr, IdleConnections: 8})
}

func get(path string) *bridge.Request {
	return &bridge.Request{Method: "GET", Scheme: "http", Authority: "gateway", Path: path}
}

// postOf is a request with a body, which is held if length is its own.
func postOf(length int64, held bool) *bridge.Request {
	return &bridge.Request{Method: "POST", Scheme: "http", Authority: "gateway", Path: "/v1/x", Length: length, Held: held}
}

func TestCarrySendsTheRequestAsItIs(t *testing.T) {
	fields := []bridge.Field{{Name: "content-type", Value: "application/json"}, {Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}}
	tests := []struct {
		name    string
		request bridge.Request
		body    string
		want    string
	}{
		{"no body", bridge.Request{Method: "GET", Authority: "api.example", Path: "/a%2f?b=%"}, "",
			"GET /a%2f?b=% HTTP/1.1\r\nHost: api.example\r\n\r\n"},
		{"no authority", bridge.Request{Method: "OPTIONS", Path: "*"}, "", "OPTIONS * HTTP/1.1\r\nHost: ADDRESS\r\n\r\n"},
		{"fields in order", bridge.Request{Method: "GET", Authority: "a", Path: "/", Fields: fields}, "",
			"GET / HTTP/1.1\r\nHost: a\r\ncontent-type: application/json\r\nx-a: 1\r\nx-a: 2\r\n\r\n"},
		{"an empty POST", bridge.Request{Method: "POST", Authority: "a", Path: "/"}, "", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"trailers are taken", bridge.Request{Method: "GET", Authority: "a", Path: "/", TakesTrailers: true}, "",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n"},
		{"a held body", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: 4, Held: true, ExpectContinue: true}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"},
		{"a held body of unknown length", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: -1, Held: true}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
		{"a held body of unknown length that is empty", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: -1, Held: true}, "",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"an uploaded body", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: 4}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"},
		{"an uploaded body of unknown length", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: -1, ExpectContinue: true}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c := bridgetest.NewClient(t, test.body)
			k := bridgetest.Carry(t, up, &test.request, c)
			s := b.accept()
			s.expect(strings.ReplaceAll(test.want, "ADDRESS", b.addr))
			s.send(plain(200, `{"ok":true}`))
			k.Ended(dispatch.Completed, false)
			if c.Text() != `{"ok":true}` || !c.Complete || c.Response.Status != 200 || c.Response.Length != 11 || c.Response.NoBody {
				t.Errorf("got %+v %q", c.Response, c.Text())
			}
		})
	}
}

func TestCarrySendsLongBodiesWhole(t *testing.T) {
	long := strings.Repeat("0123456789", 100_000)
	for _, length := range []int64{int64(len(long)), -1} {
		for _, held := range []bool{true, false} {
			t.Run(fmt.Sprintf("length %d, held %v", length, held), func(t *testing.T) {
				b := startBackend(t)
				up := startUpstream(t, b)
				c := bridgetest.NewClient(t, long)
				k := bridgetest.Carry(t, up, postOf(length, held), c)
				s := b.accept()
				if req, body := s.request(); body != long || req.ContentLength != length {
					t.Errorf("got %d bytes of %d", len(body), req.ContentLength)
				}
				s.send(plain(200, "ok"))
				k.Ended(dispatch.Completed, false)
			})
		}
	}
}

func TestCarryRefusesWhatWouldBeAnotherRequest(t *testing.T) {
	field := func(name, value string) bridge.Request {
		return bridge.Request{Method: "GET", Authority: "a", Path: "/", Fields: []bridge.Field{{Name: name, Value: value}}}
	}
	for name, r := range map[string]bridge.Request{
		"CR in the method":       {Method: "GET\r", Authority: "a", Path: "/"},
		"space in the method":    {Method: "GET / HTTP/1.1", Authority: "a", Path: "/"},
		"no method":              {Authority: "a", Path: "/"},
		"LF in the path":         {Method: "GET", Authority: "a", Path: "/\nx"},
		"space in the path":      {Method: "GET", Authority: "a", Path: "/ HTTP/1.1"},
		"no path":                {Method: "GET", Authority: "a"},
		"CRLF in the authority":  {Method: "GET", Authority: "a\r\nx: y", Path: "/"},
		"CR in a name":           field("x\r", "y"),
		"colon in a name":        field("x: y", "z"),
		"no name":                field("", "z"),
		"CRLF in a value":        field("x", "a\r\nb: c"),
		"NUL in a value":         field("x", "a\x00b"),
		"a field of the framing": field("transfer-encoding", "chunked"),
		"a length of its own":    field("Content-Length", "5"),
		"a Host of its own":      field("host", "b"),
		"a field of the hop":     field("connection", "close"),
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			k := bridgetest.Carry(t, up, &r, bridgetest.NewClient(t, ""))
			if res := k.Ended(dispatch.ClientGone, false); res.Err == nil || !strings.HasPrefix(res.Err.Error(), "cannot send a request") {
				t.Errorf("the error is %v", res.Err)
			}
			b.idle()
		})
	}
}
