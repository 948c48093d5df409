package config

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// syntaxError adds the error that the YAML parser stopped with. The parser tells the line of some errors, sometimes wrongly, and the
// column of none, so the place is found by watching how far it reads.
func syntaxError(r *report, data []byte, err error) {
	message := syntaxMessage(err)
	end := stop(data)
	offset := cause(data, end, message)
	switch {
	case strings.HasPrefix(message, "did not find expected ',' or"), message == "found unexpected end of stream":
		// The parser noticed far behind the place that wants mending: the bracket or quote that is never closed.
		if open := lastOpened(data, end); open >= 0 {
			offset = open
		}
	case message == "could not find expected ':'":
		start := bytes.LastIndexByte(data[:offset], '\n') + 1
		offset = start + len(data[start:]) - len(bytes.TrimLeft(data[start:], " "))
	}
	if strings.HasPrefix(message, "unknown anchor") {
		message = "unknown anchor" // its name may be a password that begins with *
	}
	r.at(spotAt(data, offset), "", "is not YAML: "+message, syntaxHint(message))
}

var syntaxPrefix = regexp.MustCompile(`^yaml: (?:line [0-9]+: )?`)

// syntaxMessage is the parser's error without the line, in one line.
func syntaxMessage(err error) string {
	return syntaxPrefix.ReplaceAllString(strings.ReplaceAll(err.Error(), "\n", " "), "")
}

// stop is how much of data the parser reads until it fails.
func stop(data []byte) int {
	in := &countingReader{data: data}
	dec := yaml.NewDecoder(in)
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			return in.read
		}
	}
}

const (
	// lookahead is how many characters the parser at most reads beyond those that make it fail.
	lookahead = 8
	// maxExact bounds the files whose errors are placed to the character, as each step parses the file once more.
	maxExact = 256 << 10
)

// cause is the offset of the character that makes the parser fail with message, given that it read data up to end.
func cause(data []byte, end int, message string) int {
	if name, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		alias := "*" + strings.TrimSuffix(name, "' referenced")
		return max(0, bytes.LastIndex(data[:end], []byte(alias)))
	}
	for n := 0; n < lookahead && end > 1 && end < maxExact && failsWith(data[:end-1], message); n++ {
		end--
	}
	return max(0, end-1)
}

// lastOpened is where the innermost bracket or quote stands that is open at end, or -1 if none is.
func lastOpened(data []byte, end int) int {
	var open []int
	before := byte('\n') // the last character that is not blank
	for i := 0; i < end && i < len(data); i++ {
		c := data[i]
		// Brackets and quotes mean something where a value begins, and brackets within brackets.
		atValue := strings.IndexByte("\n:-,[{?", before) >= 0
		switch {
		case c == '#' && (i == 0 || data[i-1] <= ' '):
			i = skipTo(data, i, '\n') - 1
			continue
		case (c == '"' || c == '\'') && atValue:
			closing := skipQuoted(data, i)
			if closing >= end {
				return i
			}
			i = closing
		case (c == '[' || c == '{') && (atValue || len(open) > 0):
			open = append(open, i)
		case (c == ']' || c == '}') && len(open) > 0:
			open = open[:len(open)-1]
		}
		if c != ' ' && c != '\t' && c != '\r' {
			before = c
		}
	}
	if len(open) == 0 {
		return -1
	}
	return open[len(open)-1]
}

// skipTo is the offset of the next c from i on, or the end.
func skipTo(data []byte, i int, c byte) int {
	if n := bytes.IndexByte(data[i:], c); n >= 0 {
		return i + n
	}
	return len(data)
}

// skipQuoted is the offset of the quote that closes the one at i, or the end.
func skipQuoted(data []byte, i int) int {
	quote := data[i]
	for i++; i < len(data) && data[i] != quote; i++ {
		if data[i] == '\\' && quote == '"' {
			i++
		}
	}
	return min(i, len(data))
}

// failsWith says whether data is broken YAML in the way that message says.
func failsWith(data []byte, message string) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			return syntaxMessage(err) == message
		}
	}
}

// spotAt is where the byte at offset stands.
func spotAt(data []byte, offset int) spot {
	before := data[:min(offset, len(data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return spot{1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])}
}

// countingReader hands out one byte at a time, so that read tells how far a reader without lookahead of its own has come.
type countingReader struct {
	data []byte
	read int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n := copy(p[:min(1, len(p))], c.data[c.read:])
	if c.read += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// syntaxHints say what usually causes the parser's errors.
var syntaxHints = []struct{ in, hint string }{
	{"mapping values are not allowed", "check the indentation, and quote text that contains ': '"},
	{"cannot start any token", "indent with spaces, not tabs, and quote text that begins with @, `, % or a tab"},
	{"a tab character", "indent with spaces, not tabs"},
	{"expected ',' or", "close the bracket, and separate items by commas"},
	{"unexpected end of stream", "close the quotes"},
	{"unknown anchor", "define it earlier in the file as &name, or quote text that begins with *"},
	{"unknown escape character", "use single quotes where a backslash means itself"},
	{"could not find expected ':'", "write key: value"},
	{"expected key", "check the indentation"},
	{"expected '-' indicator", "check the indentation"},
	{"sequence entries are not allowed", "begin the list in a line of its own"},
}

func syntaxHint(message string) string {
	for _, h := range syntaxHints {
		if strings.Contains(message, h.in) {
			return h.hint
		}
	}
	return "want YAML 1.2"
}
