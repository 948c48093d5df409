package http2

import (
	"bytes"
	"runtime"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/penstock/penstock/gateway/dispatch"
)

// flood is more frames than any allowance has at once. What an allowance grows by meanwhile does not keep up with it.
const flood = 20_000

// TestFloodsOfFramesThatCarryNothing plays CVE-2019-9512, 9515, 9517 and 9518, from either side.
func TestFloodsOfFramesThatCarryNothing(t *testing.T) {
	for name, write := range map[string]func(p *party, r *record) error{
		"PING":          func(p *party, _ *record) error { return p.framer.WritePing(false, [8]byte{}) },
		"PING, answers": func(p *party, _ *record) error { return p.framer.WritePing(true, [8]byte{}) },
		"SETTINGS":      func(p *party, _ *record) error { return p.framer.WriteSettings() },
		"PRIORITY": func(p *party, r *record) error {
			return p.framer.WritePriority(r.id, xhttp2.PriorityParam{Weight: 1})
		},
		"WINDOW_UPDATE, stream's":     func(p *party, r *record) error { return p.framer.WriteWindowUpdate(r.id, 1) },
		"WINDOW_UPDATE, connection's": func(p *party, _ *record) error { return p.framer.WriteWindowUpdate(0, 1) },
		"DATA without any":            func(p *party, r *record) error { return p.framer.WriteData(r.id, false, nil) },
		"DATA, only padding":          func(p *party, r *record) error { return p.framer.WriteDataPadded(r.id, false, nil, make([]byte, 3)) },
		"an unknown type":             func(p *party, _ *record) error { return p.framer.WriteRawFrame(0xbe, 0, 0, []byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r := c.request(callOf("/s/m"), false)
			q := s.take()
			c.atOnce(func() {
				for range flood {
					c.check(write(c, r))
				}
			})
			c.wantGoAway(errEnhanceCalm)
			s.wantReset(q, errCancel)
			g.wantOutcome(1, dispatch.ClientGone)
		})
		t.Run(name+", endpoint", func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r := c.request(callOf("/s/m"), false)
			q := s.take()
			s.beginCall(q)
			s.atOnce(func() {
				for range flood {
					s.check(write(s, q))
				}
			})
			c.wantStatus(r, "14")
			g.wantOutcome(1, dispatch.UpstreamBroken)
		})
	}
}

// TestPingWithEveryMessageIsNoFlood has both sides do as gRPC does to measure the bandwidth.
func TestPingWithEveryMessageIsNoFlood(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r := c.request(callOf("/s/m"), false)
	q := s.take()
	s.beginCall(q)
	c.await("the head", func() bool { return r.head != nil })
	for i := range 4000 {
		c.data(r, message("up"), false)
		c.check(c.framer.WritePing(false, [8]byte{1}))
		s.await("a message", func() bool { return q.frames > i })
		s.check(s.framer.WritePing(false, [8]byte{1}))
		s.data(q, message("down"), false)
		c.await("a message", func() bool { return r.frames > i })
	}
	s.endCall(q, "0")
	c.wantStatus(r, "0")
	c.sync()
	s.sync()
	if end := g.wantOutcome(1, dispatch.Completed); end.events != 4000 {
		t.Errorf("%d messages were seen, want 4000", end.events)
	}
}

// TestRapidReset plays CVE-2023-44487.
func TestRapidReset(t *testing.T) {
	e := startEndpoint(t)
	e.hasty = true
	e.serve(func(*party, *record) {})
	g := startGateway(t, simple, e)
	c := g.dial()
	c.atOnce(func() {
		for range 5000 {
			c.cancel(c.request(callOf("/s/m"), true), errCancel)
		}
	})
	c.wantGoAway(errEnhanceCalm)
	eventually(t, "nothing is underway", func() bool { return g.server.Active() == 0 && g.dispatcher.Pool("only").InFlight() == 0 })
}

// TestMadeYouReset plays CVE-2025-8671: the client has the gateway reset the streams.
func TestMadeYouReset(t *testing.T) {
	for name, provoke := range map[string]func(c *party, r *record) error{
		"WINDOW_UPDATE of nothing": func(c *party, r *record) error { return c.framer.WriteWindowUpdate(r.id, 0) },
		"a window that overflows":  func(c *party, r *record) error { return c.framer.WriteWindowUpdate(r.id, maxWindow) },
		"DATA behind the end": func(c *party, r *record) error {
			if err := c.framer.WriteData(r.id, true, nil); err != nil {
				return err
			}
			return c.framer.WriteData(r.id, false, []byte("x"))
		},
		"trailers that do not end the stream": func(c *party, r *record) error {
			return c.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: r.id, EndHeaders: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEndpoint(t)
			e.hasty = true
			e.serve(func(*party, *record) {})
			g := startGateway(t, simple, e)
			c := g.dial()
			c.atOnce(func() {
				for range 5000 {
					c.check(provoke(c, c.request(callOf("/s/m"), false)))
				}
			})
			c.wantGoAway(errEnhanceCalm)
			eventually(t, "nothing is underway", func() bool { return g.server.Active() == 0 })
		})
	}
	t.Run("malformed requests", func(t *testing.T) {
		_, g, c := start(t, simple)
		c.atOnce(func() {
			for range 5000 {
				c.request(callOf("/s/m").with("connection", "close"), true)
			}
		})
		c.wantGoAway(errEnhanceCalm)
		eventually(t, "nothing is underway", func() bool { return g.server.Active() == 0 })
	})
	t.Run("more streams than allowed", func(t *testing.T) {
		e := startEndpoint(t)
		e.hasty = true
		e.serve(func(*party, *record) {})
		g := startGateway(t, "limits: {streams: 1}\n"+simple, e)
		c := g.dial()
		c.atOnce(func() {
			for range 5000 {
				c.request(callOf("/s/m"), true)
			}
		})
		c.wantGoAway(errEnhanceCalm)
	})
}

// TestHeaderBlocksWithoutEnd plays CVE-2024-27316.
func TestHeaderBlocksWithoutEnd(t *testing.T) {
	for name, piece := range map[string][]byte{
		"nothing":    nil,
		"a byte":     {0x82},
		"full pages": bytes.Repeat([]byte{0x82}, maxFrame),
	} {
		play := func(p *party, id uint32) {
			p.atOnce(func() {
				p.check(p.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id}))
				for range 500 {
					p.check(p.framer.WriteContinuation(id, false, piece))
				}
			})
		}
		t.Run(name, func(t *testing.T) {
			_, _, c := start(t, simple)
			play(c, 1)
			c.gone() // full pages may be more than the gateway reads after its GOAWAY
			if len(piece) < maxFrame && (len(c.goAways) == 0 || c.goAways[0].code != errEnhanceCalm) {
				t.Errorf("GOAWAY came as %v", c.goAways)
			}
		})
		t.Run(name+", endpoint", func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r := c.request(callOf("/s/m"), true)
			play(s, s.takeWhole().id)
			c.wantStatus(r, "14")
			g.await(2)
		})
	}
}

// bomb is a header block that refers many times to a long field in the compression table.
func (p *party) bomb(head fields, references int) []byte {
	p.block.Reset()
	for i := range head {
		p.enc.WriteField(head[i])
	}
	long := list("x-long", string(bytes.Repeat([]byte{'a'}, 4000)))[0]
	p.enc.WriteField(long)
	return append(bytes.Clone(p.block.Bytes()), bytes.Repeat([]byte{0x80 | 62}, references)...) // 62 is the table's newest entry
}

func TestHeaderBombs(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const bombs = 20
	for range bombs {
		r := &record{id: c.next, room: c.first}
		c.next += 2
		c.streams[r.id] = r
		c.check(c.framer.WriteHeaders(xhttp2.HeadersFrameParam{
			StreamID: r.id, BlockFragment: c.bomb(postOf("/x"), 12_000), EndStream: true, EndHeaders: true,
		}))
		c.whole(r)
		if r.head.get(":status") != "431" || !r.ended {
			t.Errorf("got %v", r.head)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > bombs*1<<20 {
		t.Errorf("%d bombs of 48 MB took %d bytes of memory", bombs, grown)
	}
	// The tables still agree.
	r := c.request(callOf("/s/m").with("x-a", "b"), true)
	q := s.takeWhole()
	if q.head.get("x-a") != "b" {
		t.Errorf("the call came as %v", q.head)
	}
	// The endpoint throws one.
	s.check(s.framer.WriteHeaders(xhttp2.HeadersFrameParam{
		StreamID: q.id, BlockFragment: s.bomb(list(":status", "200"), 10_000), EndHeaders: true,
	}))
	s.wantReset(q, errProtocol)
	c.wantStatus(r, "14")
	g.wantOutcome(bombs+1, dispatch.UpstreamBroken)
	r = c.request(callOf("/s/m"), true)
	s.answerCall(s.takeWhole())
	c.wantStatus(r, "0")
}

func TestHeadsThatAreTooLarge(t *testing.T) {
	_, g, c := start(t, "limits: {headerBytes: 8KiB, headerCount: 10, requestTargetBytes: 100}\n"+simple)
	many := postOf("/x")
	for range 10 {
		many = many.with("x-a", "b")
	}
	for i, test := range []struct {
		head   fields
		status string
	}{
		{postOf("/x").with("x-a", string(bytes.Repeat([]byte{'a'}, 8<<10))), "431"},
		{postOf("/x").with("x-a", string(bytes.Repeat([]byte{'a'}, 20<<10))), "431"}, // in several frames
		{many, "431"},
		{postOf("/" + string(bytes.Repeat([]byte{'a'}, 100))), "414"},
	} {
		r := c.request(test.head, true)
		c.whole(r)
		if got := r.head.get(":status"); got != test.status {
			t.Errorf("head %d got %s, want %s", i, got, test.status)
		}
		r = c.request(test.head.with("te", "trailers"), false)
		c.data(r, "some of the body", false)
		c.await("the end", func() bool { return r.ended && r.reset })
		if r.code != errNone {
			t.Errorf("the rest of the request is declined with %v", r.code)
		}
	}
	g.await(8)
	g.wantWholeWindows()
}

// TestClientThatMakesWorkAndReadsNothing asks for answers that nothing but the output holds.
func TestClientThatMakesWorkAndReadsNothing(t *testing.T) {
	g := startGateway(t, "pools: {only: {endpoints: [\"h2c://ENDPOINT\"]}}\nroutes: [{match: {path: /there}, split: [{pool: only}]}]\n", unused(t))
	g.finished.quiet.Store(true)
	c := g.dial()
	cc := g.clientConns()[0]
	most := 0
	for range 5000 {
		c.burst = new(bytes.Buffer)
		for range 200 {
			c.request(callOf("/nowhere/m"), true)
		}
		clear(c.streams)
		if _, err := c.conn.Write(c.burst.Bytes()); err != nil {
			break
		}
		cc.mu.Lock()
		most = max(most, cc.backlog())
		cc.mu.Unlock()
	}
	eventually(t, "the connection is cut", func() bool { return g.server.Open() == 0 })
	if most > fatalBacklog+readSize {
		t.Errorf("%d bytes were held", most)
	}
}

// TestInterimResponsesWithoutEnd has an endpoint send interim responses to a client that reads nothing.
func TestInterimResponsesWithoutEnd(t *testing.T) {
	e, g, c := start(t, simple)
	s := warm(c, e)
	r := c.request(getOf("/x"), true)
	q := s.takeWhole()
	hint := list(":status", "103", "link", string(bytes.Repeat([]byte{'a'}, 1000)))
	s.atOnce(func() {
		for range 20_000 {
			s.headers(q, hint, false)
		}
	})
	s.sync()
	cc := g.clientConns()[0]
	cc.mu.Lock()
	held := cc.backlog()
	cc.mu.Unlock()
	if held > maxBacklog+8<<10 {
		t.Errorf("%d bytes are held", held)
	}
	s.respond(q, "200", "ok")
	c.wantAnswer(r, "200", "ok")
}

func TestBreachesOfTheProtocol(t *testing.T) {
	raw := func(kind frameKind, flags uint8, id uint32, payload string) string {
		return string(appendFrameHeader(nil, len(payload), kind, flags, id)) + payload
	}
	for name, test := range map[string]struct {
		sent string // after the SETTINGS of both
		code errCode
	}{
		"a frame that is too long":      {string(appendFrameHeader(nil, maxFrame+1, frameData, 0, 1)), errFrameSize},
		"a stream of the server's":      {raw(frameHeaders, flagEndHeaders, 2, "\x82"), errProtocol},
		"HEADERS on stream 0":           {raw(frameHeaders, flagEndHeaders, 0, "\x82"), errProtocol},
		"DATA on stream 0":              {raw(frameData, 0, 0, "x"), errProtocol},
		"DATA on an idle stream":        {raw(frameData, 0, 99, "x"), errProtocol},
		"RST_STREAM on an idle stream":  {raw(frameReset, 0, 99, "\x00\x00\x00\x08"), errProtocol},
		"CONTINUATION of nothing":       {raw(frameContinuation, flagEndHeaders, 1, "\x82"), errProtocol},
		"PUSH_PROMISE":                  {raw(framePush, flagEndHeaders, 1, "\x00\x00\x00\x02\x82"), errProtocol},
		"a block cut by another frame":  {raw(frameHeaders, 0, 1, "\x82") + raw(framePing, 0, 0, "12345678"), errProtocol},
		"a block that is no HPACK":      {raw(frameHeaders, flagEndHeaders, 1, "\xff\xff\xff\xff\xff\xff\xff"), errCompression},
		"a block that ends in a field":  {raw(frameHeaders, flagEndHeaders, 1, "\x40\x05ab"), errCompression},
		"padding beyond the frame":      {raw(frameHeaders, flagEndHeaders|flagPadded, 1, "\x05\x82"), errProtocol},
		"PING of 7 bytes":               {raw(framePing, 0, 0, "1234567"), errFrameSize},
		"SETTINGS of 5 bytes":           {raw(frameSettings, 0, 0, "12345"), errFrameSize},
		"SETTINGS of many parameters":   {raw(frameSettings, 0, 0, string(bytes.Repeat([]byte("\xff\x00\x00\x00\x00\x00"), 65))), errEnhanceCalm},
		"GOAWAY on a stream":            {raw(frameGoAway, 0, 1, "12345678"), errProtocol},
		"WINDOW_UPDATE of 3 bytes":      {raw(frameWindowUpdate, 0, 0, "123"), errFrameSize},
		"a stream that needs itself":    {raw(framePriority, 0, 1, "\x00\x00\x00\x01\x00"), errProtocol},
		"HEADERS that need themselves":  {raw(frameHeaders, flagEndHeaders|flagPriority, 1, "\x00\x00\x00\x01\x00\x82"), errProtocol},
		"HEADERS with half a priority":  {raw(frameHeaders, flagEndHeaders|flagPriority, 1, "\x00\x00"), errFrameSize},
		"SETTINGS, pushes of 2":         {raw(frameSettings, 0, 0, "\x00\x02\x00\x00\x00\x02"), errProtocol},
		"RST_STREAM of 5 bytes":         {raw(frameReset, 0, 1, "12345"), errFrameSize},
		"SETTINGS' answer with content": {raw(frameSettings, flagAck, 0, "\x00\x02\x00\x00\x00\x00"), errFrameSize},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, c := start(t, simple)
			c.send(test.sent)
			c.wantGoAway(test.code)
			if len(c.goAways) == 1 && c.goAways[0].debug == "" {
				t.Error("GOAWAY does not say why")
			}
		})
	}
	t.Run("no preface", func(t *testing.T) {
		_, g, _ := start(t, simple)
		c := g.dialRaw()
		c.send("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")
		c.wantGoAway(errProtocol)
	})
	t.Run("no SETTINGS", func(t *testing.T) {
		_, g, _ := start(t, simple)
		c := g.dialRaw()
		c.send(preface + raw(framePing, 0, 0, "12345678"))
		c.wantGoAway(errProtocol)
	})
}

// TestBreachesByAnEndpoint has an endpoint break the protocol amid a call.
func TestBreachesByAnEndpoint(t *testing.T) {
	raw := func(kind frameKind, flags uint8, id uint32, payload string) string {
		return string(appendFrameHeader(nil, len(payload), kind, flags, id)) + payload
	}
	for name, sent := range map[string]string{
		"HEADERS on an idle stream":    raw(frameHeaders, flagEndHeaders, 99, "\x88"),
		"HEADERS on an even stream":    raw(frameHeaders, flagEndHeaders, 2, "\x88"),
		"DATA on an idle stream":       raw(frameData, 0, 99, "x"),
		"RST_STREAM on an idle stream": raw(frameReset, 0, 99, "\x00\x00\x00\x08"),
		"PUSH_PROMISE":                 raw(framePush, flagEndHeaders, 3, "\x00\x00\x00\x02\x82"),
		"SETTINGS that turn on pushes": raw(frameSettings, 0, 0, "\x00\x02\x00\x00\x00\x01"),
		"a block that is no HPACK":     raw(frameHeaders, flagEndHeaders, 3, "\xff\xff\xff\xff\xff\xff\xff"),
		"no frames":                    "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			e, g, c := start(t, simple)
			s := warm(c, e)
			r := c.request(callOf("/s/m"), false)
			s.take()
			s.send(sent)
			c.wantStatus(r, "14")
			s.gone()
			if len(s.goAways) != 1 || s.goAways[0].code == errNone || s.goAways[0].debug == "" {
				t.Errorf("GOAWAY came as %v", s.goAways)
			}
			g.await(2)
			r = c.request(callOf("/s/m"), true)
			s = e.accept()
			s.answerCall(s.takeWhole())
			c.wantStatus(r, "0")
		})
	}
}
