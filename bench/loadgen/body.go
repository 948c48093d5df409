package loadgen

import (
	"io"
	"strconv"
	"sync"
	"sync/atomic"
)

// body is a request's body, whose buffer is used again. The transport may still read it when the answer has begun, so the buffer goes
// back when both the transport and the request's goroutine are done with it.
type body struct {
	buffer  *[]byte
	rest    []byte
	holders atomic.Int32
	closed  atomic.Bool
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// keptBuffer is the largest buffer that is kept for the next request.
const keptBuffer = 256 << 10

// newBody makes a body of what fill appends to a buffer.
func newBody(fill func([]byte) []byte) *body {
	b := &body{buffer: buffers.Get().(*[]byte)}
	*b.buffer = fill((*b.buffer)[:0])
	b.rest = *b.buffer
	b.holders.Store(2)
	return b
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// WriteTo writes all that is left.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.rest)
	b.rest = b.rest[n:]
	return int64(n), err
}

// Close is called by the transport, once or more.
func (b *body) Close() error {
	if !b.closed.Swap(true) {
		b.release()
	}
	return nil
}

func (b *body) release() {
	if b.holders.Add(-1) == 0 && cap(*b.buffer) <= keptBuffer {
		buffers.Put(b.buffer)
	}
}

func sessionName(session uint64) string { return "session-" + strconv.FormatUint(session, 16) }
