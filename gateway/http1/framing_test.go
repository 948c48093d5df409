package http1

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	const line = "POST /x HTTP/1.1\r\nHost: gateway\r\n"
	const chunked = line + "Transfer-Encoding: chunked\r\n\r\n"
	tests := []struct {
		name, request string
		status        int
		code          string
	}{
		{"length and coding", line + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "content_length_with_transfer_encoding"},
		{"coding and length", line + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400, "content_length_with_transfer_encoding"},
		{"equal lengths", line + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400, "duplicate_content_length"},
		{"different lengths", line + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 400, "duplicate_content_length"},
		{"listed lengths", line + "Content-Length: 2, 2\r\n\r\nab", 400, "invalid_content_length"},
		{"empty length", line + "Content-Length: \r\n\r\n", 400, "invalid_content_length"},
		{"signed length", line + "Content-Length: +2\r\n\r\nab", 400, "invalid_content_length"},
		{"negative length", line + "Content-Length: -2\r\n\r\nab", 400, "invalid_content_length"},
		{"hexadecimal length", line + "Content-Length: 0x2\r\n\r\nab", 400, "invalid_content_length"},
		{"overflowing length", line + "Content-Length: 9223372036854775808\r\n\r\n", 400, "content_length_overflow"},
		{"long length", line + "Content-Length: 00000000000000000002\r\n\r\n", 400, "content_length_overflow"},
		{"coding gzip", line + "Transfer-Encoding: gzip\r\n\r\n", 501, "unknown_transfer_encoding"},
		{"coding gzip, chunked", line + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "invalid_transfer_encoding"},
		{"coding chunked, identity", line + "Transfer-Encoding: chunked, identity\r\n\r\n", 400, "invalid_transfer_encoding"},
		{"coding xchunked", line + "Transfer-Encoding: xchunked\r\n\r\n", 501, "unknown_transfer_encoding"},
		{"coding with vertical tab", line + "Transfer-Encoding: \vchunked\r\n\r\n", 400, "control_character"},
		{"quoted coding", line + "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, "invalid_transfer_encoding"},
		{"two codings", line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "duplicate_transfer_encoding"},
		{"coding on HTTP/1.0", "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "transfer_encoding_version"},
		{"space before colon", line + "Content-Length : 2\r\n\r\nab", 400, "space_before_colon"},
		{"underscore for hyphen", line + "Content_Length: 2\r\n\r\nab", 400, "ambiguous_field_name"},
		{"bare line feed", line + "X-A: b\nX-C: d\r\n\r\n", 400, "bare_line_feed"},
		{"bare line feed at the end", line + "X-A: b\n\n", 400, "bare_line_feed"},
		{"bare carriage return", line + "X-A: b\rX-C: d\r\n\r\n", 400, "bare_carriage_return"},
		{"folded line", line + "X-A: b\r\n c\r\n\r\n", 400, "line_folding"},
		{"NUL", line + "X-A: b\x00c\r\n\r\n", 400, "nul_byte"},
		{"no colon", line + "X-A\r\n\r\n", 400, "missing_colon"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, "missing_host"},
		{"two hosts", line + "Host: other\r\n\r\n", 400, "duplicate_host"},
		{"HTTP/0.9", "GET /x\r\n", 400, "missing_version"},
		{"HTTP/2.0", "GET /x HTTP/2.0\r\n\r\n", 505, "unsupported_version"},
		{"nominated length", line + "Connection: content-length\r\nContent-Length: 2\r\n\r\nab", 400, "nominated_framing_field"},
		{"other expectation", line + "Expect: magic\r\nContent-Length: 2\r\n\r\nab", 417, "unknown_expectation"},
		{"tunnel", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 501, "connect_not_supported"},
		{"line feed in a chunk extension", chunked + "2;a=\nb\r\nab\r\n0\r\n\r\n", 400, ""},
		{"line feed after a size", chunked + "2\nab\r\n0\r\n\r\n", 400, ""},
		{"space after a size", chunked + "2 \r\nab\r\n0\r\n\r\n", 400, ""},
		{"prefixed size", chunked + "0x2\r\nab\r\n0\r\n\r\n", 400, ""},
		{"negative size", chunked + "-2\r\nab\r\n0\r\n\r\n", 400, ""},
		{"overflowing size", chunked + "ffffffffffffffff\r\nab\r\n0\r\n\r\n", 400, "chunk_size_overflow"},
		{"very long size", chunked + "00000000000000002\r\nab\r\n0\r\n\r\n", 400, "chunk_size_overflow"},
		{"chunk longer than its size", chunked + "2\r\nabc\r\n0\r\n\r\n", 400, "invalid_chunk_end"},
		{"length in trailers", chunked + "0\r\nContent-Length: 5\r\n\r\n", 400, "forbidden_trailer"},
	}
	b := startBackend(t)
	g := startGateway(t, simple, b)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := g.dial()
			c.t = t
			c.send(test.request + "GET /smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n")
			res, body := c.response("POST")
			if res.StatusCode != test.status || !strings.Contains(body, test.code) || !res.Close {
				t.Errorf("got %d %s (close: %v), want %d %s and close", res.StatusCode, body, res.Close, test.status, test.code)
			}
			c.closed()
			b.idle()
			g.wantEnded(i, dispatch.Refused, test.status)
		})
	}
}

func TestMalformedChunkMidUploadNeverLooksComplete(t *testing.T) {
	b, g, c := start(t, simple)
	c.send(uploadHead + chunk("first"))
	s := b.accept()
	s.head()
	s.expect(chunk("first"))
	c.send("2\r\nabc\r\n0\r\n\r\n")
	res, body := c.response("POST")
	if res.StatusCode != 400 || !res.Close {
		t.Errorf("got %d %s, want 400 and close", res.StatusCode, body)
	}
	if got, err := s.rest(); err == nil {
		t.Errorf("the backend's connection ended cleanly after %q", got)
	}
	g.wantEnded(0, dispatch.Refused, 400)
}

func TestMalformedResponsesBecome502(t *testing.T) {
	tests := []struct{ name, response string }{
		{"length and coding", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
		{"empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"},
		{"overflowing length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"},
		{"coding gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
		{"coding on HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"space before colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab"},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nab"},
		{"bare carriage return", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nab"},
		{"folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nab"},
		{"NUL", "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nab"},
		{"no status", "HTTP/1.1 OK\r\n\r\n"},
		{"status 099", "HTTP/1.1 099 Low\r\n\r\n"},
		{"HTTP/2", "HTTP/2 200 OK\r\n\r\n"},
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n"},
		{"a head that breaks off", "HTTP/1.1 200 OK\r\nContent-Le"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, g, c := start(t, simple)
			c.send(post("/x", "{}"))
			s := b.accept()
			s.request()
			s.send(test.response)
			closeWrite(s.conn) // which the gateway may have cut by now
			res, body := c.response("POST")
			if res.StatusCode != 502 || !strings.Contains(body, "upstream_broken") {
				t.Errorf("got %d %s, want 502 upstream_broken", res.StatusCode, body)
			}
			s.gone()
			g.wantEnded(0, dispatch.Refused, 502)
			// The client's request was read whole, so its connection goes on.
			c.send(getRequest)
			s = b.accept()
			s.head()
			s.send(plain(200, "ok"))
			c.response("GET")
		})
	}
}

func TestMalformedChunkOfResponseCutsTheClient(t *testing.T) {
	for _, bad := range []string{"zz\r\n", "2\r\nabc\r\n", "2\nab\r\n", "ffffffffffffffff\r\n", "2;a=\nb\r\nab\r\n", "0\r\nContent-Length: 3\r\n\r\n"} {
		b, g, c := start(t, simple)
		c.send(getRequest)
		s := b.accept()
		s.head()
		s.send(chunkedHead + chunk("good"))
		c.head()
		c.expect(chunk("good"))
		s.send(bad)
		got, _ := c.rest()
		if strings.HasSuffix(got, "0\r\n\r\n") || strings.Contains(got, "\r\n\r\n") {
			t.Errorf("after %q the client got %q, which looks complete", bad, got)
		}
		s.gone()
		g.wantEnded(0, dispatch.UpstreamBroken, 200)
	}
}

func TestResponseBeyondItsLengthIsNotPooled(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(getRequest)
	s := b.accept()
	s.head()
	s.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
	if _, body := c.response("GET"); body != "ok" {
		t.Errorf("got %q", body)
	}
	s.closed()
	c.send(getRequest)
	s = b.accept()
	s.head()
	s.send(plain(200, "good"))
	if _, body := c.response("GET"); body != "good" {
		t.Errorf("got %q", body)
	}
}

func TestEmptyBodies(t *testing.T) {
	b := startBackend(t)
	b.serve(func(p *peer, req *http.Request, body string) {
		if body != "" {
			t.Errorf("%s came with %q", req.Method, body)
		}
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	g := startGateway(t, simple, b)
	c := g.dial()
	for _, request := range []string{
		"POST /x HTTP/1.1\r\nHost: gateway\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n",
		uploadHead + "0\r\n\r\n",
		"DELETE /x HTTP/1.1\r\nHost: gateway\r\n\r\n",
	} {
		c.send(request)
		if res, body := c.response("POST"); res.StatusCode != 200 || body != "" {
			t.Errorf("%.20q was answered %d %q", request, res.StatusCode, body)
		}
	}
}

// One byte a write, so that the parsers meet every split.
func TestRequestsAndResponsesInSingleBytes(t *testing.T) {
	b, _, c := start(t, simple)
	slowly := func(p *peer, s string) {
		for i := range len(s) {
			if _, err := io.WriteString(p.conn, s[i:i+1]); err != nil {
				t.Error(err)
				return
			}
		}
	}
	go slowly(c, uploadHead+chunk("hello")+"0\r\n\r\n")
	s := b.accept()
	if _, body := s.request(); body != "hello" {
		t.Errorf("the body came as %q", body)
	}
	go slowly(s, chunkedHead+chunk("one")+chunk("two")+"0\r\n\r\n")
	if _, body := c.response("POST"); body != "onetwo" {
		t.Errorf("the response came as %q", body)
	}
}
