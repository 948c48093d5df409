package http1

import "github.com/penstock/penstock/gateway/openai"

// framing says how the end of a response's body is found.
type framing uint8

const (
	headPending framing = iota // the head is not complete
	framedByLength
	framedByChunks
	framedByClose
)

// body follows a response's body to its end.
type body struct {
	framing framing
	left    int64 // bytes that are missing, for framedByLength
	chunks  ChunkScanner
}

// begin takes the framing from a final head.
func (b *body) begin(h *ResponseHead) {
	switch {
	case h.NoBody:
		b.framing, b.left = framedByLength, 0
	case h.Chunked:
		b.framing = framedByChunks
		b.chunks.Reset()
	case h.UntilClose:
		b.framing = framedByClose
	default:
		b.framing, b.left = framedByLength, h.Length
	}
}

// take returns how many bytes of p belong to the body, framing included, and whether it ends with them. An error is about what follows
// them. usage, which may be nil, sees the payload.
func (b *body) take(p []byte, usage *openai.UsageScan) (n int, done bool, err error) {
	switch b.framing {
	case framedByChunks:
		return b.takeChunks(p, usage)
	case framedByLength:
		n = int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		done = b.left == 0
	case framedByClose:
		n = len(p)
	default:
		panic("BUG: a body is read before its head")
	}
	if usage != nil && n > 0 {
		usage.Feed(p[:n])
	}
	return n, done, nil
}

func (b *body) takeChunks(p []byte, usage *openai.UsageScan) (n int, done bool, err error) {
	if usage == nil {
		return b.chunks.Scan(p)
	}
	for n < len(p) && !done {
		m, data, end, err := b.chunks.Next(p[n:])
		if err != nil {
			return n, false, err
		}
		if len(data) > 0 {
			usage.Feed(data)
		}
		n, done = n+m, end
	}
	return n, done, nil
}
