package http1

import (
	"fmt"
	"strings"
	"testing"
)

// TestChunkScannerStops checks that nothing is scanned after the end or after a fault, whatever is offered.
func TestChunkScannerStops(t *testing.T) {
	for _, c := range []struct {
		first string
		done  bool
	}{
		{"5\r\nhello\r\n0\r\n\r\n", true},
		{"x", false},
		{"5\r\nhellox", false},
		{"5\r\nhello\rx", false},
		{"5\rx", false},
		{"5;\n", false},
		{"ffffffffffffffff", false},
		{"0\r\nHost:", false},
		{"0\r\nX: \n", false},
	} {
		var s ChunkScanner
		_, done, err := s.Scan([]byte(c.first))
		if done != c.done || (err == nil) != c.done {
			t.Fatalf("%q: %v, %v", c.first, done, err)
		}
		data := s.Data()
		for _, next := range []string{"", "0\r\n\r\n", "\r\n0\r\n\r\n", "\n", "5\r\nhello\r\n", ":", "\r"} {
			n, doneAgain, errAgain := s.Scan([]byte(next))
			if n != 0 || doneAgain != done || errAgain != err {
				t.Errorf("Scan(%q) after %q: %d, %v, %v", next, c.first, n, doneAgain, errAgain)
			}
			n, p, doneAgain, errAgain := s.Next([]byte(next))
			if n != 0 || len(p) != 0 || doneAgain != done || errAgain != err {
				t.Errorf("Next(%q) after %q: %d, %q, %v, %v", next, c.first, n, p, doneAgain, errAgain)
			}
		}
		if s.Data() != data {
			t.Errorf("Data() rose to %d after %q", s.Data(), c.first)
		}
	}
}

func TestChunkScannerReset(t *testing.T) {
	s := ChunkScanner{TrailerBytes: 40, TrailerFields: 2}
	for _, first := range []string{"", "5\r\nhel", "x", "0\r\nX: 1\r\nY: 2\r\n", "0\r\n\r\n", "1;" + strings.Repeat("e", 1000) + "\r\n"} {
		s.Reset()
		s.Scan([]byte(first))
		s.Reset()
		if s.Data() != 0 {
			t.Errorf("Data() is %d after Reset", s.Data())
		}
		const body = "5\r\nhello\r\n0\r\nX: 1\r\nY: 2\r\n\r\n"
		if n, done, err := s.Scan([]byte(body)); n != len(body) || !done || err != nil || s.Data() != 5 {
			t.Errorf("after %q: %d, %v, %v", first, n, done, err)
		}
		s.Reset()
		if _, _, err := s.Scan([]byte("0\r\nX: 1\r\nY: 2\r\nZ: 3\r\n\r\n")); err == nil || summarizeError(err) != "431 too_many_trailers" {
			t.Errorf("after %q, the limit was not kept: %v", first, err)
		}
	}
}

func TestChunkScannerDefaultLimits(t *testing.T) {
	for _, c := range []struct{ trailers, want string }{
		{strings.Repeat("X: 1\r\n", DefaultTrailerFields), "ok"},
		{strings.Repeat("X: 1\r\n", DefaultTrailerFields+1), "431 too_many_trailers"},
		{"X:" + strings.Repeat("v", DefaultTrailerBytes-4) + "\r\n", "ok"},
		{"X:" + strings.Repeat("v", DefaultTrailerBytes-3) + "\r\n", "431 trailers_too_large"},
	} {
		var s ChunkScanner
		_, done, err := s.Scan([]byte("0\r\n" + c.trailers + "\r\n"))
		got := "ok"
		if err != nil {
			got = summarizeError(err)
		}
		if got != c.want || done != (c.want == "ok") {
			t.Errorf("%.20q... of %d bytes: %s, want %s", c.trailers, len(c.trailers), got, c.want)
		}
	}
}

// TestChunkOverheadPaysBack checks that data makes up for extensions that came before it.
func TestChunkOverheadPaysBack(t *testing.T) {
	costly := strings.Repeat("1;"+strings.Repeat("e", 1000)+"\r\nx\r\n", 15)
	big := fmt.Sprintf("%x\r\n%s\r\n", 20000, strings.Repeat("x", 20000))
	var s ChunkScanner
	if _, _, err := s.Scan([]byte(costly + costly)); err == nil || summarizeError(err) != "400 chunk_overhead" {
		t.Errorf("twice as much as is allowed: %v", err)
	}
	s.Reset()
	if _, _, err := s.Scan([]byte(strings.Repeat(costly+big, 5))); err != nil {
		t.Errorf("with data between: %v", err)
	}
}

// TestNextSteps pins what the steps are: a chunk's data with its framing, cut where the input is.
func TestNextSteps(t *testing.T) {
	var s ChunkScanner
	steps := []struct {
		input, data string
		n           int
		done        bool
	}{
		{"5\r\nhello\r\n3\r\nabc\r\n", "hello", 10, false},
		{"3\r\nab", "ab", 5, false},
		{"c", "c", 1, false},
		{"\r\n3\r\ndef\r\n", "def", 10, false},
		{"2\r", "", 2, false},
		{"\n", "", 1, false},
		{"gh", "gh", 2, false},
		{"\r", "", 1, false},
		{"\n0\r\n\r\nGET", "", 6, true},
	}
	for i, step := range steps {
		n, data, done, err := s.Next([]byte(step.input))
		if n != step.n || string(data) != step.data || done != step.done || err != nil {
			t.Fatalf("step %d, %q: %d, %q, %v, %v; want %d, %q, %v", i, step.input, n, data, done, err, step.n, step.data, step.done)
		}
	}
	if s.Data() != 13 {
		t.Errorf("Data() = %d, want 13", s.Data())
	}
}

// TestNextDataIsCapped checks that appending to data cannot write over what follows it.
func TestNextDataIsCapped(t *testing.T) {
	for _, input := range []string{"5\r\nhello\r\n0\r\n\r\n", "9\r\nhello"} {
		var s ChunkScanner
		p := []byte(input)
		_, data, _, _ := s.Next(p)
		_ = append(data, "XX"...)
		if string(p) != input {
			t.Errorf("%q became %q", input, p)
		}
	}
}
