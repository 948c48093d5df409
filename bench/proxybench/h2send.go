package main

import "encoding/binary"

// sendHeaders appends a header section or trailers.
func (c *h2conn) sendHeaders(s *h2stream, list *headerList, end bool) {
	flags := byte(flagEndHeaders)
	if end {
		flags |= flagEndStream
	}
	c.out = appendFrame(c.out, frameHeaders, flags, s.id, c.headers.block(list))
}

// sendReset appends the end of a stream.
func (c *h2conn) sendReset(s *h2stream, code uint32) {
	c.out = binary.BigEndian.AppendUint32(appendFrameHead(c.out, 4, frameReset, 0, s.id), code)
}

// send starts sending a stream's body.
func (c *h2conn) send(s *h2stream) {
	c.sending = append(c.sending, s)
	c.widened = true
}

// canSend reports whether a turn would send anything.
func (c *h2conn) canSend() bool {
	if c.sendWindow <= 0 {
		return false
	}
	for _, s := range c.sending {
		if s.window > 0 {
			return true
		}
	}
	return false
}

// turn appends a step of each body that is being sent, as far as the windows allow. write is called after each step that is written by
// itself; false ends the turn.
func (c *h2conn) turn(write func() bool) {
	c.widened = false
	for range len(c.sending) {
		if c.sendWindow <= 0 {
			return
		}
		s := c.sending[0]
		before := len(s.body)
		// Who had a step goes to the end, so that the next turn begins with the next in line if this one ends early.
		c.sending = append(c.sending[:0], c.sending[1:]...)
		if !c.sendBody(s) {
			c.sending = append(c.sending, s)
		}
		if s.each && len(s.body) < before && !write() {
			return
		}
	}
}

// sendBody appends a step of a stream's body, and what ends the stream after the last. It reports whether that was all.
func (c *h2conn) sendBody(s *h2stream) bool {
	for left := s.step; left > 0 && len(s.body) > 0; {
		n := min(left, len(s.body), maxFrame, s.window, c.sendWindow)
		if n <= 0 {
			return false
		}
		flags := byte(0)
		if n == len(s.body) && s.trailers == nil {
			flags = flagEndStream
		}
		c.out = appendFrame(c.out, frameData, flags, s.id, s.body[:n])
		s.body = s.body[n:]
		left, s.window, c.sendWindow = left-n, s.window-n, c.sendWindow-n
	}
	if len(s.body) > 0 {
		return false
	}
	if s.trailers != nil {
		// The backend answers whole requests only, so this is the end of both directions.
		c.sendHeaders(s, s.trailers, true)
		c.end(s)
	}
	return true
}
