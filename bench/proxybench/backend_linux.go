package main

import (
	"bytes"
	"container/heap"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// backend is the model server behind the proxies: one thread that answers every request with bytes made beforehand.
type backend struct {
	poll      *epoll
	listeners []int
	addrs     []netip.AddrPort
	conns     []*replica // by file descriptor
	paced     dueHeap
	bursts    []*replica
	chunk     []byte // an event chunk to be stamped
	wakeRead  int
	wakeWrite int
}

// replica is the backend's end of one connection.
type replica struct {
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

// newBackend listens on the addresses.
func newBackend(addrs []netip.AddrPort) (*backend, error) {
	poll, err := newEpoll()
	if err != nil {
		return nil, err
	}
	b := &backend{poll: poll, chunk: slices.Clone(eventChunk)}
	for _, addr := range addrs {
		fd, got, err := listenSocket(addr)
		if err != nil {
			b.close()
			return nil, err
		}
		b.listeners, b.addrs = append(b.listeners, fd), append(b.addrs, got)
		if err := poll.add(fd, fd); err != nil {
			b.close()
			return nil, err
		}
	}
	var wake [2]int
	if err := syscall.Pipe2(wake[:], syscall.O_CLOEXEC); err != nil {
		b.close()
		return nil, fmt.Errorf("cannot open a pipe: %w", err)
	}
	b.wakeRead, b.wakeWrite = wake[0], wake[1]
	return b, poll.add(b.wakeRead, b.wakeRead)
}

// stop makes serve return; it may be called from any goroutine, once.
func (b *backend) stop() {
	syscall.Close(b.wakeWrite)
}

func (b *backend) close() {
	for _, fd := range b.listeners {
		syscall.Close(fd)
	}
	for _, c := range b.conns {
		if c != nil {
			syscall.Close(c.fd)
		}
	}
	if b.wakeRead > 0 {
		syscall.Close(b.wakeRead)
	}
	b.poll.close()
}

// serve answers requests until stop and then closes everything.
func (b *backend) serve() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	preciseTimers()
	defer b.close()
	for {
		events, err := b.poll.wait(b.patience())
		if err != nil {
			return err
		}
		for i := range events {
			fd := int(events[i].Fd)
			switch {
			case fd == b.wakeRead:
				return nil
			case slices.Contains(b.listeners, fd):
				b.accept(fd)
			default:
				b.ready(b.conns[fd], events[i].Events)
			}
		}
		b.writePaced()
		b.writeBursts()
	}
}

// patience is how long there is nothing to write.
func (b *backend) patience() time.Duration {
	for _, c := range b.bursts {
		if !c.blocked {
			return 0
		}
	}
	if len(b.paced) > 0 {
		return time.Duration(b.paced[0].due - now())
	}
	return time.Hour
}

func (b *backend) accept(listener int) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		if syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) != nil || b.poll.add(fd, fd) != nil {
			syscall.Close(fd)
			continue
		}
		for len(b.conns) <= fd {
			b.conns = append(b.conns, nil)
		}
		b.conns[fd] = &replica{fd: fd, in: make([]byte, 4096)}
	}
}

// ready handles the events of one connection. An event may be left over from a connection that an earlier one closed.
func (b *backend) ready(c *replica, events uint32) {
	if c == nil {
		return
	}
	if events&syscall.EPOLLOUT != 0 && c.blocked {
		c.blocked = false
		if b.poll.watchWrites(c.fd, c.fd, false) != nil {
			b.drop(c)
			return
		}
		b.pump(c, min(c.owed, burstRun))
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 && !c.isClosed {
		b.read(c)
	}
}

func (b *backend) drop(c *replica) {
	c.isClosed = true
	b.conns[c.fd] = nil
	syscall.Close(c.fd)
}

func (b *backend) read(c *replica) {
	n, errno := readSocket(c.fd, c.in[c.held:])
	if errno == syscall.EAGAIN || errno == syscall.EINTR {
		return
	}
	if errno != 0 || n == 0 || c.stream {
		b.drop(c)
		return
	}
	c.held += n
	end := bytes.Index(c.in[:c.held], headEnd)
	if end < 0 || c.held < end+len(headEnd)+bodySize {
		if c.held == len(c.in) {
			b.refuse(c)
		}
		return
	}
	p, err := parsePlan(c.in[:end])
	if err != nil || !bytes.Equal(c.in[end+len(headEnd):c.held], p.body()) {
		b.refuse(c)
		return
	}
	c.held = 0
	b.answer(c, p)
}

// refuse answers a request that did not arrive as it was sent, which makes the whole measurement invalid.
func (b *backend) refuse(c *replica) {
	_, _ = writeSocket(c.fd, badRequest)
	b.drop(c)
}

func (b *backend) answer(c *replica, p plan) {
	if p.Kind == kindJSON {
		b.write(c, jsonReply)
		return
	}
	c.plan, c.stream, c.left, c.owed = p, true, p.Events, 0
	if !b.write(c, streamHead) {
		return
	}
	switch p.Kind {
	case kindPaced:
		c.due = firstDue(p, now())
		heap.Push(&b.paced, c)
	case kindBurst:
		c.owed = p.Events
		b.bursts = append(b.bursts, c)
	case kindHold:
		c.left++ // stays above what is owed, so that the stream never ends
		c.owed = p.Events
		b.pump(c, p.Events)
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

func (b *backend) writePaced() {
	for len(b.paced) > 0 {
		c, at := b.paced[0], now()
		if c.isClosed {
			heap.Pop(&b.paced)
			continue
		}
		if c.due > at {
			return
		}
		c.owed++
		c.due += int64(c.plan.Interval) * 1000
		if c.owed == c.left {
			heap.Pop(&b.paced)
		} else {
			heap.Fix(&b.paced, 0)
		}
		b.pump(c, c.owed)
	}
}

// burstRun is how many events of one burst stream are written, each by its own write, before the next stream has its turn.
const burstRun = 100

// writeBursts writes a run of events to each burst stream, as far as the socket takes them.
func (b *backend) writeBursts() {
	going := b.bursts[:0]
	for _, c := range b.bursts {
		b.pump(c, burstRun)
		if c.stream && !c.isClosed {
			going = append(going, c)
		}
	}
	b.bursts = going
}

// pump writes up to most owed events, each by its own write, and the stream's end after the last.
func (b *backend) pump(c *replica, most int) {
	if c.blocked || c.isClosed {
		return
	}
	if len(c.out) > 0 {
		rest := c.out
		c.out = nil
		if !b.write(c, rest) {
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
			stamp(b.chunk, now())
			chunk = b.chunk
		}
		if !b.write(c, chunk) {
			return
		}
	}
	if c.left == 0 && c.stream {
		c.stream = false
		b.write(c, lastChunk)
	}
}

// write sends p, or keeps the rest for later and reports false.
func (b *backend) write(c *replica, p []byte) bool {
	n, errno := writeSocket(c.fd, p)
	if errno != 0 {
		if errno != syscall.EAGAIN {
			b.drop(c)
			return false
		}
		n = 0
	}
	if n == len(p) {
		return true
	}
	c.out, c.blocked = slices.Clone(p[n:]), true
	if b.poll.watchWrites(c.fd, c.fd, true) != nil {
		b.drop(c)
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
