package openai

import "bytes"

// eventLines counts the data events of a text/event-stream (HTML standard, section 9.2.6). Lines end with LF or CRLF; a CR alone,
// which the standard allows too, is sent by no model server and does not end one here.
type eventLines struct {
	data    bool // the event has a data line other than [DONE]
	headLen uint8
	head    [len("data: [DONE]\r") + 1]byte // beginning of a line whose end has not come; full if the line is longer
}

// feed takes the next bytes of the stream, and returns how many events ended in them.
func (e *eventLines) feed(p []byte) (events int64) {
	if e.headLen == 0 && isOneEvent(p) {
		e.data = false
		return 1
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if e.headLen > 0 || end < 0 {
			line := p
			if end >= 0 {
				line = p[:end]
			}
			e.headLen += uint8(copy(e.head[e.headLen:], line))
			if end < 0 {
				return events
			}
			line = e.head[:e.headLen]
			e.headLen = 0
			events += e.line(line)
		} else {
			events += e.line(p[:end])
		}
		p = p[end+1:]
	}
	return events
}

// isOneEvent reports whether p, which begins a line, is an event of one data line, as most chunks of a stream are. It is longer
// than [DONE].
func isOneEvent(p []byte) bool {
	n := len(p) - len("\n\n")
	return n > len(eventLines{}.head) && p[n] == '\n' && p[n+1] == '\n' && string(p[:len("data:")]) == "data:" &&
		bytes.IndexByte(p[:n], '\n') < 0
}

// line takes a whole line, or one that is cut to more than any that matters, and returns 1 if it ends an event.
func (e *eventLines) line(line []byte) int64 {
	if len(line) > 0 && line[len(line)-1] == '\r' {
		line = line[:len(line)-1]
	}
	if len(line) == 0 {
		if e.data {
			e.data = false
			return 1
		}
		return 0
	}
	if data, is := bytes.CutPrefix(line, []byte("data:")); is {
		data, _ = bytes.CutPrefix(data, []byte(" "))
		e.data = e.data || string(data) != "[DONE]"
	}
	return 0
}
