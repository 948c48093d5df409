package http1

import (
	"bytes"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
)

// FuzzAppendRequest checks that nothing that a request holds can become a line of its own.
func FuzzAppendRequest(f *testing.F) {
	f.Add("POST", "gateway", "/v1/x", "x-a", "1", int64(-1))
	f.Add("GET", "", "*", "x\r\ny", "a\r\nb: c", int64(0))
	f.Add("GET /\r\n", "a\nb", "/ HTTP/1.1\r\n", "te", "\x00", int64(7))
	f.Fuzz(func(t *testing.T, method, authority, path, name, value string, length int64) {
		r := &bridge.Request{Method: method, Authority: authority, Path: path, Length: max(length, -1), Fields: []bridge.Field{{Name: name, Value: value}}}
		head, err := appendRequest(nil, r, "10.0.0.1:80")
		if err != nil {
			return
		}
		lines := strings.Split(string(head), "\r\n")
		want := []string{method + " " + path + " HTTP/1.1", "Host: " + authority, name + ": " + value}
		if authority == "" {
			want[1] = "Host: 10.0.0.1:80"
		}
		if len(lines) > 5 || len(lines) < 4 || lines[0] != want[0] || lines[1] != want[1] || lines[2] != want[2] || strings.ContainsAny(strings.Join(lines, ""), "\r\n\x00") {
			t.Fatalf("%+v became %q", r, head)
		}
		// What is sent says the same when it is read again.
		again, n := bridgedRequest(append(head, "\r\n"...), "http")
		if n != len(head)+2 || again.Method != method || again.Path != path || again.Length != r.Length || len(again.Fields) != 1 ||
			again.Fields[0].Name != strings.ToLower(name) || again.Fields[0].Value != strings.Trim(value, " \t") {
			t.Errorf("%+v is read as %+v", r, again)
		}
	})
}

// FuzzTrailers checks that trailers that a ChunkScanner keeps are read as the head parser reads them, wherever they were cut.
func FuzzTrailers(f *testing.F) {
	f.Add([]byte("X-Sum: 1\r\nserver-timing:  a \r\n"), 5)
	f.Add([]byte("a:\r\n"), 0)
	f.Add([]byte("X: a:b\t\r\n\r\nGET / HTTP/1.1\r\n"), 9)
	f.Fuzz(func(t *testing.T, lines []byte, cut int) {
		raw := append(append([]byte("0\r\n"), lines...), "\r\n"...)
		cut = min(max(cut, 0), len(raw))
		var kept []byte
		var s ChunkScanner
		s.KeepTrailers(&kept)
		n, done, err := s.Scan(raw[:cut])
		if err == nil && !done {
			_, done, err = s.Scan(raw[n:])
		}
		if err != nil || !done {
			return
		}
		var h head
		if end, f := h.parseFields(append(bytes.Clone(kept), "\r\n"...), DefaultTrailerFields); f != noFault || end != len(kept)+2 {
			t.Fatalf("%q was kept of %q, which is no section of fields", kept, raw)
		}
		h.Raw = kept
		got := bridgedLines(kept)
		if len(got) != len(h.Fields) {
			t.Fatalf("%q has %d fields, want %d", kept, len(got), len(h.Fields))
		}
		for i := range h.Fields {
			name, value := string(h.Name(&h.Fields[i])), string(h.Value(&h.Fields[i]))
			if got[i].Name != strings.ToLower(name) || got[i].Value != value {
				t.Errorf("%q is read as %+v, want %q: %q", kept, got[i], name, value)
			}
		}
	})
}
