package mock

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
)

// frames edits the HTTP/2 frames of one connection on their way to and from net/http, whose handlers cannot choose with which code a
// stream is reset: each request's header block gets a field that says the stream's number, and the resets of streams that refuse was
// called for say REFUSED_STREAM. Connections of HTTP/1.1 pass as they are.
type frames struct {
	conn    net.Conn
	preface int           // bytes of the client's preface that were seen; -1 on a connection without one
	in      *bufio.Reader // nil before the end of the preface
	ready   []byte        // comes before what in has
	pass    int           // bytes of a frame's payload that pass as they are
	http2   atomic.Bool   // the preface was seen

	header [frameHeader]byte // of the frame that is being written
	have   int               // bytes of it
	left   int               // bytes of the frame that follow

	mu      sync.Mutex
	refused map[uint32]struct{}
}

const (
	frameHeader = 9       // bytes
	maxFrame    = 1 << 20 // the largest that net/http reads; it refuses larger ones itself

	// streamField is the name of the field that says a request's stream.
	streamField = "x-mock-stream"

	// maxRefused bounds the streams that are still to be refused. One is not if its client resets it first, which is not told here.
	maxRefused = 1024
)

// Read reads what net/http is to see.
func (f *frames) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if f.preface < 0 {
		return f.conn.Read(p)
	}
	if f.in == nil {
		return f.readPreface(p)
	}
	for len(f.ready) == 0 {
		if f.pass > 0 {
			n, err := f.in.Read(p[:min(len(p), f.pass)])
			f.pass -= n
			return n, err
		}
		if err := f.readFrame(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

func (f *frames) readPreface(p []byte) (int, error) {
	rest := http2.ClientPreface[f.preface:]
	n, err := f.conn.Read(p[:min(len(p), len(rest))])
	if string(p[:n]) != rest[:n] {
		f.preface = -1
		return n, err
	}
	if f.preface += n; n == len(rest) {
		f.in = bufio.NewReader(f.conn)
		f.http2.Store(true)
	}
	return n, err
}

// readFrame reads a frame's header, and the frame whole where it ends a header block: a CONTINUATION then goes in after it.
func (f *frames) readFrame() error {
	var h [frameHeader]byte
	if _, err := io.ReadFull(f.in, h[:]); err != nil {
		return err
	}
	length, kind, id := parseFrameHeader(&h)
	f.ready = h[:]
	ends := (kind == http2.FrameHeaders || kind == http2.FrameContinuation) && http2.Flags(h[4]).Has(http2.FlagHeadersEndHeaders)
	if !ends || length > maxFrame {
		f.pass = length
		return nil
	}
	h[4] &^= byte(http2.FlagHeadersEndHeaders)
	f.ready = slices.Grow(f.ready, length)[:frameHeader+length]
	if _, err := io.ReadFull(f.in, f.ready[frameHeader:]); err != nil {
		f.ready = nil
		return err
	}
	field := streamFieldBlock(id)
	f.ready = append(f.ready, 0, 0, byte(len(field)), byte(http2.FrameContinuation), byte(http2.FlagContinuationEndHeaders))
	f.ready = binary.BigEndian.AppendUint32(f.ready, id)
	f.ready = append(f.ready, field...)
	return nil
}

// streamFieldBlock is the field as HPACK writes it without its dynamic table (RFC 7541, section 6.2.2), so that the client's stays right.
func streamFieldBlock(id uint32) []byte {
	value := strconv.FormatUint(uint64(id), 10)
	b := append([]byte{0, byte(len(streamField))}, streamField...)
	return append(append(b, byte(len(value))), value...)
}

func parseFrameHeader(h *[frameHeader]byte) (length int, kind http2.FrameType, id uint32) {
	return int(h[0])<<16 | int(h[1])<<8 | int(h[2]), http2.FrameType(h[3]), binary.BigEndian.Uint32(h[5:]) &^ (1 << 31)
}

// Write writes what net/http sends, with the code of a reset changed where the stream is refused.
func (f *frames) Write(p []byte) (int, error) {
	if !f.http2.Load() {
		return f.conn.Write(p)
	}
	out := p
	for i := 0; i < len(p); {
		if f.have < frameHeader {
			n := copy(f.header[f.have:], p[i:])
			f.have += n
			if i += n; f.have == frameHeader {
				f.left, _, _ = parseFrameHeader(&f.header)
			}
		}
		n := min(f.left, len(p)-i)
		if n > 0 && f.refuses() {
			out = slices.Clone(out)
			f.setCode(out[i : i+n])
		}
		i += n
		if f.left -= n; f.have == frameHeader && f.left == 0 {
			f.have = 0
		}
	}
	return f.conn.Write(out)
}

// refuses says whether the frame that is being written resets a stream that is refused; it is forgotten with the frame's last byte.
func (f *frames) refuses() bool {
	length, kind, id := parseFrameHeader(&f.header)
	if kind != http2.FrameRSTStream || length != 4 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.refused[id]
	return ok
}

// setCode writes a part of REFUSED_STREAM's code to b, where f.left of its bytes have not been sent.
func (f *frames) setCode(b []byte) {
	var code [4]byte
	binary.BigEndian.PutUint32(code[:], uint32(http2.ErrCodeRefusedStream))
	copy(b, code[len(code)-f.left:])
	if len(b) == f.left {
		_, _, id := parseFrameHeader(&f.header)
		f.mu.Lock()
		delete(f.refused, id)
		f.mu.Unlock()
	}
}

// refuse makes the reset of a stream, which must follow, one of REFUSED_STREAM.
func (f *frames) refuse(id uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused == nil || len(f.refused) == maxRefused {
		f.refused = make(map[uint32]struct{})
	}
	f.refused[id] = struct{}{}
}
