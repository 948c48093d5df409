package http2

import "sync"

// readSize holds a frame of the largest size and some more, in bytes. Larger reads have not made long messages cheaper. Buffers are held
// only while bytes are in them: a connection that is silent holds none.
const readSize = 32 << 10

// readBuffer is bytes that were read and not handled: b[start:end].
type readBuffer struct {
	b          []byte
	start, end int
}

var readBuffers = sync.Pool{New: func() any { return &readBuffer{b: make([]byte, readSize)} }}

func getReadBuffer() *readBuffer { return readBuffers.Get().(*readBuffer) }

func (b *readBuffer) release() {
	b.start, b.end = 0, 0
	readBuffers.Put(b)
}

func (b *readBuffer) bytes() []byte { return b.b[b.start:b.end] }
func (b *readBuffer) free() []byte  { return b.b[b.end:] }
func (b *readBuffer) len() int      { return b.end - b.start }

// consume drops the first n bytes.
func (b *readBuffer) consume(n int) {
	b.start += n
	if b.start == b.end {
		b.start, b.end = 0, 0
	}
}

// compact moves the bytes to the front where less than a frame of the largest size has room behind them.
func (b *readBuffer) compact() {
	if b.start > 0 && len(b.b)-b.start < frameHeaderLen+maxFrame {
		b.end = copy(b.b, b.bytes())
		b.start = 0
	}
}

// output is what is to be written to a connection. Outputs of connections that wrote everything are shared by all.
type output struct{ b []byte }

// keptOutput is the largest output that is kept for another connection, in bytes.
const keptOutput = 256 << 10

var outputs = sync.Pool{New: func() any { return new(output) }}

func (o *output) release() {
	if cap(o.b) <= keptOutput {
		o.b = o.b[:0]
		outputs.Put(o)
	}
}
