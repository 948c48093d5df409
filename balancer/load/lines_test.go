package load

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func linesOf(t *testing.T, page io.Reader) []string {
	t.Helper()
	var got []string
	if err := eachLine(page, new([maxLine]byte), func(line []byte) { got = append(got, string(line)) }); err != nil {
		t.Fatal(err)
	}
	return got
}

// However a page arrives, its lines are the same.
func TestLines(t *testing.T) {
	fits, long := strings.Repeat("x", maxLine-1), strings.Repeat("y", maxLine+5)
	for _, test := range []struct {
		name, page string
		want       []string
	}{
		{"an empty page", "", nil},
		{"one line", "a 1\n", []string{"a 1"}},
		{"no end of line at the end", "a 1\nb 2", []string{"a 1", "b 2"}},
		{"empty lines", "\n\na\n\n", []string{"", "", "a", ""}},
		{"the longest line", "a\n" + fits + "\nb\n", []string{"a", fits, "b"}},
		{"a line that is too long", "a\n" + long + "\nb\n", []string{"a", "b"}},
		{"a long line at the end", "a\n" + long, []string{"a"}},
		{"one long line after the other", long + "\n" + long + long + "\nb", []string{"b"}},
	} {
		for how, reader := range map[string]io.Reader{
			"at once":         strings.NewReader(test.page),
			"byte by byte":    iotest.OneByteReader(strings.NewReader(test.page)),
			"in halves":       iotest.HalfReader(strings.NewReader(test.page)),
			"with its end":    iotest.DataErrReader(strings.NewReader(test.page)),
			"in small pieces": &pieces{[]byte(test.page), 7},
		} {
			if got := linesOf(t, reader); !slices.Equal(got, test.want) {
				t.Errorf("%s, %s: got %d lines %.60q, want %d", test.name, how, len(got), got, len(test.want))
			}
		}
	}
}

// pieces gives so many bytes at a time.
type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

func TestLongPageIsRefused(t *testing.T) {
	line := append(bytes.Repeat([]byte{'x'}, 1023), '\n')
	page := bytes.Repeat(line, maxPage/1024)
	count := 0
	if err := eachLine(bytes.NewReader(page), new([maxLine]byte), func([]byte) { count++ }); err != nil || count != maxPage/1024 {
		t.Fatalf("a page of 4 MiB: %d lines, error %v", count, err)
	}
	err := eachLine(bytes.NewReader(append(page, 'x')), new([maxLine]byte), func([]byte) {})
	if !errors.Is(err, errLongPage) {
		t.Errorf("a longer page: %v, want %v", err, errLongPage)
	}
	endless := iotest.ErrReader(io.ErrUnexpectedEOF)
	if err := eachLine(endless, new([maxLine]byte), func([]byte) {}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a page that breaks off: %v", err)
	}
}
