package main

import (
	"bytes"
	"container/heap"
	"slices"
	"syscall"
	"time"
)

// httpServer answers HTTP/1.1.
type httpServer struct {
	backend *backend
	paced   dueHeap
	bursts  []*replica
	chunk   []byte // an event chunk to be stamped
}

// replica is an HTTP/1.1 connection.
type replica struct {
	server   *httpServer
	fd       int
	in       []byte
	held     int    // bytes in in
	out      []byte // rest of a write that the socket did not take
	plan     plan
	left     int   // events still to be written; the last chunk follows them
	owed     int   // paced events whose time has come
	due      int64 // time of the next paced event
	stream   bool
	blocked  bool // waits until the socket takes bytes again
	isClosed bool
}

func newHTTPServer(b *backend) *httpServer {
	return &httpServer{backend: b, chunk: slices.Clone(eventChunk)}
}

// accepted implements server.
func (h *httpServer) accepted(fd int) peer {
	return &replica{server: h, fd: fd, in: make([]byte, 4096)}
}

// patience implements server.
func (h *httpServer) patience() time.Duration {
	for _, c := range h.bursts {
		if !c.blocked {
			return 0
		}
	}
	if len(h.paced) > 0 {
		return time.Duration(h.paced[0].due - now())
	}
	return time.Hour
}

// work implements server.
func (h *httpServer) work() {
	h.writePaced()
	h.writeBursts()
}

// ready implements peer.
func (c *replica) ready(events uint32) {
	if events&syscall.EPOLLOUT != 0 && c.blocked {
		c.blocked = false
		if c.server.backend.poll.watchWrites(c.fd, c.fd, false) != nil {
			c.drop()
			return
		}
		c.pump(min(c.owed, burstRun))
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 && !c.isClosed {
		c.read()
	}
}

func (c *replica) drop() {
	c.isClosed = true
	c.server.backend.drop(c.fd)
}

func (c *replica) read() {
	n, errno := readSocket(c.fd, c.in[c.held:])
	if errno == syscall.EAGAIN || errno == syscall.EINTR {
		return
	}
	if errno != 0 || n == 0 || c.stream {
		c.drop()
		return
	}
	c.held += n
	end := bytes.Index(c.in[:c.held], headEnd)
	if end < 0 || c.held < end+len(headEnd)+bodySize {
		if c.held == len(c.in) {
			c.refuse()
		}
		return
	}
	p, err := parsePlan(c.in[:end])
	if err != nil || !bytes.Equal(c.in[end+len(headEnd):c.held], p.body()) {
		c.refuse()
		return
	}
	c.held = 0
	c.answer(p)
}

// refuse answers a request that did not arrive as it was sent, which makes the whole measurement invalid.
func (c *replica) refuse() {
	_, _ = writeSocket(c.fd, badRequest)
	c.drop()
}

func (c *replica) answer(p plan) {
	if p.Kind == kindJSON {
		c.write(jsonReply)
		return
	}
	c.plan, c.stream, c.left, c.owed = p, true, p.Events, 0
	if !c.write(streamHead) {
		return
	}
	switch p.Kind {
	case kindPaced:
		c.due = firstDue(p, now())
		heap.Push(&c.server.paced, c)
	case kindBurst:
		c.owed = p.Events
		c.server.bursts = append(c.server.bursts, c)
	case kindHold:
		c.left++ // stays above what is owed, so that the stream never ends
		c.owed = p.Events
		c.pump(p.Events)
	}
}

// firstDue spreads the streams that share an interval evenly over it.
func firstDue(p plan, now int64) int64 {
	interval := int64(p.Interval) * 1000
	phase := interval * int64(p.Index) / int64(p.Streams)
	due := now - now%interval + phase
	for due <= now {
		due += interval
	}
	return due
}

func (h *httpServer) writePaced() {
	for len(h.paced) > 0 {
		c, at := h.paced[0], now()
		if c.isClosed {
			heap.Pop(&h.paced)
			continue
		}
		if c.due > at {
			return
		}
		c.owed++
		c.due += int64(c.plan.Interval) * 1000
		if c.owed == c.left {
			heap.Pop(&h.paced)
		} else {
			heap.Fix(&h.paced, 0)
		}
		c.pump(c.owed)
	}
}

// burstRun is how many events of one burst stream are written, each by its own write, before the next stream has its turn.
const burstRun = 100

// writeBursts writes a run of events to each burst stream, as far as the socket takes them.
func (h *httpServer) writeBursts() {
	going := h.bursts[:0]
	for _, c := range h.bursts {
		c.pump(burstRun)
		if c.stream && !c.isClosed {
			going = append(going, c)
		}
	}
	h.bursts = going
}

// pump writes up to most owed events, each by its own write, and the stream's end after the last.
func (c *replica) pump(most int) {
	if c.blocked || c.isClosed {
		return
	}
	if len(c.out) > 0 {
		rest := c.out
		c.out = nil
		if !c.write(rest) {
			return
		}
	}
	for range most {
		if c.owed == 0 {
			break
		}
		c.owed--
		c.left--
		chunk := eventChunk
		if c.plan.Kind == kindPaced {
			stamp(c.server.chunk, now())
			chunk = c.server.chunk
		}
		if !c.write(chunk) {
			return
		}
	}
	if c.left == 0 && c.stream {
		c.stream = false
		c.write(lastChunk)
	}
}

// write sends p, or keeps the rest for later and reports false.
func (c *replica) write(p []byte) bool {
	n, errno := writeSocket(c.fd, p)
	if errno != 0 {
		if errno != syscall.EAGAIN {
			c.drop()
			return false
		}
		n = 0
	}
	if n == len(p) {
		return true
	}
	c.out, c.blocked = slices.Clone(p[n:]), true
	if c.server.backend.poll.watchWrites(c.fd, c.fd, true) != nil {
		c.drop()
	}
	return false
}

// dueHeap is the paced streams by the time of their next event.
type dueHeap []*replica

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(*replica)) }

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
