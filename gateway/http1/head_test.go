package http1

import (
	"bytes"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/field"
)

func mustParse(t *testing.T, raw string) *RequestHead {
	t.Helper()
	h := new(RequestHead)
	if n, err := h.Parse([]byte(raw), nil); n != len(raw) || err != nil {
		t.Fatalf("cannot parse %q: %d, %v", raw, n, err)
	}
	return h
}

const fieldsRequest = "GET / HTTP/1.1\r\n" +
	"Host: a\r\n" +
	"X-Custom: one\r\n" +
	"accept: text/plain\r\n" +
	"x-CUSTOM: two\r\n" +
	"Connection: X-Hop\r\n" +
	"X-Hop: 1\r\n" +
	"Accept: */*\r\n" +
	"Cookie: a=b\r\n" +
	"\r\n"

func TestGetAndLookup(t *testing.T) {
	h := mustParse(t, fieldsRequest)
	for _, c := range []struct{ name, want string }{
		{"HOST", "a"},
		{"Accept", "text/plain"},
		{"X-Custom", "one"},
		{"x-custom", "one"},
		{"x-hop", "1"},
		{"X-Custo", ""},
		{"X-Customs", ""},
		{"Content-Length", ""},
		{"", ""},
		{strings.Repeat("x", 100), ""},
		{"h\x0fst", ""},
	} {
		value, ok := h.Lookup(c.name)
		if string(value) != c.want || ok != (c.want != "") {
			t.Errorf("Lookup(%q) = %q, %v, want %q", c.name, value, ok, c.want)
		}
	}
	if value, ok := h.Get(field.Cookie); string(value) != "a=b" || !ok {
		t.Errorf("Get(field.Cookie) = %q, %v", value, ok)
	}
	for _, id := range []field.ID{field.Unknown, field.ContentLength, 63, 200} {
		if value, ok := h.Get(id); ok {
			t.Errorf("Get(%d) = %q", id, value)
		}
	}
}

func TestAppendFields(t *testing.T) {
	h := mustParse(t, fieldsRequest)
	skip := NewFieldSet(field.Host, field.Accept)
	named := NewFieldSet()
	named.AddName("x-custom")
	named.AddName("COOKIE")
	const host, custom, accept, custom2, accept2, cookie = "Host: a\r\n", "X-Custom: one\r\n", "accept: text/plain\r\n",
		"x-CUSTOM: two\r\n", "Accept: */*\r\n", "Cookie: a=b\r\n"
	for _, c := range []struct {
		name string
		skip *FieldSet
		want string
	}{
		{"all that are end-to-end", nil, host + custom + accept + custom2 + accept2 + cookie},
		{"an empty set", NewFieldSet(), host + custom + accept + custom2 + accept2 + cookie},
		{"known names", skip, custom + custom2 + cookie},
		{"any names", named, host + accept + accept2},
		{"field.Unknown is no name", NewFieldSet(field.Unknown), host + custom + accept + custom2 + accept2 + cookie},
	} {
		if got := string(h.AppendFields([]byte("before;"), c.skip)); got != "before;"+c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := mustParse(t, "GET / HTTP/1.0\r\n\r\n").AppendFields(nil, nil); len(got) != 0 {
		t.Errorf("a head without fields forwards %q", got)
	}
}

func TestFieldSetHas(t *testing.T) {
	s := NewFieldSet(field.Host, field.SecWebSocketKey, field.Unknown)
	for id := range field.ID(64) {
		if want := id == field.Host || id == field.SecWebSocketKey; s.Has(id) != want {
			t.Errorf("Has(%q) = %v", id, !want)
		}
	}
}

// TestHeadIsReused checks that nothing of one head shows in the next, whether the first was taken, refused or given up.
func TestHeadIsReused(t *testing.T) {
	heads := []string{
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close, upgrade\r\n" +
			"Upgrade: x\r\nTE: trailers\r\nX-A: 1\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET /long HTTP/1.1\r\nHost: aaaaaaaaaaaa\r\nX: ",
		"GET /",
		"",
		"GET http://b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
	}
	var reused RequestHead
	for _, first := range heads {
		for _, second := range heads {
			reused.Reset()
			reused.Parse([]byte(first), nil)
			if !reused.over {
				reused.Reset()
			}
			n, err := reused.Parse([]byte(second), nil)
			var fresh RequestHead
			m, freshErr := fresh.Parse([]byte(second), nil)
			got, want := summarizeRequest(&reused, []byte(second), n, err), summarizeRequest(&fresh, []byte(second), m, freshErr)
			if got != want {
				t.Errorf("%q after %q is %s, but alone %s", second, first, got, want)
			}
		}
	}
}

func TestResponseHeadIsReused(t *testing.T) {
	var h ResponseHead
	for _, raw := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
	} {
		n, err := h.Parse([]byte(raw), nil, false)
		var fresh ResponseHead
		m, freshErr := fresh.Parse([]byte(raw), nil, false)
		got, want := summarizeResponse(&h, []byte(raw), n, err), summarizeResponse(&fresh, []byte(raw), m, freshErr)
		if got != want {
			t.Errorf("%q is %s, but alone %s", raw, got, want)
		}
	}
}

// TestSlowHeadIsParsedOnce checks that lines that have been parsed are not looked at again, so that a head that arrives byte by byte
// costs no more than its length: finished lines are spoilt on the way, and the search for the next line's end goes on where it was.
func TestSlowHeadIsParsedOnce(t *testing.T) {
	raw := "GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + strings.Repeat("v", 2000) + "\r\nX-Next: 1\r\n\r\n"
	var h RequestHead
	b := []byte(raw)
	for end := range len(b) {
		arrived := bytes.Clone(b[:end])
		for i := range h.pos {
			arrived[i] = '\n'
		}
		if n, err := h.Parse(arrived, nil); n != 0 || err != nil {
			t.Fatalf("after %d bytes: %d, %v", end, n, err)
		}
		if lines := bytes.LastIndexByte(b[:end], '\n') + 1; h.pos != lines || h.sought != end {
			t.Fatalf("after %d bytes: parsed %d, sought %d; want %d, %d", end, h.pos, h.sought, lines, end)
		}
	}
	if n, err := h.Parse(b, nil); n != len(b) || err != nil {
		t.Fatal(n, err)
	}
}

func TestFewerBytesThanBeforePanics(t *testing.T) {
	var h RequestHead
	h.Parse([]byte("GET / HTTP/1.1\r\nHost"), nil)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	h.Parse([]byte("GET / HTTP/1.1\r\n"), nil)
}

func TestHeadLimitsResolve(t *testing.T) {
	for _, c := range []struct {
		lim  *HeadLimits
		want HeadLimits
	}{
		{nil, DefaultHeadLimits},
		{&HeadLimits{}, DefaultHeadLimits},
		{&HeadLimits{Bytes: 1, Fields: 2, TargetBytes: 3}, HeadLimits{1, 2, 3}},
		{&HeadLimits{Bytes: 1 << 40, Fields: 1 << 40, TargetBytes: 5}, HeadLimits{maxHeadBytes, maxHeadFields, 5}},
	} {
		if got := c.lim.resolve(); got != c.want {
			t.Errorf("%+v resolves to %+v, want %+v", c.lim, got, c.want)
		}
	}
}

// TestErrorsAreComplete checks that each fault has a text, and that texts hold no bytes but visible ASCII.
func TestErrorsAreComplete(t *testing.T) {
	codes := map[string]bool{}
	for f, e := range requestErrors {
		if fault(f) == noFault {
			continue
		}
		if e.Status < 400 || e.Status > 599 || e.Code == "" || e.Reason == "" || codes[e.Code] {
			t.Errorf("fault %d is %+v", f, e)
		}
		codes[e.Code] = true
		if field.SkipText([]byte(e.Reason), 0) != len(e.Reason) || strings.HasSuffix(e.Reason, ".") {
			t.Errorf("reason of %s: %q", e.Code, e.Reason)
		}
		if up := responseErrors[f]; up.Status != 502 || up.Code != e.Code || up.Reason != e.Reason || up.Error() != e.Reason {
			t.Errorf("%+v is %+v in a response", e, up)
		}
	}
}

// FuzzIndexColon checks the search by words against one by bytes.
func FuzzIndexColon(f *testing.F) {
	f.Add([]byte("0123456789:"), 0)
	f.Add([]byte("\xba\x3b:\x39abcdefgh:"), 1)
	f.Fuzz(func(t *testing.T, b []byte, start int) {
		start = min(max(start, 0), len(b))
		want := start
		for want < len(b) && b[want] != ':' {
			want++
		}
		if got := indexColon(b, start); got != want {
			t.Errorf("indexColon(%q, %d) = %d, want %d", b, start, got, want)
		}
	})
}
