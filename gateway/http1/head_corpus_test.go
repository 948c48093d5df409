package http1

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/field"
)

// corpusCase is one case of a file in testdata; testdata/requests.txt says how they are written.
type corpusCase struct {
	name    string
	line    int
	raw     []byte
	toHEAD  bool
	verdict string
}

var (
	corpusHeadLimits = HeadLimits{Bytes: 4096, Fields: 32, TargetBytes: 1024}
	corpusScanner    = ChunkScanner{TrailerBytes: 1024, TrailerFields: 8}
)

// corpus reads a file of cases.
func corpus(tb testing.TB, file string) []corpusCase {
	tb.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	var cases []corpusCase
	for i, line := range strings.Split(string(text), "\n") {
		marker, arg, _ := strings.Cut(line, " ")
		if marker == "###" {
			cases = append(cases, corpusCase{name: arg, line: i + 1})
			continue
		}
		if line == "" || marker == "#" {
			continue
		}
		c := &cases[len(cases)-1]
		switch marker {
		case "|":
			c.raw = append(c.raw, unescape(tb, file, i, arg)+"\r\n"...)
		case "<":
			c.raw = append(c.raw, unescape(tb, file, i, arg)...)
		case "*":
			count, arg, _ := strings.Cut(arg, " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				tb.Fatalf("%s:%d: %v", file, i+1, err)
			}
			c.raw = append(c.raw, strings.Repeat(unescape(tb, file, i, arg), n)...)
		case "!":
			c.toHEAD = true
		case ">":
			c.verdict = arg
		default:
			tb.Fatalf("%s:%d: unknown marker %q", file, i+1, marker)
		}
	}
	return cases
}

func unescape(tb testing.TB, file string, line int, text string) string {
	tb.Helper()
	s, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		tb.Fatalf("%s:%d: cannot unquote %q: %v", file, line+1, text, err)
	}
	return s
}

func summarizeError(err error) string {
	var p *ParseError
	if !errors.As(err, &p) {
		return fmt.Sprintf("an error that is no ParseError: %v", err)
	}
	return fmt.Sprintf("%d %s", p.Status, p.Code)
}

// summarizeRequest says what became of a request: "incomplete", status and code of its error, or "ok", method and target and
// whatever is not as in a plain GET: the version, the target's form and parts, the body's length, flags, hop-by-hop fields, and the
// bytes after the head.
func summarizeRequest(h *RequestHead, b []byte, n int, err error) string {
	if err != nil {
		return summarizeError(err)
	}
	if n == 0 {
		return "incomplete"
	}
	target := string(h.Target)
	if len(target) > 256 {
		target = fmt.Sprintf("%d bytes", len(target))
	}
	s := fmt.Sprintf("ok %s %s", h.Method, target)
	s += flag(h.Minor == 0, "HTTP/1.0")
	if h.TargetForm != OriginForm {
		s += " " + h.TargetForm.String()
		s += flag(h.Authority != nil, "authority="+string(h.Authority))
		s += " path=" + string(h.Path)
	} else if !bytes.Equal(h.Path, h.Target) || h.Authority != nil {
		s += " BAD-TARGET"
	}
	s += flag(h.Length > 0, fmt.Sprintf("length=%d", h.Length)) + flag(h.Chunked, "chunked") +
		flag(h.Chunked != (h.Length < 0), "BAD-LENGTH") +
		flag(h.Close, "close") + flag(h.Expect100, "expect") + flag(h.Upgrade, "upgrade") + flag(h.TETrailers, "te-trailers")
	if host, ok := h.Get(field.Host); ok != (h.HostField >= 0) || ok && !bytes.Equal(host, h.Value(&h.Fields[h.HostField])) {
		s += " BAD-HOST"
	}
	return s + summarizeHead(&h.head, b, n)
}

// summarizeResponse is summarizeRequest for responses.
func summarizeResponse(h *ResponseHead, b []byte, n int, err error) string {
	if err != nil {
		return summarizeError(err)
	}
	if n == 0 {
		return "incomplete"
	}
	return fmt.Sprintf("ok %d %q", h.Status, h.Reason) +
		flag(h.Minor == 0, "HTTP/1.0") + flag(h.Length >= 0, fmt.Sprintf("length=%d", h.Length)) + flag(h.Chunked, "chunked") +
		flag(h.NoBody, "no-body") + flag(h.UntilClose, "until-close") + flag(h.Close, "close") + flag(h.Upgrade, "upgrade") +
		summarizeHead(&h.head, b, n)
}

func flag(set bool, name string) string {
	if set {
		return " " + name
	}
	return ""
}

func summarizeHead(h *head, b []byte, n int) (s string) {
	var hop []string
	for i := range h.Fields {
		if h.Fields[i].Hop {
			hop = append(hop, string(h.Name(&h.Fields[i])))
		}
	}
	s += flag(len(hop) > 0, "hop="+strings.Join(hop, ","))
	s += flag(!bytes.Equal(h.Raw, b[:n]), "BAD-RAW")
	return s + flag(n < len(b), fmt.Sprintf("rest=%q", b[n:]))
}

// summarizeChunks says what became of a body: status and code of its error, or "ok" or "incomplete", its data, and the bytes after
// the message.
func summarizeChunks(data, b []byte, n int, done bool, err error) string {
	if err != nil {
		return summarizeError(err)
	}
	s := "incomplete "
	if done {
		s = "ok "
	}
	if len(data) > 256 {
		s += fmt.Sprintf("%d bytes", len(data))
	} else {
		s += fmt.Sprintf("%q", data)
	}
	return s + flag(n < len(b), fmt.Sprintf("rest=%q", b[n:]))
}

// splits returns ways to cut size bytes, as the ends of the pieces: whole, byte by byte, in two everywhere, and at random.
func splits(size int) [][]int {
	bytewise := make([]int, size+1)
	for i := range bytewise {
		bytewise[i] = i
	}
	all := [][]int{{size}, bytewise}
	stride := 1
	if size > 1000 {
		stride = 1 + size/30
	}
	for i := 0; i < size; i += stride {
		all = append(all, []int{i, size})
	}
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for range 10 {
		ends := []int{size}
		for range random.IntN(6) {
			ends = append(ends, random.IntN(size+1))
		}
		slices.Sort(ends)
		all = append(all, ends)
	}
	return all
}

// parseRequestIn parses b as it arrives when it is cut at the given ends, moving it each time, and returns the summary.
func parseRequestIn(h *RequestHead, b []byte, ends []int, lim *HeadLimits) string {
	h.Reset()
	for _, end := range ends {
		moved := bytes.Clone(b[:end])
		n, err := h.Parse(moved, lim)
		if n > 0 || err != nil {
			return summarizeRequest(h, b, n, err)
		}
	}
	return "incomplete"
}

func parseResponseIn(h *ResponseHead, b []byte, toHEAD bool, ends []int, lim *HeadLimits) string {
	h.Reset()
	for _, end := range ends {
		moved := bytes.Clone(b[:end])
		n, err := h.Parse(moved, lim, toHEAD)
		if n > 0 || err != nil {
			return summarizeResponse(h, b, n, err)
		}
	}
	return "incomplete"
}

// scanIn scans b as it arrives when it is cut at the given ends, and returns the summary, without data, and how many bytes were right.
func scanIn(s *ChunkScanner, b []byte, ends []int) (string, int) {
	s.Reset()
	at, done, err := 0, false, error(nil)
	for _, end := range ends {
		var n int
		n, done, err = s.Scan(b[at:end])
		at += n
		if done || err != nil {
			break
		}
	}
	return summarizeChunks(nil, b, at, done, err), at
}

// nextIn is scanIn by steps of Next, with data.
func nextIn(s *ChunkScanner, b []byte, ends []int) (string, []byte, int) {
	s.Reset()
	var data []byte
	at, done, err := 0, false, error(nil)
	for _, end := range ends {
		for at < end && !done && err == nil {
			var n int
			var d []byte
			n, d, done, err = s.Next(b[at:end])
			if n == 0 && err == nil {
				return "no progress", nil, at
			}
			at += n
			data = append(data, d...)
		}
	}
	return summarizeChunks(data, b, at, done, err), data, at
}

func TestRequestCorpus(t *testing.T) {
	for _, c := range corpus(t, "requests.txt") {
		t.Run(c.name, func(t *testing.T) {
			var h RequestHead
			for _, ends := range splits(len(c.raw)) {
				if got := parseRequestIn(&h, c.raw, ends, &corpusHeadLimits); got != c.verdict {
					t.Fatalf("testdata/requests.txt:%d, cut at %v:\n%.300q\ngot:  %s\nwant: %s", c.line, ends, c.raw, got, c.verdict)
				}
			}
		})
	}
}

func TestResponseCorpus(t *testing.T) {
	for _, c := range corpus(t, "responses.txt") {
		t.Run(c.name, func(t *testing.T) {
			var h ResponseHead
			for _, ends := range splits(len(c.raw)) {
				if got := parseResponseIn(&h, c.raw, c.toHEAD, ends, &corpusHeadLimits); got != c.verdict {
					t.Fatalf("testdata/responses.txt:%d, cut at %v:\n%.300q\ngot:  %s\nwant: %s", c.line, ends, c.raw, got, c.verdict)
				}
			}
		})
	}
}

func TestChunkCorpus(t *testing.T) {
	for _, c := range corpus(t, "chunks.txt") {
		t.Run(c.name, func(t *testing.T) {
			s := corpusScanner
			_, data, size := nextIn(&s, c.raw, []int{len(c.raw)})
			for _, ends := range splits(len(c.raw)) {
				got, gotData, at := nextIn(&s, c.raw, ends)
				if got != c.verdict || at != size || !bytes.Equal(gotData, data) || s.Data() != int64(len(data)) {
					t.Fatalf("testdata/chunks.txt:%d, Next, cut at %v:\n%.300q\ngot:  %s, %d bytes, %d of data\nwant: %s, %d bytes, %d of data",
						c.line, ends, c.raw, got, at, s.Data(), c.verdict, size, len(data))
				}
				got, at = scanIn(&s, c.raw, ends)
				if want := withoutData(c.verdict); got != want || at != size || s.Data() != int64(len(data)) {
					t.Fatalf("testdata/chunks.txt:%d, Scan, cut at %v:\n%.300q\ngot:  %s, %d bytes, %d of data\nwant: %s, %d bytes, %d of data",
						c.line, ends, c.raw, got, at, s.Data(), want, size, len(data))
				}
			}
		})
	}
}

// withoutData is the verdict that Scan, which returns no data, comes to.
func withoutData(verdict string) string {
	kind, rest, _ := strings.Cut(verdict, " ")
	if kind != "ok" && kind != "incomplete" {
		return verdict
	}
	if _, after, ok := strings.Cut(rest, " rest="); ok {
		return kind + ` "" rest=` + after
	}
	return kind + ` ""`
}

// TestCorpusCoversErrors checks that every error that the parsers know is the verdict of a case.
func TestCorpusCoversErrors(t *testing.T) {
	covered := map[string]bool{}
	for _, file := range []string{"requests.txt", "responses.txt", "chunks.txt"} {
		for _, c := range corpus(t, file) {
			covered[c.verdict] = true
		}
	}
	for _, e := range requestErrors[noFault+1:] {
		if !covered[fmt.Sprintf("%d %s", e.Status, e.Code)] && !covered["502 "+e.Code] {
			t.Errorf("no case for %d %s", e.Status, e.Code)
		}
	}
}
