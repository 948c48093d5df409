package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// Windows that the backend and the generator grant, in bytes. They are so large that neither ever holds a proxy back.
const (
	streamWindow = 1 << 20
	connWindow   = 1 << 24
)

// mostStreams is how many streams the backend takes at once on one connection. It is above what the load has at once, so that a proxy
// may send all of it over one connection.
const mostStreams = 128

var errStreams = fmt.Errorf("more than the allowed %d streams were begun at once", mostStreams)

// h2conn is one end of an HTTP/2 connection (RFC 9113) without its socket: what comes is fed in, and what is to be written gathers in
// out. It does what both ends have in common: framing, header compression, flow control, settings and pings.
type h2conn struct {
	owner   h2owner
	out     []byte
	streams map[uint32]*h2stream
	spare   []*h2stream
	lastID  uint32 // the highest stream that the client has begun
	headers *headerEncoder
	decoder *headerDecoder

	sending    []*h2stream // streams with bytes left to send, the one that has waited longest first
	sendWindow int         // what the peer takes on the connection
	newWindow  int         // what the peer takes on a new stream
	widened    bool        // a window has grown since sending was last tried
	receiving  credit
	grant      int // window of each stream that the peer sends on

	preface string // what of the client's preface is still to come
	partial uint32 // stream of a header block whose end is still to come; 0 for none
	block   []byte // that block so far
	ends    bool   // it ends its stream
}

// h2owner is the client or server that an h2conn is the connection of. An error gives the connection up.
type h2owner interface {
	// begun is a new stream of the peer's.
	begun(*h2stream) error
	// gotHeaders is a stream's header section or trailers.
	gotHeaders(s *h2stream, fields []hpack.HeaderField, end bool) error
	// gotData is a piece of a stream's body.
	gotData(s *h2stream, b []byte, end bool) error
	// gotReset is the end of a stream by RST_STREAM.
	gotReset(s *h2stream, code uint32) error
	// gotGoAway says that no stream above last is or will be looked at.
	gotGoAway(last, code uint32) error
}

// newH2conn returns one end of a new connection, with a window for each stream; out holds what it has to say first.
func newH2conn(owner h2owner, client bool, grant int) *h2conn {
	c := &h2conn{
		owner: owner, streams: map[uint32]*h2stream{}, headers: newHeaderEncoder(), decoder: newHeaderDecoder(),
		sendWindow: defaultWindow, newWindow: defaultWindow, receiving: credit{window: connWindow}, grant: grant,
	}
	settings := appendSetting(nil, settingInitialWindow, uint32(grant))
	if client {
		c.out = append(c.out, clientPreface...)
		settings = appendSetting(settings, settingEnablePush, 0)
	} else {
		c.preface = clientPreface
		settings = appendSetting(settings, settingMaxStreams, mostStreams)
	}
	c.out = appendFrame(c.out, frameSettings, 0, 0, settings)
	c.out = appendWindowUpdate(c.out, 0, connWindow-defaultWindow)
	return c
}

// feed takes what has come and returns how much of it was used; the rest is a frame that has not come as a whole.
func (c *h2conn) feed(b []byte) (used int, err error) {
	if c.preface != "" {
		n := min(len(c.preface), len(b))
		if string(b[:n]) != c.preface[:n] {
			return 0, fmt.Errorf("the connection began with %q and not with HTTP/2's preface", b[:n])
		}
		c.preface, used = c.preface[n:], n
	}
	for {
		f, ok, err := cutFrame(b[used:])
		if err != nil || !ok {
			return used, err
		}
		if err := c.got(f); err != nil {
			return used, err
		}
		used += frameHeadSize + len(f.payload)
	}
}

func (c *h2conn) got(f frame) error {
	if c.partial != 0 && (f.kind != frameContinuation || f.id != c.partial) {
		return fmt.Errorf("a frame of type %d came within the header block of stream %d", f.kind, c.partial)
	}
	switch f.kind {
	case frameData:
		return c.gotData(f)
	case frameHeaders, frameContinuation:
		return c.gotHeaders(f)
	case frameReset:
		code, err := f.number()
		if s := c.streams[f.id]; err == nil && s != nil {
			return c.owner.gotReset(s, code)
		}
		return err
	case frameSettings:
		return c.gotSettings(f)
	case framePing:
		if !f.has(flagAck) {
			c.out = appendFrame(c.out, framePing, flagAck, 0, f.payload)
		}
	case frameGoAway:
		if len(f.payload) < 8 {
			return f.malformed()
		}
		return c.owner.gotGoAway(binary.BigEndian.Uint32(f.payload)&maxWindow, binary.BigEndian.Uint32(f.payload[4:]))
	case frameWindowUpdate:
		return c.gotWindowUpdate(f)
	case framePushPromise:
		return errors.New("a PUSH_PROMISE came, which was not allowed")
	}
	return nil
}

// headerBlock is the block that a HEADERS or CONTINUATION frame completes; nil while there is more to come.
func (c *h2conn) headerBlock(f frame) ([]byte, error) {
	part := f.payload
	if f.kind == frameHeaders {
		var err error
		if part, err = f.content(); err != nil {
			return nil, err
		}
		c.ends, c.block = f.has(flagEndStream), c.block[:0]
		if f.has(flagEndHeaders) {
			return part, nil
		}
	} else if c.partial == 0 {
		return nil, f.malformed()
	}
	c.block, c.partial = append(c.block, part...), f.id
	if len(c.block) > maxFrame {
		return nil, fmt.Errorf("the header block of stream %d is longer than %d bytes", f.id, maxFrame)
	}
	if !f.has(flagEndHeaders) {
		return nil, nil
	}
	c.partial = 0
	return c.block, nil
}

func (c *h2conn) gotHeaders(f frame) error {
	block, err := c.headerBlock(f)
	if err != nil || block == nil {
		return err
	}
	fields, err := c.decoder.decode(block)
	if err != nil {
		return err
	}
	s := c.streams[f.id]
	if s == nil {
		if f.id <= c.lastID {
			return nil // it was sent before the peer knew of the stream's end
		}
		if f.id%2 == 0 {
			return fmt.Errorf("a client began stream %d, which has an even number", f.id)
		}
		s = c.begin(f.id)
		if err := c.owner.begun(s); err != nil {
			return err
		}
	}
	if s.over {
		return s.afterEnd()
	}
	s.over = c.ends
	return c.owner.gotHeaders(s, fields, c.ends)
}

func (c *h2conn) gotData(f frame) error {
	if back := c.receiving.take(len(f.payload)); back > 0 {
		c.out = appendWindowUpdate(c.out, 0, back)
	}
	body, err := f.content()
	if err != nil {
		return err
	}
	s := c.streams[f.id]
	if s == nil {
		if f.id > c.lastID {
			return fmt.Errorf("data came on stream %d, which nobody began", f.id)
		}
		return nil
	}
	if s.over {
		return s.afterEnd()
	}
	s.over = f.has(flagEndStream)
	if back := s.receiving.take(len(f.payload)); back > 0 && !s.over {
		c.out = appendWindowUpdate(c.out, s.id, back)
	}
	return c.owner.gotData(s, body, s.over)
}

func (c *h2conn) gotSettings(f frame) error {
	if f.has(flagAck) {
		return nil
	}
	if len(f.payload)%settingSize != 0 {
		return f.malformed()
	}
	for b := f.payload; len(b) > 0; b = b[settingSize:] {
		value := binary.BigEndian.Uint32(b[2:])
		switch binary.BigEndian.Uint16(b) {
		case settingHeaderTableSize:
			c.headers.limit(value)
		case settingInitialWindow:
			if value > maxWindow {
				return f.malformed()
			}
			// The difference counts for streams that are open, too (RFC 9113 section 6.9.2).
			for _, s := range c.streams {
				s.window += int(value) - c.newWindow
			}
			c.newWindow, c.widened = int(value), true
		}
	}
	c.out = appendFrame(c.out, frameSettings, flagAck, 0, nil)
	return nil
}

func (c *h2conn) gotWindowUpdate(f frame) error {
	increment, err := f.number()
	if err != nil {
		return err
	}
	n := int(increment & maxWindow)
	if s := c.streams[f.id]; s != nil {
		s.window += n
	} else if f.id == 0 {
		c.sendWindow += n
	}
	c.widened = true
	return nil
}
