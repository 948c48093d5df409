package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// What readers accept. The limits keep a broken file from taking all memory, or from giving times and lengths that overflow.
const (
	maxLine   = 1 << 20     // bytes
	maxRows   = 10_000_000  // requests
	maxNumber = 999_999_999 // tokens, block ids, milliseconds
)

// lines hands out the lines of a trace that are not blank.
type lines struct {
	scanner *bufio.Scanner
	number  int // of the line that next returned, from 1
	rows    int // lines returned
	limit   int // of rows
}

func newLines(r io.Reader, limit int) *lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine+len("\r\n"))
	return &lines{scanner: s, limit: limit}
}

// next returns the next line that is not blank, without blanks around it, or io.EOF. The line is valid until the next call.
func (l *lines) next() ([]byte, error) {
	for l.scanner.Scan() {
		l.number++
		if len(l.scanner.Bytes()) > maxLine {
			return nil, l.errorf("it is longer than %d bytes", maxLine)
		}
		if line := bytes.TrimSpace(l.scanner.Bytes()); len(line) > 0 {
			l.rows++
			if l.rows > l.limit {
				return nil, l.errorf("a trace has at most %d rows", l.limit)
			}
			return line, nil
		}
	}
	err := l.scanner.Err()
	if err == nil {
		return nil, io.EOF
	}
	l.number++
	if errors.Is(err, bufio.ErrTooLong) {
		return nil, l.errorf("it is longer than %d bytes", maxLine)
	}
	return nil, l.errorf("%w", err)
}

// errorf is an error about the line that next returned.
func (l *lines) errorf(format string, args ...any) error {
	return fmt.Errorf("cannot read line %d: %w", l.number, fmt.Errorf(format, args...))
}
