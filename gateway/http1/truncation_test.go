package http1

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestTruncatedResponseNeverEndsCleanly(t *testing.T) {
	const byLength = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	const byClose = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
	tests := []struct {
		name, head, body string
		end              func(*peer)
		version          string
	}{
		{"FIN at a chunk boundary", chunkedHead, chunk("one"), (*peer).close, "1.1"},
		{"RST at a chunk boundary", chunkedHead, chunk("one"), (*peer).reset, "1.1"},
		{"FIN within a chunk", chunkedHead, "5\r\nhe", (*peer).close, "1.1"},
		{"RST within a chunk", chunkedHead, "5\r\nhe", (*peer).reset, "1.1"},
		{"FIN within the last chunk's line", chunkedHead, "5\r\nhello\r\n0\r\n", (*peer).close, "1.1"},
		{"FIN before the first chunk", chunkedHead, "", (*peer).close, "1.1"},
		{"FIN short of the length", byLength, "12345", (*peer).close, "1.1"},
		{"RST short of the length", byLength, "12345", (*peer).reset, "1.1"},
		{"RST in a body that ends with the connection", byClose, "12345", (*peer).reset, "1.1"},
		{"RST in a body that ends with the connection, HTTP/1.0", byClose, "12345", (*peer).reset, "1.0"},
		{"FIN at a chunk boundary, HTTP/1.0", chunkedHead, chunk("one"), (*peer).close, "1.0"},
		{"FIN within a chunk, HTTP/1.0", chunkedHead, "5\r\nhe", (*peer).close, "1.0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, g, c := start(t, simple)
			c.send("GET /x HTTP/" + test.version + "\r\nHost: gateway\r\n\r\n")
			s := b.accept()
			s.head()
			s.send(test.head)
			res, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.send(test.body)
			if test.body != "" { // it is there before the end, which could overtake it
				if _, err := io.ReadFull(res.Body, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
			}
			test.end(s)
			if rest, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("the client's response ended cleanly after %q", rest)
			}
			g.wantEnded(0, dispatch.UpstreamBroken, 200)
		})
	}
}

func TestTruncatedUploadNeverLooksComplete(t *testing.T) {
	const byLength = "POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\n"
	tests := []struct {
		name, head, body string
		end              func(*peer)
	}{
		{"FIN at a chunk boundary", uploadHead, chunk("one"), (*peer).close},
		{"RST at a chunk boundary", uploadHead, chunk("one"), (*peer).reset},
		{"half-close at a chunk boundary", uploadHead, chunk("one"), (*peer).closeWrite},
		{"FIN within a chunk", uploadHead, "5\r\nhe", (*peer).close},
		{"FIN within the last chunk's line", uploadHead, chunk("one") + "0\r\n", (*peer).close},
		{"FIN short of the length", byLength, strings.Repeat("x", 5000), (*peer).close},
		{"RST short of the length", byLength, strings.Repeat("x", 5000), (*peer).reset},
		{"half-close short of the length", byLength, strings.Repeat("x", 5000), (*peer).closeWrite},
	}
	for _, halfClose := range []string{"abort", "allow"} {
		for _, test := range tests {
			t.Run(test.name+", half-close "+halfClose, func(t *testing.T) {
				b, g, c := start(t, simple+"clientHalfClose: "+halfClose+"\n")
				c.send(test.head)
				s := b.accept()
				req, err := http.ReadRequest(s.r)
				if err != nil {
					t.Fatal(err)
				}
				c.send(test.body)
				if _, err := io.ReadFull(req.Body, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
				test.end(c)
				if _, err := io.ReadAll(req.Body); err == nil {
					t.Error("the backend saw a complete request")
				}
				g.wantEnded(0, dispatch.ClientGone, 499)
			})
		}
	}
}

func TestShortBodyOfABrokenClientReachesNobody(t *testing.T) {
	b, g, c := start(t, simple)
	c.send("POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: " + strconv.Itoa(1000) + "\r\n\r\nbegin")
	eventually(t, "the request is being read", func() bool { return g.server.Active() == 1 })
	c.close()
	g.wantEnded(0, dispatch.ClientGone, 499)
	b.idle()
}

func TestBodyThatEndsWithTheConnectionIsRelayedWhole(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 200 OK\r\n\r\n")
	wantHeader(t, c.head(), "Connection", "Connection: close")
	want := strings.Repeat("0123456789", 50_000)
	go func() {
		io.WriteString(s.conn, want)
		s.close()
	}()
	if got, err := c.rest(); err != nil || got != want {
		t.Errorf("got %d bytes (%v), want %d", len(got), err, len(want))
	}
	g.wantEnded(0, dispatch.Completed, 200)
}
