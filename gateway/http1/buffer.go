package http1

import (
	"sync"

	"github.com/penstock/penstock/gateway/openai"
)

// Buffers are held only while bytes are in them: a connection that waits holds none.
const (
	smallBuffer = 16 << 10 // a request, or a read of a paced stream
	largeBuffer = 64 << 10 // a read of a stream that comes as fast as it can
	hugeBuffer  = 1 << 20  // the largest size that is pooled
)

// buffer is bytes that were read and not yet consumed: b[start:end].
type buffer struct {
	b          []byte
	start, end int
}

var smallBuffers, largeBuffers, hugeBuffers sync.Pool

// getBuffer returns an empty buffer of at least size bytes.
func getBuffer(size int) *buffer {
	pool, size := bufferClass(size)
	if pool != nil {
		if b, ok := pool.Get().(*buffer); ok {
			return b
		}
	}
	return &buffer{b: make([]byte, size)}
}

// bufferClass returns the pool for buffers of at least size bytes, and their size; nil if such buffers are not pooled.
func bufferClass(size int) (*sync.Pool, int) {
	switch {
	case size <= smallBuffer:
		return &smallBuffers, smallBuffer
	case size <= largeBuffer:
		return &largeBuffers, largeBuffer
	case size <= hugeBuffer:
		return &hugeBuffers, hugeBuffer
	default:
		return nil, size
	}
}

// release gives the buffer back. Nothing may refer to its bytes any more.
func (b *buffer) release() {
	b.start, b.end = 0, 0
	if pool, size := bufferClass(len(b.b)); pool != nil && size == len(b.b) {
		pool.Put(b)
	}
}

func (b *buffer) bytes() []byte { return b.b[b.start:b.end] }
func (b *buffer) free() []byte  { return b.b[b.end:] }
func (b *buffer) len() int      { return b.end - b.start }

// consume drops the first n bytes.
func (b *buffer) consume(n int) {
	b.start += n
	if b.start == b.end {
		b.start, b.end = 0, 0
	}
}

// scratch is what a request needs until its response streams: the parsed heads, the head that is being written, and the model's name.
type scratch struct {
	req    RequestHead
	resp   ResponseHead
	out    []byte // the request's head, on its way to the endpoint
	down   []byte // heads and answers on their way to the client, which may be while out is still being sent
	model  []byte // the model's name, unescaped
	plain  []byte // the payload of a chunked body in which the model or the prompt is looked for
	prompt openai.PromptScan
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	s.req.Reset()
	s.resp.Reset()
	s.out, s.down, s.model = s.out[:0], s.down[:0], s.model[:0]
	if cap(s.plain) > hugeBuffer {
		s.plain = nil
	}
	if cap(s.out) > hugeBuffer {
		s.out = nil
	}
	s.plain = s.plain[:0]
	scratches.Put(s)
}
