package http1

import (
	"bytes"
	"testing"

	"github.com/penstock/penstock/gateway/field"
)

// cutFor returns where to cut size bytes, so that different inputs are cut at different places.
func cutFor(b []byte) int {
	sum := uint32(2166136261)
	for _, c := range b {
		sum = (sum ^ uint32(c)) * 16777619
	}
	return int(sum % uint32(len(b)+1))
}

// every returns the ends of size pieces of one byte.
func every(size int) []int {
	ends := make([]int, size+1)
	for i := range ends {
		ends[i] = i
	}
	return ends
}

// withEnd is b with a line feed after it if the verdict is an error.
func withEnd(b []byte, verdict string) []byte {
	if verdict == "incomplete" {
		return b
	}
	return append(bytes.Clone(b), '\n')
}

// checkHead checks what holds for every head that is taken: nothing in it is ambiguous to write.
func checkHead(t *testing.T, h *head) {
	t.Helper()
	end := uint32(len(h.Raw) - 2)
	for i := range h.Fields {
		f := &h.Fields[i]
		if i > 0 && f.Line != h.Fields[i-1].LineEnd {
			t.Fatalf("%q: field %d does not follow the one before it", h.Raw, i)
		}
		if i == len(h.Fields)-1 && f.LineEnd != end {
			t.Fatalf("%q: the empty line does not follow the last field", h.Raw)
		}
		if name := h.Name(f); !field.IsToken(name) || field.Lookup(string(name)) != f.ID || h.Raw[f.NameEnd] != ':' {
			t.Fatalf("%q: bad name %q", h.Raw, name)
		}
		if value := h.Value(f); bytes.ContainsAny(value, "\r\n\x00") || len(bytes.Trim(value, " \t")) != len(value) {
			t.Fatalf("%q: bad value %q", h.Raw, value)
		}
	}
	// What is forwarded is the lines that are end-to-end, and parses to the same fields.
	var want []byte
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Hop {
			want = append(want, h.Raw[f.Line:f.LineEnd]...)
		}
	}
	if got := h.AppendFields(nil, nil); !bytes.Equal(got, want) {
		t.Fatalf("%q: forwards %q instead of %q", h.Raw, got, want)
	}
}

func FuzzRequestHead(f *testing.F) {
	for _, c := range corpus(f, "requests.txt") {
		f.Add(c.raw)
	}
	for _, c := range corpus(f, "chunks.txt") {
		f.Add(append([]byte(chunkedRequest), c.raw...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		code, err := compareRequest(b, &corpusHeadLimits)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if code != "" && stricterRequests[code] == "" && stricterChunks[code] == "" {
			t.Fatalf("%q: %s is not a reason to refuse what net/http takes", b, code)
		}
		var h RequestHead
		if n, err := h.Parse(b, &corpusHeadLimits); n > 0 && err == nil {
			checkHead(t, &h.head)
		}
		whole := parseRequestIn(&h, b, []int{len(b)}, &corpusHeadLimits)
		for _, ends := range [][]int{{cutFor(b), len(b)}, every(min(len(b), 600))} {
			if ends[len(ends)-1] < len(b) {
				ends = append(ends, len(b))
			}
			got := parseRequestIn(&h, b, ends, &corpusHeadLimits)
			if got == "incomplete" {
				// A fault in a line that has no end yet may not be seen before the end comes.
				got = parseRequestIn(&h, withEnd(b, whole), append(ends, len(withEnd(b, whole))), &corpusHeadLimits)
			}
			if got != whole {
				t.Fatalf("%q\nwhole: %s\ncut at %v: %s", b, whole, ends, got)
			}
		}
	})
}

func FuzzResponseHead(f *testing.F) {
	for _, c := range corpus(f, "responses.txt") {
		f.Add(c.raw, c.toHEAD)
	}
	f.Fuzz(func(t *testing.T, b []byte, toHEAD bool) {
		code, err := compareResponse(b, &corpusHeadLimits, toHEAD)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if code != "" && stricterResponses[code] == "" && stricterChunks[code] == "" {
			t.Fatalf("%q: %s is not a reason to refuse what net/http takes", b, code)
		}
		var h ResponseHead
		if n, err := h.Parse(b, &corpusHeadLimits, toHEAD); n > 0 && err == nil {
			checkHead(t, &h.head)
		}
		whole := parseResponseIn(&h, b, toHEAD, []int{len(b)}, &corpusHeadLimits)
		for _, ends := range [][]int{{cutFor(b), len(b)}, every(min(len(b), 600))} {
			if ends[len(ends)-1] < len(b) {
				ends = append(ends, len(b))
			}
			got := parseResponseIn(&h, b, toHEAD, ends, &corpusHeadLimits)
			if got == "incomplete" {
				// A fault in a line that has no end yet may not be seen before the end comes.
				got = parseResponseIn(&h, withEnd(b, whole), toHEAD, append(ends, len(withEnd(b, whole))), &corpusHeadLimits)
			}
			if got != whole {
				t.Fatalf("%q\nwhole: %s\ncut at %v: %s", b, whole, ends, got)
			}
		}
	})
}

func FuzzChunkScanner(f *testing.F) {
	for _, c := range corpus(f, "chunks.txt") {
		f.Add(c.raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		code, err := compareRequest(append([]byte(chunkedRequest), b...), nil)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if code != "" && stricterChunks[code] == "" {
			t.Fatalf("%q: %s is not a reason to refuse what net/http takes", b, code)
		}
		s := corpusScanner
		whole, data, size := nextIn(&s, b, []int{len(b)})
		for _, ends := range [][]int{{len(b)}, {cutFor(b), len(b)}, every(len(b))} {
			got, gotData, at := nextIn(&s, b, ends)
			if got != whole || !bytes.Equal(gotData, data) || at != size {
				t.Fatalf("%q\nwhole: %s, %q, %d bytes\ncut at %v: %s, %q, %d bytes", b, whole, data, size, ends, got, gotData, at)
			}
			if got, at := scanIn(&s, b, ends); got != withoutData(whole) || at != size || s.Data() != int64(len(data)) {
				t.Fatalf("%q\nNext: %s, %d bytes, %d of data\nScan, cut at %v: %s, %d bytes, %d of data",
					b, whole, size, len(data), ends, got, at, s.Data())
			}
		}
	})
}
