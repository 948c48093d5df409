package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/field"
)

// plainRequest is a request head of ten fields, as an OpenAI client sends it.
const plainRequest = "POST /v1/chat/completions HTTP/1.1\r\n" +
	"Host: gateway.example.com:8000\r\n" +
	"User-Agent: OpenAI/Python 1.51.0\r\n" +
	"Accept: application/json\r\n" +
	"Accept-Encoding: gzip, deflate\r\n" +
	"Connection: keep-alive\r\n" +
	"Authorization: Bearer sk-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ\r\n" +
	"Content-Type: application/json\r\n" +
	"Content-Length: 2048\r\n" +
	"X-Request-Id: 7f8f2b0e-6a35-4d3c-9a46-0c1c6b1a2f3d\r\n" +
	"X-Stainless-Lang: python\r\n" +
	"\r\n"

// plainResponse is the head of a streamed response as uvicorn sends it.
const plainResponse = "HTTP/1.1 200 OK\r\n" +
	"date: Tue, 04 Mar 2025 10:00:00 GMT\r\n" +
	"server: uvicorn\r\n" +
	"content-type: text/event-stream; charset=utf-8\r\n" +
	"cache-control: no-cache\r\n" +
	"x-request-id: 7f8f2b0e-6a35-4d3c-9a46-0c1c6b1a2f3d\r\n" +
	"transfer-encoding: chunked\r\n" +
	"\r\n"

func BenchmarkRequestHead(b *testing.B) {
	long := strings.Replace(plainRequest, "X-Stainless-Lang: python", "Cookie: "+strings.Repeat("abcdefgh=ijklmnop; ", 200)+"a=b", 1)
	for _, c := range []struct{ name, raw string }{
		{"fields=10", plainRequest},
		{"fields=1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"cookie=4KB", long},
	} {
		b.Run(c.name, func(b *testing.B) {
			raw := []byte(c.raw)
			var h RequestHead
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if n, err := h.Parse(raw, nil); n != len(raw) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkRequestHeadMixed goes through heads of many shapes, so that the branch predictor cannot learn one by heart.
func BenchmarkRequestHeadMixed(b *testing.B) {
	lines := strings.SplitAfter(plainRequest, "\r\n")
	fields := lines[1 : len(lines)-2]
	var heads [][]byte
	for i := range 64 {
		var s strings.Builder
		s.WriteString(lines[0])
		for j := range fields {
			s.WriteString(fields[(i*7+j*3)%len(fields)])
			if j == i%10 {
				s.WriteString("X-Extra: " + strings.Repeat("v", i) + "\r\n")
			}
		}
		heads = append(heads, []byte(s.String()+"\r\n"))
	}
	var h RequestHead
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		raw := heads[i&63]
		i++
		if n, err := h.Parse(raw, nil); n != len(raw) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkResponseHead(b *testing.B) {
	raw := []byte(plainResponse)
	var h ResponseHead
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if n, err := h.Parse(raw, nil, false); n != len(raw) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkAppendFields(b *testing.B) {
	var h RequestHead
	if _, err := h.Parse([]byte(plainRequest), nil); err != nil {
		b.Fatal(err)
	}
	skip := NewFieldSet(field.Host, field.XForwardedFor)
	skip.AddName("x-not-there")
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst = h.AppendFields(dst[:0], skip)
	}
}

// BenchmarkNetHTTPRequest is net/http's parser on the same head, for comparison.
func BenchmarkNetHTTPRequest(b *testing.B) {
	raw := []byte(plainRequest)
	r := bytes.NewReader(raw)
	br := bufio.NewReader(r)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(raw)
		br.Reset(r)
		if _, err := http.ReadRequest(br); err != nil {
			b.Fatal(err)
		}
	}
}
