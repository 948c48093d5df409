package http2

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// party is a raw connection, of a client or of an endpoint. It notes what comes of each stream, and fails the test where the gateway breaks
// the protocol: frames after the end of a stream, more DATA than the windows allow, more streams than it was told.
type party struct {
	t      testing.TB
	conn   net.Conn
	burst  *bytes.Buffer // collects what is written; nil where that is sent at once
	framer *xhttp2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
	played bool // by a goroutine that ends where the connection does, instead of failing the test

	client   bool // the peer is a client
	next     uint32
	streams  map[uint32]*record
	arrived  []*record // requests that came and that nobody has asked for
	open     int       // requests underway
	theirs   map[xhttp2.SettingID]uint32
	acks     int // of SETTINGS
	pongs    map[[8]byte]bool
	pings    [][8]byte // of the gateway
	goAways  []goAway
	mute     bool     // PINGs are not answered
	stingy   bool     // no credit is given for what comes
	credit   int64    // what the gateway gave for the connection
	sent     int64    // DATA that was sent, which counts against the connection's window
	room     int64    // what the gateway may still send on the connection
	first    int64    // what it may send on each new stream
	told     []limits // what the gateway was told by SETTINGS: those that it has acknowledged last, and those since
	reserved uint64   // for the payloads of PINGs
}

// limits are what a peer lets the gateway do.
type limits struct {
	window int64 // of each stream
	most   int   // streams at once
}

type goAway struct {
	last  uint32
	code  errCode
	debug string
}

// record is what has come of a stream.
type record struct {
	id       uint32
	interim  []fields
	head     fields
	body     []byte
	frames   int // of DATA
	trailers fields
	ended    bool
	reset    bool // by the gateway
	code     errCode
	credit   int64 // that the gateway gave
	sent     int64 // DATA that was sent
	room     int64 // what the gateway may still send
	closed   bool  // this side has ended its own
	cut      bool  // by this side
	settled  bool
}

// over reports whether nothing more comes.
func (r *record) over() bool { return r.ended || r.reset }

// fields are those of a header block.
type fields []hpack.HeaderField

// get returns the values of a name, joined.
func (f fields) get(name string) string {
	var values []byte
	for i := range f {
		if f[i].Name == name {
			if values != nil {
				values = append(values, '|')
			}
			values = append(values, f[i].Value...)
		}
	}
	return string(values)
}

// list makes fields of names and values in turn.
func list(pairs ...string) (f fields) {
	for i := 0; i+1 < len(pairs); i += 2 {
		f = append(f, hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return f
}

func (f fields) with(pairs ...string) fields { return append(f[:len(f):len(f)], list(pairs...)...) }

func newParty(t testing.TB, conn net.Conn, client bool) *party {
	conn.SetDeadline(time.Now().Add(patience))
	p := &party{
		t: t, conn: conn, client: client, next: 1, streams: make(map[uint32]*record),
		theirs: make(map[xhttp2.SettingID]uint32), pongs: make(map[[8]byte]bool), room: defaultWindow, first: defaultWindow,
		told: []limits{{defaultWindow, 1 << 30}},
	}
	p.framer = xhttp2.NewFramer(p, conn)
	p.framer.ReadMetaHeaders = hpack.NewDecoder(defaultHPACKTable, nil)
	p.framer.MaxHeaderListSize = 1 << 20
	p.framer.AllowIllegalWrites = true
	p.framer.SetMaxReadFrameSize(maxFrame)
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// dial connects a client that has greeted and was greeted.
func (g *gateway) dial(settings ...xhttp2.Setting) *party {
	g.t.Helper()
	p := g.dialRaw()
	p.send(preface)
	p.set(settings...)
	p.await("the gateway's SETTINGS and their acknowledgement", func() bool { return len(p.theirs) > 0 && p.acks == 1 })
	return p
}

// dialRaw connects a client that says nothing yet.
func (g *gateway) dialRaw() *party {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	if g.setup.tls != nil {
		t := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err := t.Handshake(); err != nil {
			g.t.Fatal(err)
		}
		return newParty(g.t, t, true)
	}
	return newParty(g.t, conn, true)
}

// errPlayed ends a goroutine that plays a peer.
var errPlayed = errors.New("the connection has ended")

// fail fails the test, unless a goroutine plays the peer: then that ends.
func (p *party) fail(format string, args ...any) {
	p.t.Helper()
	if p.played {
		panic(errPlayed)
	}
	p.t.Fatalf(format, args...)
}

func (p *party) check(err error) {
	p.t.Helper()
	if err != nil {
		p.fail("cannot write: %v", err)
	}
}

// Write takes what the framer has to send.
func (p *party) Write(b []byte) (int, error) {
	if p.burst != nil {
		return p.burst.Write(b)
	}
	return p.conn.Write(b)
}

// atOnce sends all that f sends in one go, if the gateway has not cut the connection before its end.
func (p *party) atOnce(f func()) {
	p.burst = new(bytes.Buffer)
	f()
	p.conn.SetDeadline(time.Now().Add(patience))
	p.conn.Write(p.burst.Bytes())
	p.burst = nil
}

// send sends bytes as they are.
func (p *party) send(s string) {
	p.t.Helper()
	_, err := io.WriteString(p, s)
	p.check(err)
}

// set sends SETTINGS, and notes what they allow the gateway. What they take away holds from their acknowledgement on.
func (p *party) set(settings ...xhttp2.Setting) {
	p.t.Helper()
	l := p.told[len(p.told)-1]
	for _, s := range settings {
		switch s.ID {
		case xhttp2.SettingInitialWindowSize:
			l.window = int64(s.Val)
		case xhttp2.SettingMaxConcurrentStreams:
			l.most = int(s.Val)
		}
	}
	p.told = append(p.told, l)
	p.resize()
	p.check(p.framer.WriteSettings(settings...))
}

// resize lets the gateway use the largest window of those that may be in force.
func (p *party) resize() {
	largest := int64(0)
	for _, l := range p.told {
		largest = max(largest, l.window)
	}
	delta := largest - p.first
	p.first += delta
	for _, r := range p.streams {
		r.room += delta
	}
}

// await reads frames until something holds.
func (p *party) await(what string, holds func() bool) {
	p.t.Helper()
	p.conn.SetDeadline(time.Now().Add(patience))
	for !holds() {
		if err := p.step(); err != nil {
			p.fail("waiting for %s: %v", what, err)
		}
	}
}

// sync returns when the gateway has handled everything that was sent so far.
func (p *party) sync() {
	p.t.Helper()
	p.reserved++
	data := [8]byte{'s', 'y', 'n', 'c', byte(p.reserved >> 24), byte(p.reserved >> 16), byte(p.reserved >> 8), byte(p.reserved)}
	p.check(p.framer.WritePing(false, data))
	p.await("the answer to a PING", func() bool { return p.pongs[data] })
	delete(p.pongs, data)
}

// step reads a frame and notes what it says.
func (p *party) step() error {
	p.t.Helper()
	f, err := p.framer.ReadFrame()
	if err != nil {
		return err
	}
	id := f.Header().StreamID
	switch f := f.(type) {
	case *xhttp2.SettingsFrame:
		return p.noteSettings(f)
	case *xhttp2.PingFrame:
		switch {
		case f.IsAck():
			p.pongs[f.Data] = true
		default:
			p.pings = append(p.pings, f.Data)
			if !p.mute {
				return p.framer.WritePing(true, f.Data)
			}
		}
	case *xhttp2.GoAwayFrame:
		p.goAways = append(p.goAways, goAway{f.LastStreamID, errCode(f.ErrCode), string(f.DebugData())})
	case *xhttp2.WindowUpdateFrame:
		if id == 0 {
			p.credit += int64(f.Increment)
		} else {
			p.on(id).credit += int64(f.Increment)
		}
	case *xhttp2.MetaHeadersFrame:
		p.noteHeaders(f)
	case *xhttp2.DataFrame:
		return p.noteData(f)
	case *xhttp2.RSTStreamFrame:
		r := p.on(id)
		r.reset, r.code = true, errCode(f.ErrCode)
		p.settle(r)
	default:
		p.t.Errorf("a frame of type %v came", f.Header().Type)
	}
	return nil
}

func (p *party) noteSettings(f *xhttp2.SettingsFrame) error {
	if f.IsAck() {
		p.acks++
		if len(p.told) > 1 {
			p.told = p.told[1:]
			p.resize()
		}
		return nil
	}
	f.ForeachSetting(func(s xhttp2.Setting) error {
		p.theirs[s.ID] = s.Val
		return nil
	})
	return p.framer.WriteSettingsAck()
}

// on returns what is known of a stream; HEADERS of a client open it.
func (p *party) on(id uint32) *record {
	r := p.streams[id]
	if r == nil {
		if p.client {
			p.t.Errorf("a frame came on stream %d, which was never opened", id)
		}
		r = &record{id: id, room: p.first}
		p.streams[id] = r
	}
	return r
}

func (p *party) noteHeaders(f *xhttp2.MetaHeadersFrame) {
	p.t.Helper()
	_, known := p.streams[f.StreamID]
	r := p.on(f.StreamID)
	if r.over() {
		p.t.Errorf("HEADERS came on stream %d after its end", r.id)
	}
	if f.Truncated {
		p.t.Errorf("the header list of stream %d is too large", r.id)
	}
	got := fields(f.Fields)
	switch status := got.get(":status"); {
	case !p.client && !known:
		most := 0
		for _, l := range p.told {
			most = max(most, l.most)
		}
		if p.open++; p.open > most {
			p.t.Errorf("%d streams are open, more than the %d that are allowed", p.open, most)
		}
		r.head = got
		p.arrived = append(p.arrived, r)
	case p.client && r.head == nil && len(status) == 3 && status[0] == '1':
		r.interim = append(r.interim, got)
	case r.head == nil:
		r.head = got
	default:
		r.trailers = got
		if !f.StreamEnded() {
			p.t.Errorf("trailers of stream %d do not end it", r.id)
		}
	}
	if f.StreamEnded() {
		r.ended = true
		p.settle(r)
	}
}

func (p *party) noteData(f *xhttp2.DataFrame) error {
	p.t.Helper()
	r, size := p.on(f.StreamID), int64(f.Length)
	if r.head == nil || r.over() {
		p.t.Errorf("DATA came on stream %d before its head or after its end", r.id)
	}
	r.frames++
	r.body = append(r.body, f.Data()...)
	r.room -= size
	p.room -= size
	if (r.room < 0 || p.room < 0) && size > 0 {
		p.t.Errorf("DATA of %d bytes on stream %d is more than the windows allow: %d bytes are left of its own, %d of the connection's",
			size, r.id, r.room, p.room)
	}
	if f.StreamEnded() {
		r.ended = true
		p.settle(r)
	}
	if p.stingy || size == 0 {
		return nil
	}
	if err := p.grant(0, size); err != nil || r.ended {
		return err
	}
	return p.grant(r.id, size)
}

// settle counts the streams that are underway at an endpoint.
func (p *party) settle(r *record) {
	if over := r.reset || r.cut || r.ended && r.closed; over && !r.settled {
		r.settled = true
		p.open--
	}
}

// grant lets the gateway send more: on a stream, or for 0 on the connection.
func (p *party) grant(id uint32, n int64) error {
	if id == 0 {
		p.room += n
	} else {
		p.on(id).room += n
	}
	return p.framer.WriteWindowUpdate(id, uint32(n))
}

// give is grant for tests.
func (p *party) give(id uint32, n int64) {
	p.t.Helper()
	p.check(p.grant(id, n))
}

// headers sends a header block.
func (p *party) headers(r *record, f fields, end bool) {
	p.t.Helper()
	p.block.Reset()
	for i := range f {
		p.check(p.enc.WriteField(f[i]))
	}
	block := p.block.Bytes()
	first := block[:min(len(block), maxFrame)]
	p.check(p.framer.WriteHeaders(xhttp2.HeadersFrameParam{
		StreamID: r.id, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(block),
	}))
	for block = block[len(first):]; len(block) > 0; {
		piece := block[:min(len(block), maxFrame)]
		block = block[len(piece):]
		p.check(p.framer.WriteContinuation(r.id, len(block) == 0, piece))
	}
	p.close(r, end)
}

// data sends DATA in one frame, without regard to windows.
func (p *party) data(r *record, body string, end bool) {
	p.t.Helper()
	r.sent += int64(len(body))
	p.sent += int64(len(body))
	p.check(p.framer.WriteData(r.id, end, []byte(body)))
	p.close(r, end)
}

// upload sends a body as the gateway's windows allow it, and reads meanwhile. It stops where the stream is reset.
func (p *party) upload(r *record, body []byte, end bool) {
	p.t.Helper()
	for len(body) > 0 && !r.reset {
		n := min(p.left(r), int64(len(body)), maxFrame)
		if n <= 0 {
			p.await("credit", func() bool { return r.reset || p.left(r) > 0 })
			continue
		}
		p.data(r, string(body[:n]), end && int(n) == len(body))
		body = body[n:]
	}
}

// left is how much the gateway takes on a stream.
func (p *party) left(r *record) int64 {
	first := int64(p.theirs[xhttp2.SettingInitialWindowSize])
	return min(first+r.credit-r.sent, defaultWindow+p.credit-p.sent)
}

func (p *party) close(r *record, end bool) {
	if end {
		r.closed = true
		p.settle(r)
	}
}

// cancel sends RST_STREAM.
func (p *party) cancel(r *record, code errCode) {
	p.t.Helper()
	r.cut = true
	p.settle(r)
	p.check(p.framer.WriteRSTStream(r.id, xhttp2.ErrCode(code)))
}

// leave closes the connection, and cutOff resets it.
func (p *party) leave() { p.conn.Close() }

func (p *party) cutOff() {
	p.conn.(*net.TCPConn).SetLinger(0)
	p.conn.Close()
}

// gone reads to the end of the connection and returns how that came: io.EOF for a clean end.
func (p *party) gone() error {
	p.t.Helper()
	p.conn.SetDeadline(time.Now().Add(patience))
	for {
		if err := p.step(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				p.t.Fatal("the connection stays open")
			}
			return err
		}
	}
}

// request opens a stream.
func (p *party) request(f fields, end bool) *record {
	p.t.Helper()
	r := &record{id: p.next, room: p.first}
	p.next += 2
	p.streams[r.id] = r
	p.headers(r, f, end)
	return r
}

// whole reads until a stream has ended.
func (p *party) whole(r *record) *record {
	p.t.Helper()
	p.await(fmt.Sprintf("the end of stream %d", r.id), r.over)
	return r
}

// wantBody reads a stream to its end, and checks how it was answered.
func (p *party) wantAnswer(r *record, status, body string) {
	p.t.Helper()
	p.whole(r)
	if got := r.head.get(":status"); got != status || string(r.body) != body || !r.ended {
		p.t.Errorf("stream %d got %s %.80q (ended: %v, reset: %v %v), want %s %.80q", r.id, got, r.body, r.ended, r.reset, r.code, status, body)
	}
}

// wantReset reads until a stream is reset, and checks for what.
func (p *party) wantReset(r *record, code errCode) {
	p.t.Helper()
	p.await(fmt.Sprintf("the reset of stream %d", r.id), func() bool { return r.reset })
	if r.code != code {
		p.t.Errorf("stream %d was reset with %v, want %v", r.id, r.code, code)
	}
}

// wantStatus reads a call to its end, and checks its status.
func (p *party) wantStatus(r *record, code string) fields {
	p.t.Helper()
	p.whole(r)
	last := r.trailers
	if last == nil {
		last = r.head
	}
	if got := last.get("grpc-status"); got != code || !r.ended {
		p.t.Errorf("stream %d got status %q, %q (reset: %v %v), want %s", r.id, got, last.get("grpc-message"), r.reset, r.code, code)
	}
	return last
}

// wantGoAway waits for the gateway to end the connection for a fault of the peer.
func (p *party) wantGoAway(code errCode) {
	p.t.Helper()
	p.gone()
	if n := len(p.goAways); n == 0 || p.goAways[n-1].code != code {
		p.t.Errorf("GOAWAY came as %v, want %v", p.goAways, code)
	}
}

func getOf(path string) fields {
	return list(":method", "GET", ":scheme", "http", ":path", path, ":authority", "gateway")
}

func postOf(path string) fields {
	return list(":method", "POST", ":scheme", "http", ":path", path, ":authority", "gateway", "content-type", "application/json")
}

// callOf is the head of a gRPC call.
func callOf(method string) fields {
	return list(":method", "POST", ":scheme", "http", ":path", method, ":authority", "gateway", "content-type", "application/grpc", "te", "trailers")
}

// message is a gRPC message.
func message(payload string) string {
	n := len(payload)
	return string([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + payload
}
