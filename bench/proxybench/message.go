package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Sizes in bytes of what the load sends and the backend answers.
const (
	bodySize  = 300 // request body
	replySize = 500 // JSON response body
	eventSize = 150 // one SSE event, its blank line included
)

// The send time of an event stands in its id field, as stampDigits hex digits of nanoseconds since 1970; all zero is none.
const (
	stampOffset = len(`data: {"id":"`)
	stampDigits = 16
)

// Kinds of answer that a request asks the backend for.
const (
	kindJSON  = "json"  // one response with a Content-Length
	kindPaced = "paced" // an SSE stream, one event each interval
	kindBurst = "burst" // an SSE stream, events as fast as they can be written
	kindHold  = "hold"  // an SSE stream of one event that then stays open
)

var (
	jsonBody   = padded(`{"model":"bench","stream":false,"messages":[{"role":"user","content":"`, `"}]}`, bodySize)
	streamBody = padded(`{"model":"bench","stream":true,"messages":[{"role":"user","content":"`, `"}]}`, bodySize)

	jsonReplyBody = padded(`{"id":"bench","object":"chat.completion","model":"bench","choices":[{"index":0,"finish_reason":"stop",`+
		`"message":{"role":"assistant","content":"`, `"}}],"usage":{"prompt_tokens":64,"completion_tokens":64,"total_tokens":128}}`, replySize)
	jsonReply = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\ndate: Mon, 02 Jan 2006 15:04:05 GMT\r\nserver: uvicorn\r\ncontent-length: %d\r\n"+
		"content-type: application/json\r\n\r\n%s", replySize, jsonReplyBody)
	badRequest = []byte("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

	streamHead = []byte("HTTP/1.1 200 OK\r\ndate: Mon, 02 Jan 2006 15:04:05 GMT\r\nserver: uvicorn\r\n" +
		"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n")
	eventData = padded(`data: {"id":"`+strings.Repeat("0", stampDigits)+`","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"`,
		"\"}}]}\n\n", eventSize)
	eventChunk    = fmt.Appendf(nil, "%x\r\n%s\r\n", eventSize, eventData)
	lastChunk     = []byte("0\r\n\r\n")
	chunkStampAt  = len(eventChunk) - len("\r\n") - eventSize + stampOffset
	markerPrefix  = []byte("bench=")
	headEnd       = []byte("\r\n\r\n")
	statusOKStart = []byte("HTTP/1.1 200 ")
)

// padded returns head + filler + tail of exactly size bytes.
func padded(head, tail string, size int) []byte {
	fill := size - len(head) - len(tail)
	if fill < 0 {
		panic(fmt.Sprintf("BUG: %d bytes do not hold %q and %q", size, head, tail))
	}
	return []byte(head + strings.Repeat("token ", fill/6+1)[:fill] + tail)
}

// plan is what a request asks the backend to answer. It travels in the value of the x-bench header, whose bytes no proxy
// changes, so that the backend needs no header parser.
type plan struct {
	Kind     string
	Interval int // microseconds between two events of a paced stream
	Events   int // events of the stream
	Streams  int // streams that share the interval
	Index    int // this stream's place among them, from 0
}

// request is the whole request, head and body, that carries the plan.
func (p plan) request() []byte {
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nhost: bench.example\r\nuser-agent: proxybench\r\naccept: */*\r\n"+
		"authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"+
		"x-bench: %s%s,%d,%d,%d,%d;\r\n\r\n%s", bodySize, markerPrefix, p.Kind, p.Interval, p.Events, p.Streams, p.Index, p.body())
}

func (p plan) body() []byte {
	if p.Kind == kindJSON {
		return jsonBody
	}
	return streamBody
}

// parsePlan finds the plan in a request's head.
func parsePlan(head []byte) (plan, error) {
	at := bytes.Index(head, markerPrefix)
	if at < 0 {
		return plan{}, fmt.Errorf("the request has no %s marker", markerPrefix)
	}
	value, _, ended := bytes.Cut(head[at+len(markerPrefix):], []byte(";"))
	if !ended {
		return plan{}, fmt.Errorf("the %s marker has no end", markerPrefix)
	}
	// The JSON path is the hot one and needs none of the numbers.
	if bytes.HasPrefix(value, []byte(kindJSON)) {
		return plan{Kind: kindJSON}, nil
	}
	kind, numbers, _ := strings.Cut(string(value), ",")
	p := plan{Kind: kind}
	if _, err := fmt.Sscanf(numbers, "%d,%d,%d,%d", &p.Interval, &p.Events, &p.Streams, &p.Index); err != nil {
		return plan{}, fmt.Errorf("cannot parse the marker %q: %w", value, err)
	}
	return p, p.validate()
}

func (p plan) validate() error {
	switch {
	case p.Kind != kindPaced && p.Kind != kindBurst && p.Kind != kindHold:
		return fmt.Errorf("the kind %q is none of %s, %s, %s, %s", p.Kind, kindJSON, kindPaced, kindBurst, kindHold)
	case p.Events < 1:
		return fmt.Errorf("a stream has %d events; it needs at least 1", p.Events)
	case p.Kind == kindPaced && (p.Interval < 1 || p.Streams < 1 || p.Index < 0 || p.Index >= p.Streams):
		return fmt.Errorf("a paced stream needs an interval and an index below its number of streams, not %+v", p)
	}
	return nil
}

const hexDigits = "0123456789abcdef"

// stamp writes a time in nanoseconds into an event chunk.
func stamp(chunk []byte, now int64) {
	digits := chunk[chunkStampAt : chunkStampAt+stampDigits]
	for i := range digits {
		digits[i] = hexDigits[now>>(4*(stampDigits-1-i))&15]
	}
}
