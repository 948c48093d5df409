package main

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
)

// httpClient is a connection of HTTP/1.1, which has one request at a time.
type httpClient struct {
	g       *generator
	fd      int
	slot    slot
	done    [1]*slot
	request []byte
	in      []byte
	held    int  // bytes in in
	streams bool // answers are event streams
	inBody  bool // the head of a stream was read
	decoder eventDecoder
	want    int // events that the stream must have
}

// addHTTP adds an HTTP/1.1 connection whose requests carry the plan.
func (g *generator) addHTTP(fd int, p plan) []*slot {
	size := 16 << 10
	if p.Kind == kindHold {
		size = 1 << 10
	}
	c := &httpClient{g: g, fd: fd, request: p.request(), in: make([]byte, size), streams: p.Kind != kindJSON, want: p.Events}
	c.slot.conn = c
	c.done[0] = &c.slot
	g.conns = append(g.conns, c)
	return c.done[:]
}

var errShortWrite = errors.New("the socket did not take a whole request")

// send implements conn.
func (c *httpClient) send(s *slot) {
	n, errno := writeSocket(c.fd, c.request)
	if errno != 0 {
		c.fail(fmt.Errorf("cannot send a request: %w", errno))
		return
	}
	if n < len(c.request) {
		c.fail(errShortWrite)
		return
	}
	c.g.asked(s)
}

// receive implements conn.
func (c *httpClient) receive(at int64) []*slot {
	if c.streams && !c.readStream(at) || !c.streams && !c.readReply() {
		return nil
	}
	c.held = 0
	c.g.answered(&c.slot)
	c.g.requests++
	return c.done[:]
}

// fail implements conn.
func (c *httpClient) fail(err error) {
	c.g.result.fail(err)
	c.g.answered(&c.slot)
	c.close()
}

// close implements conn.
func (c *httpClient) close() {
	if c.fd >= 0 {
		closeReset(c.fd)
		c.fd = -1
	}
}

var (
	errClosed     = errors.New("the proxy closed the connection")
	errUnasked    = errors.New("the proxy sent bytes without a request")
	errLongHead   = errors.New("the head of a response is larger than the buffer")
	errWrongReply = errors.New("the body of a response differs from what the backend sent")
)

// read reads once and returns the new bytes; none where nothing has come or the connection failed.
func (c *httpClient) read() []byte {
	if c.fd < 0 {
		return nil
	}
	n, errno := readSocket(c.fd, c.in[c.held:])
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return nil
	case errno != 0:
		c.fail(fmt.Errorf("cannot read a response: %w", errno))
		return nil
	case n == 0:
		c.fail(errClosed)
		return nil
	case !c.slot.waiting:
		c.fail(errUnasked)
		return nil
	}
	c.held += n
	return c.in[c.held-n : c.held]
}

// head checks a response's head and returns where its body starts; 0 while the head is not complete.
func (c *httpClient) head() int {
	got := c.in[:c.held]
	end := bytes.Index(got, headEnd)
	if end < 0 {
		if c.held == len(c.in) {
			c.fail(errLongHead)
		}
		return 0
	}
	if !bytes.HasPrefix(got, statusOKStart) {
		line, _, _ := bytes.Cut(got, []byte("\r\n"))
		c.fail(fmt.Errorf("the proxy answered %q", line))
		return 0
	}
	return end + len(headEnd)
}

// readReply reads a JSON response and reports whether it is complete.
func (c *httpClient) readReply() bool {
	if c.read() == nil {
		return false
	}
	start := c.head()
	if start == 0 || c.held < start+replySize {
		return false
	}
	if !bytes.Equal(c.in[start:c.held], jsonReplyBody) {
		c.fail(errWrongReply)
		return false
	}
	return true
}

// readStream takes what has come of a stream and reports whether that was its end.
func (c *httpClient) readStream(at int64) bool {
	got := c.read()
	if got == nil {
		return false
	}
	if !c.inBody {
		start := c.head()
		if start == 0 {
			return false
		}
		c.inBody = true
		got = c.in[start:c.held]
	}
	c.held = 0
	before := c.decoder.events
	if err := c.decoder.feed(got, at, c.g.samples); err != nil {
		c.fail(err)
		return false
	}
	c.g.events += int64(c.decoder.events - before)
	if !c.decoder.done {
		return false
	}
	if c.decoder.events != c.want {
		c.fail(fmt.Errorf("a stream ended after %d of %d events", c.decoder.events, c.want))
		return false
	}
	c.decoder, c.inBody = eventDecoder{}, false
	return true
}
