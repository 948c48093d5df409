package telemetry

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceHex = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanHex  = "00f067aa0ba902b7"
	sampled  = "00-" + traceHex + "-" + spanHex + "-01"
)

func TestParseTraceparent(t *testing.T) {
	for _, c := range []struct {
		name, value string
		ok          bool
		flags       trace.TraceFlags
	}{
		{"sampled", sampled, true, 1},
		{"not sampled", "00-" + traceHex + "-" + spanHex + "-00", true, 0},
		{"a random id", "00-" + traceHex + "-" + spanHex + "-03", true, 3},
		{"unknown flags", "00-" + traceHex + "-" + spanHex + "-ff", true, 3},
		{"a later version", "cc-" + traceHex + "-" + spanHex + "-01", true, 1},
		{"a later version with more", "cc-" + traceHex + "-" + spanHex + "-01-what-is-new", true, 1},
		{"a later version that goes on otherwise", "cc-" + traceHex + "-" + spanHex + "-01.what", false, 0},
		{"a later version that is too long", "cc-" + traceHex + "-" + spanHex + "-01-" + strings.Repeat("a", 512), false, 0},
		{"version 00 with more", sampled + "-00", false, 0},
		{"version ff", "ff" + sampled[2:], false, 0},
		{"upper case", strings.ToUpper(sampled), false, 0},
		{"an upper-case flag", sampled[:53] + "0A", false, 0},
		{"no trace", "00-" + strings.Repeat("0", 32) + "-" + spanHex + "-01", false, 0},
		{"no span", "00-" + traceHex + "-" + strings.Repeat("0", 16) + "-01", false, 0},
		{"short", sampled[:54], false, 0},
		{"empty", "", false, 0},
		{"not hexadecimal", strings.Replace(sampled, "4bf9", "4bg9", 1), false, 0},
		{"a space in front", " " + sampled[:54], false, 0},
		{"no dashes", strings.ReplaceAll(sampled, "-", "_"), false, 0},
	} {
		p, ok := parseTraceparent([]byte(c.value))
		if ok != c.ok || ok && (p.trace.String() != traceHex || p.span.String() != spanHex || p.flags != c.flags) {
			t.Errorf("%s: got %+v, %v", c.name, p, ok)
		}
	}
}

// FuzzTraceparent holds the parser against the library's, and what is written against what is read.
func FuzzTraceparent(f *testing.F) {
	for _, s := range []string{sampled, strings.ToUpper(sampled), "cc" + sampled[2:] + "-x", sampled[:50], "00-" + strings.Repeat("0", 49)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parseTraceparent([]byte(s))
		theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": s}))
		// The library takes neither unknown flags of version 00 nor minds how a later version goes on.
		unknown := len(s) >= parentBytes && (s[:2] != "00" || s[flagsAt] != '0' || s[flagsAt+1] > '3')
		if ok != theirs.IsValid() && !unknown {
			t.Fatalf("%q is taken: %v, by the library: %v", s, ok, theirs.IsValid())
		}
		if !ok {
			return
		}
		if theirs.IsValid() && (p.trace != theirs.TraceID() || p.span != theirs.SpanID() || p.flags.IsSampled() != theirs.IsSampled()) {
			t.Fatalf("%q is read as %+v, by the library as %+v", s, p, theirs)
		}
		var again [parentBytes]byte
		writeParent(&again, p.trace, p.span, p.flags)
		if q, ok := parseTraceparent(again[:]); !ok || q != p || string(again[:flagsAt]) != "00"+s[2:flagsAt] {
			t.Fatalf("%q is written as %q", s, again)
		}
	})
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{nil, ""},
		{[]string{"a=1"}, "a=1"},
		{[]string{"a=1", "b=2,c=3"}, "a=1,b=2,c=3"},
		{[]string{"a=1,a=2"}, ""}, // a key that is there twice
		{[]string{"A=1"}, ""},
		{[]string{"a"}, ""},
		{[]string{"a=1\xff"}, ""},
		{[]string{strings.Repeat("a=1,", 33)}, ""},
	} {
		if got := stateOf(headerOf("tracestate", c.fields...)); got.String() != c.want {
			t.Errorf("%q is read as %q, want %q", c.fields, got.String(), c.want)
		}
	}
}

// header is a head with the fields that a test gives.
type header map[string][][]byte

func headerOf(name string, values ...string) header {
	h := header{}
	for _, v := range values {
		h[name] = append(h[name], []byte(v))
	}
	return h
}

func (h header) Lookup(name string) ([]byte, bool) {
	v, _, ok := h.Next(name, 0)
	return v, ok
}

func (h header) Next(name string, from int) ([]byte, int, bool) {
	if list := h[name]; from < len(list) {
		return list[from], from + 1, true
	}
	return nil, from, false
}
