package http2

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// The peers here allocate nothing once they are warm, so that what is counted and timed is the gateway's.

// blocks encodes header blocks as one encoder would in turn, each several times: the last ones refer to the table for all that the first
// ones put there.
func blocks(heads ...fields) [][]byte {
	var out bytes.Buffer
	enc := hpack.NewEncoder(&out)
	var all [][]byte
	for range 3 {
		for _, head := range heads {
			out.Reset()
			for _, f := range head {
				enc.WriteField(f)
			}
			all = append(all, bytes.Clone(out.Bytes()))
		}
	}
	return all
}

// flow is many streams one after the other: the frames of each, in which only the stream's number differs.
type flow struct {
	frames [][]byte // of the first, the second and all further streams
	sent   int
	at     [][]int // where in frames the numbers are
}

// newFlow makes a flow whose streams consist of a head, DATA, and trailers unless these are nil.
func newFlow(head fields, body string, trailers fields) *flow {
	var encoded [][]byte
	step := 1
	if trailers == nil {
		encoded = blocks(head)
	} else {
		encoded, step = blocks(head, trailers), 2
	}
	f := &flow{}
	for i := 0; i < len(encoded); i += step {
		var b []byte
		at := []int{5}
		b = appendFrameHeader(b, len(encoded[i]), frameHeaders, flagEndHeaders, 0)
		b = append(b, encoded[i]...)
		at = append(at, len(b)+5)
		flags := uint8(0)
		if trailers == nil {
			flags = flagEndStream
		}
		b = appendFrameHeader(b, len(body), frameData, flags, 0)
		b = append(b, body...)
		if trailers != nil {
			at = append(at, len(b)+5)
			b = appendFrameHeader(b, len(encoded[i+1]), frameHeaders, flagEndHeaders|flagEndStream, 0)
			b = append(b, encoded[i+1]...)
		}
		f.frames, f.at = append(f.frames, b), append(f.at, at)
	}
	return f
}

// append appends the frames of the next stream.
func (f *flow) append(dst []byte, id uint32) []byte {
	i := min(f.sent, len(f.frames)-1)
	f.sent++
	begin := len(dst)
	dst = append(dst, f.frames[i]...)
	for _, at := range f.at[i] {
		binary.BigEndian.PutUint32(dst[begin+at:], id)
	}
	return dst
}

// bareConn is a connection with its flow of streams.
type bareConn struct {
	conn net.Conn
	flow *flow
	in   []byte
	n    int // bytes of in
	out  []byte
}

// opening is what a peer says first: that windows do not matter.
func opening(client bool) (b []byte) {
	if client {
		b = append(b, preface...)
	}
	b = appendSettings(b, []setting{{settingWindow, 1 << 30}})
	return appendWindowUpdate(b, 0, 1<<30)
}

// ended reads, and calls f with the numbers of streams whose other side has ended.
func (b *bareConn) ended(f func(id uint32)) error {
	n, err := b.conn.Read(b.in[b.n:])
	if err != nil {
		return err
	}
	b.n += n
	at := 0
	for b.n-at >= frameHeaderLen {
		h := parseFrameHeader(b.in[at:])
		if b.n-at < frameHeaderLen+h.length {
			break
		}
		at += frameHeaderLen + h.length
		switch {
		case h.kind == frameSettings && !h.has(flagAck):
			b.out = appendFrameHeader(b.out, 0, frameSettings, flagAck, 0)
		case (h.kind == frameHeaders || h.kind == frameData) && h.has(flagEndStream):
			f(h.stream)
		}
	}
	b.n = copy(b.in, b.in[at:b.n])
	return nil
}

func (b *bareConn) flush() error {
	_, err := b.conn.Write(b.out)
	b.out = b.out[:0]
	return err
}

// serveBare answers every call on every connection of an endpoint with the same message.
func serveBare(e *endpoint, answer string) { serveBareWith(e, answer) }

// serveBareWith is serveBare with more trailers.
func serveBareWith(e *endpoint, answer string, more ...hpack.HeaderField) {
	e.serving.Go(func() {
		for conn := range e.conns {
			e.serving.Go(func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, len(preface))); err != nil {
					return
				}
				b := &bareConn{conn: conn, in: make([]byte, 64<<10), out: opening(false), flow: newFlow(
					list(":status", "200", "content-type", "application/grpc"), message(answer), append(list("grpc-status", "0", "grpc-message", ""), more...))}
				for b.flush() == nil {
					if b.ended(func(id uint32) { b.out = b.flow.append(b.out, id) }) != nil {
						return
					}
				}
			})
		}
	})
}

// bareClient calls over one connection.
type bareClient struct {
	bareConn
	next uint32
}

func dialBare(t testing.TB, g *gateway, head fields, question string) *bareClient {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &bareClient{bareConn{conn: conn, in: make([]byte, 64<<10), out: opening(true), flow: newFlow(head, message(question), nil)}, 1}
}

// calls makes n calls, so many at once.
func (c *bareClient) calls(t testing.TB, n, atOnce int) {
	t.Helper()
	for begun, done := 0, 0; done < n; {
		for begun < n && begun-done < atOnce {
			c.out = c.flow.append(c.out, c.next)
			c.next += 2
			begun++
		}
		if err := c.flush(); err != nil {
			t.Fatal(err)
		}
		if err := c.ended(func(uint32) { done++ }); err != nil {
			t.Fatal(err)
		}
	}
}
