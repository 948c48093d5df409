package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestCarryRelaysResponses(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	tests := []struct {
		name, method, response string
		close                  bool
		length                 int64
		noBody                 bool
		body                   string
	}{
		{"by length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 5, false, "hello"},
		{"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 0, false, ""},
		{"in chunks", "GET", chunked + "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", false, -1, false, "hello!"},
		{"an empty body in chunks", "GET", chunked + "0\r\n\r\n", false, -1, false, ""},
		{"until the connection ends", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", true, -1, false, "hello"},
		{"to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, 5, true, ""},
		{"to HEAD, in chunks", "HEAD", chunked, false, -1, true, ""},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, -1, true, ""},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, -1, true, ""},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, 5, true, ""},
		{"an error", "GET", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", false, 2, false, "no"},
	}
	for _, test := range tests {
		for _, piecewise := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, piecewise %v", test.name, piecewise), func(t *testing.T) {
				b := startBackend(t)
				up := startUpstream(t, b)
				c := bridgetest.NewClient(t, "")
				r := get("/x")
				r.Method = test.method
				k := bridgetest.Carry(t, up, r, c)
				s := b.accept()
				s.head()
				if piecewise {
					for i := range test.response {
						s.send(test.response[i : i+1])
					}
				} else {
					s.send(test.response)
				}
				if test.close {
					s.close()
				}
				k.Ended(dispatch.Completed, false)
				if !c.Complete || c.Text() != test.body || c.Response.Length != test.length || c.Response.NoBody != test.noBody {
					t.Errorf("got %+v %q (complete: %v)", c.Response, c.Text(), c.Complete)
				}
				if test.close {
					return
				}
				// The connection is in order, and serves the next request.
				c = bridgetest.NewClient(t, "")
				k = bridgetest.Carry(t, up, get("/next"), c)
				if head := s.head(); !strings.HasPrefix(head, "GET /next ") {
					t.Errorf("the next request came as %q", head)
				}
				s.send(plain(200, "next"))
				k.Ended(dispatch.Completed, false)
				b.idle()
			})
		}
	}
}

func TestCarryDropsWhatHoldsForOneConnection(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c := bridgetest.NewClient(t, "")
	k := bridgetest.Carry(t, up, get("/x"), c)
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Nominated\r\nKeep-Alive: timeout=5\r\nX-Nominated: 1\r\nProxy-Authenticate: Basic\r\n" +
		"Upgrade: h2c\r\nX-Stays:  2 \r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\nok")
	k.Ended(dispatch.Completed, false)
	want := "[{x-stays 2 false} {set-cookie a=b true} {set-cookie c=d true}]"
	if got := fmt.Sprint(c.Response.Fields); got != want {
		t.Errorf("the fields are %s, want %s", got, want)
	}
}

func TestCarryRelaysInterimResponses(t *testing.T) {
	for _, test := range []struct {
		name   string
		expect bool
		want   string
	}{
		{"the client waits for 100", true, "[100 [] 103 [{link </a>}]]"},
		{"the client does not", false, "[103 [{link </a>}]]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c := bridgetest.NewClient(t, "body")
			r := postOf(4, false)
			r.ExpectContinue = test.expect
			k := bridgetest.Carry(t, up, r, c)
			s := b.accept()
			s.request()
			s.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + plain(200, "ok"))
			k.Ended(dispatch.Completed, false)
			if got := strings.ReplaceAll(fmt.Sprint(c.Interims), " false}", "}"); got != test.want || c.Text() != "ok" {
				t.Errorf("got %s and %q, want %s", got, c.Text(), test.want)
			}
		})
	}
}

func TestCarryRefusesMalformedResponses(t *testing.T) {
	for name, response := range map[string]string{
		"nonsense":            "nonsense nonsense\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"length and coding":   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"a bad chunk":         chunkedHead + "x\r\n",
		"a forbidden trailer": chunkedHead + "0\r\nContent-Length: 5\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c := bridgetest.NewClient(t, "")
			k := bridgetest.Carry(t, up, get("/x"), c)
			s := b.accept()
			s.head()
			s.send(response)
			k.Ended(dispatch.UpstreamBroken, false)
			if c.Complete {
				t.Error("the response was ended as if it were complete")
			}
			s.gone()
		})
	}
}
