package openai

import (
	"bytes"
	"strings"
)

// Usage is how many tokens a response says that it took.
type Usage struct {
	// PromptTokens is the size of the input; CachedTokens of these were in the prefix cache.
	PromptTokens, CachedTokens int64
	// CompletionTokens is the size of the output.
	CompletionTokens int64
	// Known says that the response told any of them.
	Known bool
}

// UsageScan finds the token counts in a response as it passes, and counts the events of a stream. It looks for the key "usage" with
// an object as its value, at any depth: at the top of chat completions, completions and embeddings, below "response" in the events
// of the responses API. Text that speaks of usage is not taken for it: within a JSON string every quote has a backslash before it.
//
// The payload must be plain: without transfer coding, and without content coding, or nothing will be found in it. An object that
// is longer than 2 KiB, or has none of the known counts, is passed over. The zero value scans a response that is not a stream; a
// UsageScan is used again after Reset. It never allocates, and what it is fed may be overwritten afterwards.
type UsageScan struct {
	// Usage is the last that was found.
	Usage Usage
	// Events is how many data events of the stream have ended, "[DONE]" left out.
	Events int64

	streamed bool
	slash    bool       // the last byte was a backslash
	progress progress   // how much of what leads to a usage object the bytes so far end with
	object   usageCount // the usage object that is being read
	lines    eventLines
}

// usageKey is the key that is looked for.
const usageKey = `"usage"`

// progress is how much of the way to a usage object has been seen: 0 to 7 bytes of usageKey, the colon, the object's bracket.
// Whitespace after the key and the colon counts as seen.
type progress uint8

const (
	nothing  progress = 0
	wholeKey          = progress(len(usageKey))
	colon             = wholeKey + 1
	inObject          = wholeKey + 2
)

// Reset makes s ready for a new response; streamed says that it is a text/event-stream.
func (s *UsageScan) Reset(streamed bool) { *s = UsageScan{streamed: streamed} }

// Feed takes the next bytes of the payload, cut anywhere.
func (s *UsageScan) Feed(p []byte) {
	if len(p) == 0 {
		return
	}
	if s.streamed {
		s.Events += s.lines.feed(p)
	}
	for at := 0; at < len(p); {
		switch {
		case s.progress != nothing:
			at = s.follow(p, at)
		case s.streamed:
			at = s.searchKey(p, at)
		default:
			at = s.searchObject(p, at)
		}
	}
	last := p[len(p)-1]
	// In a stream a line's end is an event's end, too, as far as JSON goes.
	if s.progress == nothing && (last != '\n' || !s.streamed) {
		s.progress = s.reached(p)
	}
	s.slash = last == '\\'
}

// What is searched is the byte that is rarest where it matters. In the events of a stream, which have several brackets each, that
// is the g of the key; in the long texts and vectors of other responses it is the object's bracket.

// searchKey looks for the key from p[at], sets progress if it finds it, and returns where to go on.
func (s *UsageScan) searchKey(p []byte, at int) int {
	for rest := p[at:]; ; {
		i := bytes.IndexByte(rest, 'g')
		if i < 0 {
			return len(p)
		}
		rest = rest[i+1:]
		if len(rest) >= 2 && rest[0] == 'e' && rest[1] == '"' {
			at = len(p) - len(rest) + 2
			if s.endsWithKey(p[:at]) {
				s.progress = wholeKey
				return at
			}
		}
	}
}

// searchObject looks from p[at] for the bracket of an object that is the key's value, sets progress to the colon before it if it
// finds it, and returns where to go on.
func (s *UsageScan) searchObject(p []byte, at int) int {
	for {
		i := bytes.IndexByte(p[at:], '{')
		if i < 0 {
			return len(p)
		}
		at += i
		if at > 0 && (p[at-1] == ':' || space[p[at-1]]) && s.reached(p[:at]) == colon {
			s.progress = colon
			return at
		}
		at++
	}
}

// reached returns how much of the way to a usage object p ends with.
func (s *UsageScan) reached(p []byte) progress {
	end := trimSpace(p)
	if end == 0 {
		return nothing
	}
	switch c := p[end-1]; {
	case c == '}' || c == ']': // as most events and bodies end
		return nothing
	case c == ':':
		if s.endsWithKey(p[:trimSpace(p[:end-1])]) {
			return colon
		}
	case c == '"' && s.endsWithKey(p[:end]):
		return wholeKey
	case end == len(p):
		return s.partialKey(p)
	}
	return nothing
}

// trimSpace returns the length of p without the whitespace at its end.
func trimSpace(p []byte) int {
	n := len(p)
	for n > 0 && space[p[n-1]] {
		n--
	}
	return n
}

// endsWithKey reports whether p ends with the whole key.
func (s *UsageScan) endsWithKey(p []byte) bool {
	first := len(p) - len(usageKey)
	return first >= 0 && string(p[first:]) == usageKey && !s.escaped(p, first)
}

// partialKey returns how much of usageKey p ends with, if it is not all. Its letters all differ, so the last byte tells.
func (s *UsageScan) partialKey(p []byte) progress {
	n := 1 + strings.IndexByte(usageKey[:len(usageKey)-1], p[len(p)-1])
	first := len(p) - n
	if n == 0 || first < 0 || string(p[first:]) != usageKey[:n] || s.escaped(p, first) {
		return nothing
	}
	return progress(n)
}

// escaped reports whether a backslash stands before p[i], p being the beginning of what Feed was given.
func (s *UsageScan) escaped(p []byte, i int) bool {
	if i == 0 {
		return s.slash
	}
	return p[i-1] == '\\'
}

// follow goes on from s.progress at p[at] and returns where the way ended: after an object's end or a wrong byte, with progress
// nothing, or at the end of p.
func (s *UsageScan) follow(p []byte, at int) int {
	for ; at < len(p) && s.progress != nothing; at++ {
		c := p[at]
		switch {
		case s.progress == inObject:
			return s.count(p, at)
		case s.progress < wholeKey && c == usageKey[s.progress], s.progress == wholeKey && c == ':':
			s.progress++
		case s.progress >= wholeKey && space[c]:
		case s.progress == colon && c == '{':
			s.progress = inObject
			s.object = usageCount{depth: 1}
		case c == '"':
			s.progress = 1
		default:
			s.progress = nothing
		}
	}
	return at
}

// count reads the usage object on at p[at].
func (s *UsageScan) count(p []byte, at int) int {
	n, done := s.object.feed(p[at:])
	if done {
		s.progress = nothing
		if s.object.usage.Known {
			s.Usage = s.object.usage
		}
	}
	return at + n
}
