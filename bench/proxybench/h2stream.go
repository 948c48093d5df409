package main

import (
	"bytes"
	"fmt"
	"slices"
)

// h2stream is one call.
type h2stream struct {
	id     uint32
	call   *rpc
	slot   *slot // where the generator made the call
	headed bool  // its header section has come
	over   bool  // the peer's half has ended

	body      []byte      // what is still to be sent
	step      int         // bytes of body in one turn
	each      bool        // every step is written by itself
	trailers  *headerList // what follows the body; without them the body's last frame ends the stream
	window    int         // what the peer takes on the stream
	want      []byte      // what is still to come
	receiving credit
}

// credit is flow control for what one end receives (RFC 9113 section 5.2). As whatever comes is taken at once, a peer cannot be seen to
// send more than it may.
type credit struct {
	window int
	owed   int // what was taken and not yet given back
}

// take counts bytes that came, and returns how many are to be given back now; it waits until that is half of the window.
func (c *credit) take(n int) int {
	if c.owed += n; c.owed < c.window/2 {
		return 0
	}
	back := c.owed
	c.owed = 0
	return back
}

// begin adds a stream.
func (c *h2conn) begin(id uint32) *h2stream {
	s := &h2stream{}
	if n := len(c.spare); n > 0 {
		s, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	*s = h2stream{id: id, window: c.newWindow, receiving: credit{window: c.grant}}
	c.streams[id], c.lastID = s, id
	return s
}

// end forgets a stream.
func (c *h2conn) end(s *h2stream) {
	delete(c.streams, s.id)
	if i := slices.Index(c.sending, s); i >= 0 {
		c.sending = slices.Delete(c.sending, i, i+1)
	}
	c.spare = append(c.spare, s)
}

// expect compares a piece of a body with what is to come.
func (s *h2stream) expect(b []byte) bool {
	if !bytes.HasPrefix(s.want, b) {
		return false
	}
	s.want = s.want[len(b):]
	return true
}

func (s *h2stream) afterEnd() error {
	return fmt.Errorf("a frame came on stream %d after its end", s.id)
}
