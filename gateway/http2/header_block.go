package http2

import (
	"io"

	"golang.org/x/net/http2/hpack"
)

const (
	// maxContinuations is how many CONTINUATION frames a header block may have beyond those that its size asks for.
	maxContinuations = 16
	// maxUpstreamList is the largest header list that an endpoint may send, in bytes.
	maxUpstreamList = 256 << 10
)

// headerReader decodes the header blocks of a connection. It belongs to the reader.
type headerReader struct {
	dec       *hpack.Decoder
	fields    []hpack.HeaderField // of the last block
	listSize  int                 // its size as RFC 9113, section 10.5.1, counts it
	maxList   int
	block     []byte // a block that comes in several frames
	blockID   uint32 // its stream; 0 while there is none
	blockEnd  bool   // it ends its stream
	blockBad  bool   // its stream depends on itself
	pieces    int
	gotFrames int64 // frames of DATA and headers that came
}

func (r *headerReader) init(maxList int) {
	r.maxList = maxList
	r.dec = hpack.NewDecoder(defaultHPACKTable, func(f hpack.HeaderField) {
		// What is beyond the limit is decoded, as the compression table must follow, and dropped.
		if r.listSize += int(f.Size()); r.listSize <= r.maxList {
			r.fields = append(r.fields, f)
		}
	})
}

func (r *headerReader) inBlock() bool { return r.blockID != 0 }

func (c *conn) headersFrame(h *frameHeader, p []byte) error {
	if h.stream == 0 {
		return connErrorf(errProtocol, "HEADERS came on stream 0")
	}
	p, err := unpad(h, p)
	if err != nil {
		return err
	}
	bad := false
	if h.has(flagPriority) {
		if len(p) < priorityLen {
			return connErrorf(errFrameSize, "HEADERS with priority has %d bytes", len(p))
		}
		bad = dependency(p) == h.stream
		p = p[priorityLen:]
	}
	c.gotFrames++
	if h.has(flagEndHeaders) {
		return c.decodeBlock(p, h.stream, h.has(flagEndStream), bad)
	}
	c.block = append(c.block[:0], p...)
	c.blockID, c.blockEnd, c.blockBad, c.pieces = h.stream, h.has(flagEndStream), bad, 0
	return c.boundBlock()
}

func (c *conn) continuationFrame(h *frameHeader, p []byte) error {
	if !c.inBlock() {
		return connErrorf(errProtocol, "CONTINUATION came without a header block")
	}
	c.block = append(c.block, p...)
	c.pieces++
	if err := c.boundBlock(); err != nil || !h.has(flagEndHeaders) {
		return err
	}
	id := c.blockID
	c.blockID = 0
	block := c.block
	if cap(c.block) > maxFrame {
		c.block = nil
	}
	return c.decodeBlock(block, id, c.blockEnd, c.blockBad)
}

// boundBlock bounds what a block may cost before it is complete (CVE-2024-27316).
func (c *conn) boundBlock() error {
	if len(c.block) > c.maxList+maxFrame || c.pieces > maxContinuations+len(c.block)/1024 {
		return connErrorf(errEnhanceCalm, "a header block is longer than this gateway takes")
	}
	return nil
}

func (c *conn) decodeBlock(block []byte, id uint32, end, bad bool) error {
	c.fields, c.listSize = c.fields[:0], 0
	_, err := c.dec.Write(block)
	if err == nil {
		err = c.dec.Close()
	}
	if err != nil {
		return connErrorf(errCompression, "cannot decode a header block: %v", err)
	}
	if bad {
		return connErrorf(errProtocol, "stream %d depends on itself", id)
	}
	return c.role.headers(&c.batch, id, end, c.listSize > c.maxList)
}

// headerWriter encodes header blocks into the output of a connection. Its methods want conn.mu.
type headerWriter struct {
	enc *hpack.Encoder
	dst []byte
}

var _ io.Writer = (*headerWriter)(nil)

func (w *headerWriter) init(*conn) {
	w.enc = hpack.NewEncoder(w)
	w.enc.SetMaxDynamicTableSizeLimit(defaultHPACKTable)
}

// Write takes what the encoder encoded.
func (w *headerWriter) Write(p []byte) (int, error) {
	w.dst = append(w.dst, p...)
	return len(p), nil
}

// limitTable applies SETTINGS_HEADER_TABLE_SIZE.
func (w *headerWriter) limitTable(size uint32) {
	w.enc.SetMaxDynamicTableSize(min(size, defaultHPACKTable))
}

func (w *headerWriter) field(name, value string) {
	w.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
}

// secret writes a field that must not enter the table, for being secret or of use only once. The strings may be changed afterwards.
func (w *headerWriter) secret(name, value string) {
	w.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true})
}

// beginBlock and endBlock enclose the fields of a header block. The lock is held meanwhile.
func (c *conn) beginBlock() (mark int) {
	o := c.buffer()
	mark = len(o.b)
	c.dst = append(o.b, make([]byte, frameHeaderLen)...)
	return mark
}

func (c *conn) endBlock(b *batch, mark int, id uint32, end bool) {
	out := c.dst
	c.dst = nil
	flags := uint8(0)
	if end {
		flags = flagEndStream
	}
	size := len(out) - mark - frameHeaderLen
	if size <= maxFrame {
		appendFrameHeader(out[mark:mark], size, frameHeaders, flags|flagEndHeaders, id)
	} else {
		out = splitBlock(out[:mark], append([]byte(nil), out[mark+frameHeaderLen:]...), flags, id)
	}
	c.out.b = out
	c.sentFrames++
	c.touch(b)
}

// splitBlock writes a header block that does not fit into one frame.
func splitBlock(dst, block []byte, flags uint8, id uint32) []byte {
	kind := frameHeaders
	for len(block) > 0 {
		piece := block[:min(len(block), maxFrame)]
		block = block[len(piece):]
		if len(block) == 0 {
			flags |= flagEndHeaders
		}
		dst = appendFrameHeader(dst, len(piece), kind, flags, id)
		dst = append(dst, piece...)
		kind, flags = frameContinuation, flags&^flagEndStream
	}
	return dst
}
