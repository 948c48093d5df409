package mock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/penstock/penstock/bench/mock/inference"
)

// frameWire is a client of HTTP/2 that sees every frame.
type frameWire struct {
	*http2.Framer
	t       *testing.T
	conn    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func (f *fixture) frameWire() *frameWire {
	f.t.Helper()
	c := f.dial()
	w := &frameWire{Framer: http2.NewFramer(c, c.r), t: f.t, conn: c}
	w.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.encoder = hpack.NewEncoder(&w.block)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		f.t.Fatal(err)
	}
	w.WriteSettings()
	return w
}

// request sends a POST on a stream: the headers, with more fields, and the body unless it is nil.
func (w *frameWire) request(stream uint32, path, contentType string, body []byte, more ...[2]string) {
	w.t.Helper()
	w.block.Reset()
	for _, field := range append([][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "mock"}, {"content-type", contentType}, {"te", "trailers"},
	}, more...) {
		w.encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	if err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.block.Bytes(), EndHeaders: true}); err != nil {
		w.t.Fatal(err)
	}
	if body != nil {
		if err := w.WriteData(stream, true, body); err != nil {
			w.t.Fatal(err)
		}
	}
}

// rpc sends a message to a method.
func (w *frameWire) rpc(stream uint32, method string, m proto.Message, more ...[2]string) {
	w.t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	w.request(stream, method, "application/grpc", append([]byte{0, 0, 0, byte(len(b) >> 8), byte(len(b))}, b...), more...)
}

// status reads until the end of an RPC and returns its grpc-status.
func (w *frameWire) status(stream uint32) (code string) {
	w.t.Helper()
	for {
		h, ok := w.next().(*http2.MetaHeadersFrame)
		if !ok || h.StreamID != stream || !h.StreamEnded() {
			continue
		}
		for _, field := range h.RegularFields() {
			if field.Name == "grpc-status" {
				code = field.Value
			}
		}
		return code
	}
}

// next reads the next frame that says something about an answer.
func (w *frameWire) next() http2.Frame {
	w.t.Helper()
	for {
		f, err := w.ReadFrame()
		if err != nil {
			w.t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame, *http2.WindowUpdateFrame, *http2.PingFrame:
		case *http2.RSTStreamFrame:
			if f.ErrCode != http2.ErrCodeStreamClosed { // which is for a body that comes after its stream was reset
				return f
			}
		default:
			return f
		}
	}
}

func (w *frameWire) wantReset(stream uint32, code http2.ErrCode) {
	w.t.Helper()
	if f, ok := w.next().(*http2.RSTStreamFrame); !ok || f.StreamID != stream || f.ErrCode != code {
		w.t.Errorf("got %v, want RST_STREAM of %d with %v", f, stream, code)
	}
}

func TestRefusedStreams(t *testing.T) {
	f := start(t, Options{})
	f.faults(`{"kind":"refuse-stream","next":3},{"kind":"reset-before-headers","next":4},{"kind":"status","status":503}`)
	w := f.frameWire()
	w.rpc(1, inference.ModelInferMethod, inferRequest("Hello", 5))
	w.wantReset(1, http2.ErrCodeRefusedStream)
	f.awaitOutcome(inference.ModelInferMethod, failed)
	// Nothing is read: the refusal comes before the request's body.
	w.request(3, chatPath, "application/json", nil)
	w.wantReset(3, http2.ErrCodeRefusedStream)
	w.request(5, inference.ModelStreamInferMethod, "application/grpc", nil)
	w.wantReset(5, http2.ErrCodeRefusedStream)
	// Other resets keep their code, and the connection its compression state.
	w.rpc(7, inference.ModelInferMethod, inferRequest("Hello", 5))
	w.wantReset(7, http2.ErrCodeInternal)
	w.rpc(9, inference.ModelInferMethod, inferRequest("Hello", 5))
	h, ok := w.next().(*http2.MetaHeadersFrame)
	if !ok || !h.StreamEnded() || h.StreamID != 9 {
		t.Fatalf("got %v, want Trailers-Only", h)
	}
	var code string
	for _, field := range h.RegularFields() {
		if field.Name == "grpc-status" {
			code = field.Value
		}
	}
	if code != strconv.Itoa(int(codes.Unavailable)) || h.PseudoValue("status") != "200" {
		t.Errorf("fields %v", h.Fields)
	}
	if s := f.State(); s.Engine.Steps != 0 || s.Requests.Failed != 4 {
		t.Errorf("state %+v", s)
	}
	if left := f.Faults(); len(left) != 1 {
		t.Errorf("faults left: %+v", left)
	}
}

func TestRefusedStreamIsRetriedByGRPC(t *testing.T) {
	f := start(t, Options{})
	f.faults(`{"kind":"refuse-stream","next":1}`)
	f.grpc().must(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse)) // transparently
	if s := f.State(); s.Requests != (RequestCounts{Started: 2, Finished: 1, Failed: 1}) {
		t.Errorf("counts %+v", s.Requests)
	}
}

func TestRefusalOverHTTP1ClosesTheConnection(t *testing.T) {
	f := start(t, Options{})
	f.faults(`{"kind":"refuse-stream","next":1}`)
	w := f.dial()
	w.request(chatPath, hello)
	if text, err := w.rest(); text != "" || err != nil && !errors.Is(err, syscall.ECONNRESET) { // RST where the body is unread
		t.Errorf("got %q, %v", text, err)
	}
}

func TestGoAway(t *testing.T) {
	f := start(t, Options{})
	f.faults(`{"kind":"goaway","next":2}`)
	w := f.frameWire()
	w.rpc(1, inference.ModelInferMethod, inferRequest("Hello", 5))
	var sawAnswer, sawGoAway bool
	for !sawAnswer || !sawGoAway {
		switch frame := w.next().(type) {
		case *http2.GoAwayFrame:
			sawGoAway = true
			if frame.LastStreamID != 1 || frame.ErrCode != http2.ErrCodeNo {
				t.Errorf("got %v", frame)
			}
		case *http2.MetaHeadersFrame:
			sawAnswer = frame.StreamEnded()
		}
	}
	f.awaitOutcome(inference.ModelInferMethod, finished)
	http1 := f.dial()
	http1.request(chatPath, hello)
	if text, err := http1.rest(); err != nil || !strings.Contains(text, "Connection: close") || !strings.Contains(text, `"completion_tokens":8`) {
		t.Errorf("got %q, %v", text, err)
	}
	c := f.grpc()
	for range 3 {
		c.must(inference.ModelInferMethod, inferRequest("Hello", 5), new(inference.ModelInferResponse))
		f.faults(`{"kind":"goaway","next":1}`)
	}
}

func TestOnePortForAllProtocols(t *testing.T) {
	f := start(t, Options{})
	overGRPC, overHTTP2 := f.grpc(), f.h2()
	for range 2 {
		f.post(chatPath, hello, new(completionJSON))
		w, err := overHTTP2.Post("http://"+f.Addr()+chatPath, "application/json", strings.NewReader(hello))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, w.Body)
		w.Body.Close()
		if w.ProtoMajor != 2 || w.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", w.Proto, w.Status)
		}
		var header metadata.MD
		overGRPC.must(inference.PredictMethod, predictRequest("Hello"), new(inference.PredictResponse), grpc.Header(&header))
		if header.Get("x-mock-replica")[0] != f.Addr() || w.Header.Get("x-mock-replica") != f.Addr() {
			t.Errorf("headers %v, %v", header, w.Header)
		}
	}
	// Both on one connection.
	w := f.frameWire()
	w.rpc(1, inference.PredictMethod, predictRequest("Hello"))
	w.request(3, chatPath, "application/json", []byte(hello))
	for ended := 0; ended < 2; {
		if frame := w.next(); frame.Header().Flags.Has(http2.FlagDataEndStream) {
			ended++
		}
	}
	s := f.State()
	if s.Endpoints[chatPath].Finished != 5 || s.Endpoints[inference.PredictMethod].Finished != 3 {
		t.Errorf("counts %+v", s.Endpoints)
	}
}

// tapeConn is a connection whose client has sent everything already, in pieces of a given size.
type tapeConn struct {
	net.Conn
	in    []byte
	piece int
	out   bytes.Buffer
}

func (c *tapeConn) Read(b []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.piece)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *tapeConn) Write(b []byte) (int, error) { return c.out.Write(b) }

// However its bytes are cut, net/http sees the same; and what is not HTTP/2 it sees as it is.
func FuzzFrames(f *testing.F) {
	header := "\x00\x00\x02\x01\x04\x00\x00\x00\x01\x82\x86"
	reset := "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02"
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(3))
	f.Add([]byte("PRI * HTTP/1.1\r\n\r\n"), uint8(5))
	f.Add([]byte(http2.ClientPreface+header+"\x00\x00\x01\x00\x01\x00\x00\x00\x01x"+reset), uint8(1))
	f.Add([]byte(http2.ClientPreface+"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82\x00\x00\x01\x09\x04\x00\x00\x00\x01\x86"), uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		read := func(piece int) string {
			c := &tapeConn{in: in, piece: piece}
			b, err := io.ReadAll(&frames{conn: c})
			if err != nil && err != io.ErrUnexpectedEOF {
				t.Fatal(err)
			}
			return string(b)
		}
		whole := read(len(in) + 1)
		if parts := read(int(piece) + 1); parts != whole {
			t.Fatalf("in one piece\n%q\nin pieces of %d\n%q", whole, int(piece)+1, parts)
		}
		if !strings.HasPrefix(string(in), http2.ClientPreface) && whole != string(in) {
			t.Fatalf("%q became %q", in, whole)
		}
	})
}

// However what net/http sends is cut, one reset of the stream that is refused changes and nothing else does.
func FuzzFramesWritten(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 6, 255}, uint8(1))
	f.Fuzz(func(t *testing.T, kinds []byte, piece uint8) {
		if len(kinds) > 100 {
			return
		}
		var sent, want bytes.Buffer
		from, to := http2.NewFramer(&sent, nil), http2.NewFramer(&want, nil)
		refused := false
		for _, k := range kinds {
			switch stream := uint32(k%2)*2 + 1; {
			case k%3 > 0:
				from.WriteData(stream, false, make([]byte, k))
				to.WriteData(stream, false, make([]byte, k))
			case stream == 1 && !refused:
				refused = true
				from.WriteRSTStream(stream, http2.ErrCodeInternal)
				to.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
			default:
				from.WriteRSTStream(stream, http2.ErrCodeInternal)
				to.WriteRSTStream(stream, http2.ErrCodeInternal)
			}
		}
		c := &tapeConn{}
		editor := &frames{conn: c}
		editor.http2.Store(true)
		editor.refuse(1)
		before := bytes.Clone(sent.Bytes())
		for part := range slices.Chunk(sent.Bytes(), int(piece)+1) {
			if n, err := editor.Write(part); n != len(part) || err != nil {
				t.Fatalf("wrote %d of %d bytes, %v", n, len(part), err)
			}
		}
		if !bytes.Equal(c.out.Bytes(), want.Bytes()) || len(editor.refused) != 0 && refused {
			t.Fatalf("%q became %q, want %q", before, c.out.Bytes(), want.Bytes())
		}
		if !bytes.Equal(before, sent.Bytes()) {
			t.Fatal("Write changed what it was given")
		}
	})
}
