package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// pair is a client and a server without sockets. What one has to write is fed to the other in pieces.
type pair struct {
	client *grpcClient
	server *grpcReplica
}

// newPair joins a client with a number of calls of a kind and a server; grant is both sides' window for each stream.
func newPair(kind string, calls, grant int) *pair {
	g := &generator{spec: loadSpec{Kind: kind, Calls: calls}, samples: newSamples(1)}
	c := &grpcClient{g: g, call: rpcs[kind]}
	c.h2socket = &h2socket{h2conn: newH2conn(c, true, grant)}
	for range calls {
		c.slots = append(c.slots, &slot{conn: c})
	}
	s := &grpcReplica{}
	s.h2socket = &h2socket{h2conn: newH2conn(s, false, grant)}
	return &pair{client: c, server: s}
}

// carry feeds one side with what has come and the next cut bytes that the other has written, and returns what was not used.
func carry(from, to *h2conn, held []byte, cut int) ([]byte, error) {
	n := min(cut, len(from.out))
	held = append(held, from.out[:n]...)
	from.out = from.out[:copy(from.out, from.out[n:])]
	used, err := to.feed(held)
	return held[:copy(held, held[used:])], err
}

// run carries bytes until neither side has anything to say.
func (p *pair) run(cut int) error {
	var toServer, toClient []byte
	var err error
	for len(p.client.out)+len(p.server.out) > 0 || p.server.canSend() {
		if toServer, err = carry(p.client.h2conn, p.server.h2conn, toServer, cut); err != nil {
			return err
		}
		p.server.turn(func() bool { return true })
		if toClient, err = carry(p.server.h2conn, p.client.h2conn, toClient, cut); err != nil {
			return err
		}
		p.client.turn(nil)
	}
	return nil
}

func TestCallsAreAnsweredWhateverTheCutsAndWindows(t *testing.T) {
	for kind, call := range rpcs {
		for _, grant := range []int{300, 5000, defaultWindow, streamWindow} {
			for _, cut := range []int{17, 1000, 1 << 20} {
				p := newPair(kind, 3, grant)
				// Before the settings have come, every window has its default.
				if err := p.run(cut); err != nil {
					t.Fatal(err)
				}
				for _, s := range p.client.slots {
					p.client.send(s)
				}
				if err := p.run(cut); err != nil {
					t.Fatalf("%s, window %d, cuts of %d: %v", kind, grant, cut, err)
				}
				g := p.client.g
				if g.requests != 3 || g.outstanding != 0 || g.events != 3*int64(len(call.response)/call.message) {
					t.Errorf("%s, window %d, cuts of %d: %d answers with %d messages, %d outstanding", kind, grant, cut, g.requests, g.events, g.outstanding)
				}
				if len(p.client.streams)+len(p.server.streams)+len(p.client.sending)+len(p.server.sending) > 0 {
					t.Errorf("%s, window %d, cuts of %d: streams are left over", kind, grant, cut)
				}
			}
		}
	}
}

// TestHeadersBecomeReferences makes the same call again and again on one connection.
func TestHeadersBecomeReferences(t *testing.T) {
	p := newPair(kindUnary, 1, streamWindow)
	var sizes []int
	for range 4 {
		p.client.out = p.client.out[:copy(p.client.out, p.client.out[len(p.client.out):])]
		before := len(p.client.out)
		p.client.send(p.client.slots[0])
		sizes = append(sizes, len(p.client.out)-before)
		if len(sizes) == 1 {
			p.client.out = append([]byte(clientPreface), p.client.out...)
		}
		if err := p.run(1 << 20); err != nil {
			t.Fatal(err)
		}
	}
	plain := frameHeadSize + len(p.client.call.request)
	if sizes[0] < plain+100 || sizes[3] > plain+frameHeadSize+len(p.client.call.fields) {
		t.Errorf("requests had %d bytes, want the later ones with a byte for each field", sizes)
	}
	if p.client.g.requests != 4 {
		t.Errorf("%d of 4 calls were answered", p.client.g.requests)
	}
}

// feedServer feeds frames to a new server after the preface and returns what it wrote after its own settings.
func feedServer(frames ...[]byte) (*grpcReplica, string, error) {
	s := newPair(kindUnary, 1, streamWindow).server
	s.out = s.out[:0]
	_, err := s.feed(append([]byte(clientPreface), bytes.Join(frames, nil)...))
	return s, string(s.out), err
}

func TestFramesAreTakenInEveryForm(t *testing.T) {
	head, body := requestHead(), rpcs[kindUnary].request
	padded := append(append([]byte{3}, body...), 0, 0, 0)
	prioritized := append([]byte{0, 0, 0, 0, 16}, head...)
	for name, frames := range map[string][][]byte{
		"plain":        {appendFrame(nil, frameHeaders, flagEndHeaders, 1, head), appendFrame(nil, frameData, flagEndStream, 1, body)},
		"padding":      {appendFrame(nil, frameHeaders, flagEndHeaders, 1, head), appendFrame(nil, frameData, flagEndStream|flagPadded, 1, padded)},
		"priority":     {appendFrame(nil, frameHeaders, flagEndHeaders|flagPriority, 1, prioritized), appendFrame(nil, frameData, flagEndStream, 1, body)},
		"continuation": {appendFrame(nil, frameHeaders, 0, 1, head[:9]), appendFrame(nil, frameContinuation, 0, 1, head[9:20]), appendFrame(nil, frameContinuation, flagEndHeaders, 1, head[20:]), appendFrame(nil, frameData, flagEndStream, 1, body)},
		"empty data":   {appendFrame(nil, frameHeaders, flagEndHeaders, 1, head), appendFrame(nil, frameData, 0, 1, body), appendFrame(nil, frameData, flagEndStream, 1, nil)},
		"unknown type": {appendFrame(nil, 0xfe, 0, 0, []byte("x")), appendFrame(nil, frameHeaders, flagEndHeaders, 1, head), appendFrame(nil, frameData, flagEndStream, 1, body)},
	} {
		s, _, err := feedServer(frames...)
		if err != nil || len(s.sending) != 1 {
			t.Errorf("%s: %d responses, %v", name, len(s.sending), err)
		}
	}
}

func TestPingsAndSettingsAreAcknowledged(t *testing.T) {
	ping := appendFrame(nil, framePing, 0, 0, []byte("12345678"))
	settings := appendFrame(nil, frameSettings, 0, 0, appendSetting(nil, settingHeaderTableSize, 0))
	acks := appendFrame(appendFrame(nil, framePing, flagAck, 0, []byte("12345678")), frameSettings, flagAck, 0, nil)
	if _, out, err := feedServer(ping, settings, appendFrame(nil, frameSettings, flagAck, 0, nil)); err != nil || out != string(acks) {
		t.Errorf("the answer to a ping and settings is %q, %v, want %q", out, err, acks)
	}
}

func TestConnectionErrors(t *testing.T) {
	head := appendFrame(nil, frameHeaders, flagEndHeaders, 1, requestHead())
	whole := appendFrame(bytes.Clone(head), frameData, flagEndStream, 1, rpcs[kindUnary].request)
	var many []byte
	for i := range mostStreams + 1 {
		many = appendFrame(many, frameHeaders, flagEndHeaders, uint32(2*i+1), requestHead())
	}
	for want, frames := range map[string][][]byte{
		"more than the 16384 that are allowed":       {appendFrameHead(nil, maxFrame+1, frameData, 0, 1)},
		"within the header block of stream 1":        {appendFrame(nil, frameHeaders, 0, 1, nil), appendFrame(nil, framePing, 0, 0, nil)},
		"type 9 with flags 0x4":                      {appendFrame(nil, frameContinuation, flagEndHeaders, 1, nil)},
		"stream 2, which has an even number":         {appendFrame(nil, frameHeaders, flagEndHeaders, 2, requestHead())},
		"stream 7, which nobody began":               {appendFrame(nil, frameData, 0, 7, []byte("x"))},
		"stream 1 after its end":                     {whole, appendFrame(nil, frameData, 0, 1, []byte("x"))},
		"cannot decode a header block":               {appendFrame(nil, frameHeaders, flagEndHeaders, 1, []byte{0xff, 0xff})},
		"type 0 with flags 0x8":                      {head, appendFrame(nil, frameData, flagPadded, 1, []byte{2, 0})},
		"type 3 with flags 0x0":                      {appendFrame(nil, frameReset, 0, 1, nil)},
		"type 4 with flags 0x0":                      {appendFrame(nil, frameSettings, 0, 0, []byte("12345"))},
		"type 7 with flags 0x0":                      {appendFrame(nil, frameGoAway, 0, 0, []byte("1234567"))},
		"PUSH_PROMISE":                               {appendFrame(nil, framePushPromise, 0, 1, nil)},
		"more than the allowed 128 streams were":     {many},
		"the header block of stream 1 is longer tha": {appendFrame(nil, frameHeaders, 0, 1, make([]byte, maxFrame)), appendFrame(nil, frameContinuation, 0, 1, []byte("x"))},
	} {
		if _, _, err := feedServer(frames...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if _, err := newPair(kindUnary, 1, streamWindow).server.feed([]byte("GET / HTTP/1.1\r\n")); err == nil || !strings.Contains(err.Error(), "HTTP/2's preface") {
		t.Errorf("HTTP/1.1 gives %v", err)
	}
}

// TestSmallerWindowHoldsOpenStreamsBack shrinks the windows of streams that are being sent below zero.
func TestSmallerWindowHoldsOpenStreamsBack(t *testing.T) {
	p := newPair(kindLarge, 1, streamWindow)
	p.client.send(p.client.slots[0])
	s := p.client.streams[1]
	if len(s.body) != len(s.call.request)-defaultWindow || s.window != 0 {
		t.Fatalf("%d bytes are left to send with a window of %d", len(s.body), s.window)
	}
	left := len(s.body)
	p.client.sendWindow = connWindow
	feed := func(b []byte) {
		t.Helper()
		if _, err := p.client.feed(b); err != nil {
			t.Fatal(err)
		}
		p.client.turn(nil)
	}
	feed(appendFrame(nil, frameSettings, 0, 0, appendSetting(nil, settingInitialWindow, 1000)))
	feed(appendWindowUpdate(nil, 1, defaultWindow-1000))
	if s.window != 0 || len(s.body) != left {
		t.Errorf("the window is %d, and %d bytes were sent", s.window, left-len(s.body))
	}
	feed(appendWindowUpdate(nil, 1, 2))
	if s.window != 0 || len(s.body) != left-2 {
		t.Errorf("the window is %d, and %d bytes were sent, want 2", s.window, left-len(s.body))
	}
}

// feedClient feeds frames to a client with one unary call.
func feedClient(frames ...[]byte) error {
	p := newPair(kindUnary, 1, streamWindow)
	p.client.send(p.client.slots[0])
	_, err := p.client.feed(bytes.Join(frames, nil))
	return err
}

// sectionFrame is a frame with header fields.
func sectionFrame(end bool, fields ...hpack.HeaderField) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for _, f := range fields {
		_ = e.WriteField(f)
	}
	flags := byte(flagEndHeaders)
	if end {
		flags |= flagEndStream
	}
	return appendFrame(nil, frameHeaders, flags, 1, b.Bytes())
}

func TestClientNoticesWrongAnswers(t *testing.T) {
	head, trailers := sectionFrame(false, responseHeaders...), sectionFrame(true, responseTrailers...)
	body := rpcs[kindUnary].response
	data := func(b []byte) []byte { return appendFrame(nil, frameData, 0, 1, b) }
	spoiled := bytes.Clone(body)
	spoiled[len(spoiled)-1] ^= 1
	if err := feedClient(head, data(body), trailers); err != nil {
		t.Fatal(err)
	}
	for want, frames := range map[string][][]byte{
		":status: 502": {sectionFrame(true, hpack.HeaderField{Name: ":status", Value: "502"})},
		"content-type: application/grpc; grpc-status: 3": {sectionFrame(true, *refusal(errors.New("no"))...)},
		"content-type: text/html":                        {sectionFrame(false, responseHeaders[0], hpack.HeaderField{Name: "content-type", Value: "text/html"})},
		"differs from what the backend sent":             {head, data(spoiled)},
		"after 261 of 261 bytes":                         {head, data(body), data([]byte("x"))},
		"after 0 of 261 bytes":                           {data(body)},
		"without trailers":                               {head, appendFrame(nil, frameData, flagEndStream, 1, body)},
		"ended 61 bytes early":                           {head, data(body[:200]), trailers},
		"grpc-status: 14":                                {head, data(body), sectionFrame(true, hpack.HeaderField{Name: "grpc-status", Value: "14"})},
		"ended a response with":                          {head, data(body), sectionFrame(false, responseTrailers...)},
		"reset a call with the code 8":                   {appendFrame(nil, frameReset, 0, 1, []byte{0, 0, 0, 8})},
		"ended a connection with the code 11":            {appendFrame(nil, frameGoAway, 0, 0, []byte{0, 0, 0, 1, 0, 0, 0, 11})},
		"began stream 3 by itself":                       {head, appendFrame(nil, frameHeaders, flagEndHeaders, 3, nil)},
	} {
		if err := feedClient(frames...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// TestBackendRefusesChangedCalls changes what a proxy must not.
func TestBackendRefusesChangedCalls(t *testing.T) {
	body := rpcs[kindUnary].request
	call := func(change func(headerList) headerList, frames ...[]byte) [][]byte {
		fields := change(slices.Clone(rpcs[kindUnary].fields))
		return append([][]byte{sectionFrame(false, fields...)}, frames...)
	}
	same := func(l headerList) headerList { return l }
	data := func(b []byte) []byte { return appendFrame(nil, frameData, flagEndStream, 1, b) }
	for want, frames := range map[string][][]byte{
		`no method "/x"`:                  call(func(l headerList) headerList { l[2].Value = "/x"; return l }),
		"are not te: trailers":            call(func(l headerList) headerList { return append(l[:6], l[7:]...) }),
		"are not authorization: Bearer":   call(func(l headerList) headerList { return append(l, l[7]) }),
		"differs from what was sent":      call(same, data([]byte("x"))),
		"the request ended 61 bytes":      call(same, data(body[:200])),
		"the request has no message":      {sectionFrame(true, rpcs[kindUnary].fields...)},
		"the request has trailers: [\"he": call(same, sectionFrame(true, hpack.HeaderField{Name: "x", Value: "y"})),
	} {
		s, out, err := feedServer(frames...)
		if err != nil || len(s.streams)+len(s.sending) > 0 {
			t.Errorf("%q: %v, with %d streams open", want, err, len(s.streams))
		}
		if message := messageIn(t, out); !strings.Contains(message, want) {
			t.Errorf("the backend says %q, want %q", message, want)
		}
	}
}

// messageIn decodes the first header section that was written.
func messageIn(t *testing.T, out string) string {
	t.Helper()
	f, ok, err := cutFrame([]byte(out))
	if !ok || err != nil || f.kind != frameHeaders {
		t.Fatalf("the backend wrote %q, %v", out, err)
	}
	fields, err := newHeaderDecoder().decode(f.payload)
	if err != nil {
		t.Fatal(err)
	}
	message, _ := value(fields, "grpc-message")
	return message
}

// stranger is an h2owner that takes everything.
type stranger struct{}

func (stranger) begun(*h2stream) error                                 { return nil }
func (stranger) gotHeaders(*h2stream, []hpack.HeaderField, bool) error { return nil }
func (stranger) gotData(*h2stream, []byte, bool) error                 { return nil }
func (stranger) gotReset(*h2stream, uint32) error                      { return nil }
func (stranger) gotGoAway(uint32, uint32) error                        { return nil }

// FuzzFeed feeds both kinds of owner with anything: what they say in return stays within bounds.
func FuzzFeed(f *testing.F) {
	for _, kind := range []string{kindUnary, kindFlushed} {
		p := newPair(kind, 2, 300)
		for _, s := range p.client.slots {
			p.client.send(s)
		}
		f.Add(bytes.Clone(p.client.out)[len(clientPreface):])
		if _, err := p.server.feed(p.client.out); err != nil {
			f.Fatal(err)
		}
		p.server.turn(func() bool { return true })
		f.Add(bytes.Clone(p.server.out))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		server := newPair(kindUnary, 1, streamWindow).server
		for _, c := range []*h2conn{server.h2conn, newH2conn(stranger{}, true, 1000)} {
			c.preface, c.out = "", c.out[:0]
			used, err := c.feed(b)
			if used > len(b) || err == nil && len(b)-used > frameHeadSize+maxFrame {
				t.Errorf("%d of %d bytes were used, %v", used, len(b), err)
			}
			// A refusal is the longest answer: it quotes the request's fields, of which a header table holds some.
			if most := 64 * (len(b) + headerTable) * 64; len(c.out) > most {
				t.Errorf("%d bytes were answered with %d", len(b), len(c.out))
			}
			c.turn(func() bool { return true })
		}
	})
}
