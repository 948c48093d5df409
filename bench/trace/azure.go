package trace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// azureHeader is the first line of Azure's traces.
const azureHeader = "TIMESTAMP,ContextTokens,GeneratedTokens"

// azureSpan is how far a row may lie from the first one.
const azureSpan = 366 * 24 * time.Hour

// ReadAzure reads a trace of the Azure Public Dataset's LLM inference traces: CSV with the columns TIMESTAMP, ContextTokens and
// GeneratedTokens. Rows that are not in order of time are sorted, and times count from the earliest; 0 tokens are taken as 1. The format
// does not say what prompts share, so no request has Blocks. Errors name the line.
func ReadAzure(r io.Reader) (*Trace, error) {
	return readAzure(newLines(r, maxRows+1)) // and the header
}

func readAzure(l *lines) (*Trace, error) {
	if err := readAzureHeader(l); err != nil {
		return nil, err
	}
	t := &Trace{Name: "Azure", BlockTokens: defaultBlockTokens}
	var first time.Time
	for {
		line, err := l.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		at, request, err := parseAzure(string(line))
		if err != nil {
			return nil, l.errorf("%w", err)
		}
		if len(t.Requests) == 0 {
			first = at
		}
		request.At = at.Sub(first) // saturates far beyond azureSpan
		if request.At.Abs() > azureSpan {
			return nil, l.errorf("it is more than %d days from the first row", azureSpan/(24*time.Hour))
		}
		t.Requests = append(t.Requests, request)
	}
	if len(t.Requests) == 0 {
		return nil, errors.New("cannot read a trace without requests: there is nothing after the header")
	}
	t.sort()
	t.startAtZero()
	return t, nil
}

func readAzureHeader(l *lines) error {
	line, err := l.next()
	if err == io.EOF {
		return fmt.Errorf("cannot read an empty trace: it must begin with the header %s", azureHeader)
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(line, []byte(azureHeader)) {
		return l.errorf("the header is %s, want %s", excerpt(line), azureHeader)
	}
	return nil
}

// parseAzure reads one row; the request's At is left to the caller.
func parseAzure(line string) (time.Time, Request, error) {
	columns := strings.Split(line, ",")
	if len(columns) != 3 {
		return time.Time{}, Request{}, fmt.Errorf("it has %d columns, want 3: %s", len(columns), azureHeader)
	}
	at, err := parseAzureTime(columns[0])
	if err != nil {
		return time.Time{}, Request{}, err
	}
	prompt, err := parseTokens("ContextTokens", columns[1])
	if err != nil {
		return time.Time{}, Request{}, err
	}
	output, err := parseTokens("GeneratedTokens", columns[2])
	if err != nil {
		return time.Time{}, Request{}, err
	}
	return at, Request{PromptTokens: prompt, OutputTokens: output}, nil
}

// parseAzureTime reads the times of the 2023 traces and those of the 2024 ones, which have a zone.
func parseAzureTime(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("TIMESTAMP is %s, want a time such as 2023-11-16 18:15:46.6805900", excerpt([]byte(s)))
}

func parseTokens(column, s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxNumber {
		return 0, fmt.Errorf("%s is %s, want a whole number from 0 to %d", column, excerpt([]byte(s)), maxNumber)
	}
	return max(n, 1), nil
}

// excerpt quotes the beginning of what a file has, for an error message.
func excerpt(b []byte) string {
	const most = 60
	if len(b) <= most {
		return strconv.Quote(string(b))
	}
	return strconv.Quote(string(b[:most])) + "..."
}

// sort puts requests in order of time; those of the same time stay as they are.
func (t *Trace) sort() {
	slices.SortStableFunc(t.Requests, func(a, b Request) int { return cmp.Compare(a.At, b.At) })
}

// startAtZero makes times count from the first request.
func (t *Trace) startAtZero() {
	begin := t.Requests[0].At
	for i := range t.Requests {
		t.Requests[i].At -= begin
	}
}
