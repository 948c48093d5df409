package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// notes stands in for a test while peers are played beside it, and keeps what they complain of.
type notes struct {
	testing.TB
	mu    sync.Mutex
	wrong []string
}

func (n *notes) Helper() {}

func (n *notes) Errorf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong = append(n.wrong, format)
}

func (n *notes) check(t *testing.T) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.wrong {
		t.Error(w)
	}
	n.wrong = nil
}

// conversation is what one side of a connection says, after its preface and SETTINGS.
type conversation struct {
	bytes.Buffer
	framer *xhttp2.Framer
	enc    *hpack.Encoder
	block  bytes.Buffer
}

func converse(say func(c *conversation)) []byte {
	c := &conversation{}
	c.framer = xhttp2.NewFramer(c, nil)
	c.framer.AllowIllegalWrites = true
	c.enc = hpack.NewEncoder(&c.block)
	say(c)
	return c.Bytes()
}

func (c *conversation) head(id uint32, f fields, end bool) {
	c.block.Reset()
	for i := range f {
		c.enc.WriteField(f[i])
	}
	c.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
}

// fromFuzz makes bytes of a fuzzer's input: as they are, or, for they would hardly ever be frames, as the contents of frames.
func fromFuzz(in []byte) []byte {
	if len(in) == 0 || in[0]&1 == 0 {
		return in
	}
	var out []byte
	for in = in[1:]; len(in) >= 4; {
		kind, flags, id, size := in[0]%12, in[1], uint32(in[2]%16), int(in[3])
		in = in[4:]
		if size > 200 {
			size *= 64
		}
		payload := in[:min(size, len(in))]
		in = in[len(payload):]
		out = appendFrameHeader(out, len(payload), frameKind(kind), flags, id)
		out = append(out, payload...)
	}
	return out
}

func addSeeds(f *testing.F, conversations ...[]byte) {
	for _, c := range conversations {
		f.Add(append([]byte{}, c...))
		f.Add(c[:len(c)/2])
		// The same as contents: the fuzzer then changes these, and not where frames begin.
		contents := []byte{1}
		for at := 0; at+frameHeaderLen <= len(c); {
			h := parseFrameHeader(c[at:])
			payload := c[at+frameHeaderLen:][:min(h.length, 200)]
			contents = append(contents, byte(h.kind), h.flags, byte(h.stream), byte(len(payload)))
			contents = append(contents, payload...)
			at += frameHeaderLen + h.length
		}
		f.Add(contents)
	}
}

// isEnd reports whether a connection ended as connections do.
func isEnd(err error) bool {
	return err == io.EOF || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// FuzzClientFrames sends anything behind a client's preface. The gateway must end the connection when the client has, and send frames
// meanwhile that are well-formed.
func FuzzClientFrames(f *testing.F) {
	addSeeds(f,
		converse(func(c *conversation) {
			c.head(1, callOf("/s/m").with("grpc-timeout", "1S"), false)
			c.framer.WriteData(1, false, []byte(message("question")))
			c.framer.WritePing(false, [8]byte{1})
			c.framer.WriteData(1, true, nil)
			c.head(3, getOf("/x"), true)
			c.framer.WriteWindowUpdate(0, 1000)
			c.framer.WriteRSTStream(3, xhttp2.ErrCodeCancel)
		}),
		converse(func(c *conversation) {
			c.head(1, postOf("/x").with("content-length", "4"), false)
			c.framer.WriteDataPadded(1, false, []byte("body"), make([]byte, 10))
			c.head(1, list("x-sum", "4"), true)
			c.framer.WriteSettings(window(10), xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0})
			c.framer.WritePriority(5, xhttp2.PriorityParam{StreamDep: 3, Weight: 7})
			c.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 7, BlockFragment: []byte{0x82}})
			c.framer.WriteContinuation(7, true, []byte{0x86, 0x84})
			c.framer.WriteGoAway(0, 0, []byte("bye"))
		}),
		converse(func(c *conversation) {
			c.head(1, callOf(inferMethod), false)
			c.framer.WriteData(1, true, []byte(infer("small", 10, 10)))
			c.head(3, postOf("/v1/x"), false)
			c.framer.WriteData(3, true, []byte(`{"model":"small"}`))
		}),
	)
	n := &notes{TB: f}
	e := startEndpoint(f)
	e.t = n
	e.serve(func(s *party, q *record) { s.answerCall(q, "answer") })
	g := startGateway(f, strings.Replace(aliased, "routes:", "routes:\n- match: {path: /s}\n  split: [{pool: only}]", 1), e)
	g.finished.quiet.Store(true)
	f.Fuzz(func(t *testing.T, in []byte) {
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(append(append([]byte(preface), appendSettings(nil, nil)...), fromFuzz(in)...))
		conn.(*net.TCPConn).CloseWrite()
		framer := xhttp2.NewFramer(io.Discard, conn)
		framer.ReadMetaHeaders = hpack.NewDecoder(defaultHPACKTable, nil)
		for err == nil {
			_, err = framer.ReadFrame()
		}
		if !isEnd(err) {
			t.Fatalf("the gateway's frames end with %v", err)
		}
		eventually(t, "nothing is left of the connection", func() bool { return g.server.Active() == 0 && g.server.Open() == 0 })
		n.check(t)
		g.wantWhole(t)
	})
}

// wantWhole fails unless the windows of the endpoints' connections are whole. Nothing may be underway.
func (g *gateway) wantWhole(t *testing.T) {
	t.Helper()
	for _, u := range g.upstreamConns() {
		eventually(t, "the windows of an endpoint's connection are whole", func() bool {
			return u.received.Load()+u.owed.Load() == upstreamWindow
		})
	}
}

// FuzzEndpointFrames answers a call with anything. The client must be told of the call's end, in frames that are well-formed.
func FuzzEndpointFrames(f *testing.F) {
	addSeeds(f,
		converse(func(c *conversation) {
			c.head(1, list(":status", "200", "content-type", "application/grpc"), false)
			c.framer.WriteData(1, false, []byte(message("answer")))
			c.framer.WritePing(false, [8]byte{1})
			c.head(1, list("grpc-status", "0"), true)
		}),
		converse(func(c *conversation) {
			c.head(1, list(":status", "103", "link", "</a>"), false)
			c.head(1, list(":status", "200", "content-type", "text/event-stream", "content-length", "9"), false)
			c.framer.WriteDataPadded(1, false, []byte("data: x\n\n"), make([]byte, 10))
			c.framer.WriteData(1, true, nil)
			c.framer.WriteGoAway(1, 0, []byte("bye"))
		}),
		converse(func(c *conversation) {
			c.head(1, list(":status", "200"), false)
			c.framer.WriteSettings(window(10), atMost(0))
			c.framer.WriteWindowUpdate(1, 1000)
			c.framer.WriteRSTStream(1, xhttp2.ErrCodeInternal)
		}),
		converse(func(c *conversation) { c.framer.WriteRSTStream(1, xhttp2.ErrCodeRefusedStream) }),
		converse(func(c *conversation) { c.framer.WriteGoAway(0, xhttp2.ErrCodeEnhanceYourCalm, nil) }),
	)
	n := &notes{TB: f}
	e := startEndpoint(f)
	g := startGateway(f, never, e)
	g.finished.quiet.Store(true)
	c := g.dial()
	c.t = n
	f.Fuzz(func(t *testing.T, in []byte) {
		c.conn.SetDeadline(time.Now().Add(patience))
		c.played = true
		r := c.request(callOf("/s/m"), false)
		c.data(r, message("question"), false)
		var conn net.Conn
		select {
		case conn = <-e.conns:
		case <-time.After(patience):
			t.Fatal("the gateway does not connect")
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(appendSettings(nil, nil))
		io.ReadFull(conn, make([]byte, len(preface)))
		framer := xhttp2.NewFramer(io.Discard, conn)
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := frame.(*xhttp2.HeadersFrame); ok {
				break
			}
		}
		conn.Write(fromFuzz(in))
		conn.(*net.TCPConn).CloseWrite()
		framer.ReadMetaHeaders = hpack.NewDecoder(defaultHPACKTable, nil)
		var err error
		for err == nil {
			_, err = framer.ReadFrame()
		}
		if !isEnd(err) {
			t.Fatalf("the gateway's frames to the endpoint end with %v", err)
		}
		for !r.over() {
			if err := c.step(); err != nil {
				t.Fatalf("the call does not end: %v", err)
			}
		}
		c.sync() // whatever else comes on the stream
		delete(c.streams, r.id)
		eventually(t, "nothing is underway", func() bool { return g.server.Active() == 0 && len(g.upstreamConns()) == 0 })
		n.check(t)
	})
}
