package http2

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/gateway/connwatch"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/socket"
)

const (
	// streamWindow is how much a peer may send on a stream before it gets credit back, in bytes: what is held of a stream at most.
	streamWindow = 256 << 10
	// maxBacklog is the output beyond which DATA is held back in its stream, in bytes.
	maxBacklog = 128 << 10
	// fatalBacklog is the output beyond which a connection is given up, in bytes: its peer makes work and does not read what comes of it.
	fatalBacklog = 4 << 20
)

// role is what a connection's peer is: a client or an endpoint. Its methods run on the reader's goroutine. An error is of type
// *connError and ends the connection.
type role interface {
	// headers handles a complete header block, whose fields are in conn.fields.
	headers(b *batch, id uint32, end, tooLarge bool) error
	// data handles DATA; size is the frame's payload with its padding, which is what counts against windows.
	data(b *batch, id uint32, p []byte, size int, end bool) error
	// reset handles RST_STREAM.
	reset(b *batch, id uint32, code errCode) error
	// window handles WINDOW_UPDATE of a stream; n is 0 where the peer sent 0.
	window(b *batch, id uint32, n int64) error
	// resized changes the peer's initial window by delta, and so what the streams may be sent that are open by then.
	resized(b *batch, delta int64) error
	// limited handles the peer's limit of streams.
	limited(streams uint32)
	// known says whether a stream has ever been opened; frames on others are errors.
	known(id uint32) bool
	// goAway handles GOAWAY.
	goAway(b *batch, last uint32, code errCode)
	// ponged handles the answer to a PING of ours.
	ponged(b *batch, data []byte)
	// settingsDone is called when SETTINGS of the peer were applied.
	settingsDone()
	// isServer says whether the peer is a server.
	isServer() bool
}

// conn is one HTTP/2 connection, as both roles share it.
type conn struct {
	srv    *Server
	role   role
	nc     net.Conn
	sock   *socket.Conn // the TCP connection beneath nc
	secure bool         // nc is TLS
	watch  connwatch.Token
	fin    atomic.Bool // the peer sent FIN: short reads do not drain any more
	// unusable says that the connection is dead, for those who do not hold the lock.
	unusable atomic.Bool
	// shutting says that the write side is closed: the peer is given time to read what was sent last.
	shutting atomic.Bool

	// The reader's own.
	in      *readBuffer
	readErr error
	stepFn  func(fd uintptr) bool
	batch   batch
	headerReader
	// prefaceLeft is what has to come of a client's preface.
	prefaceLeft string
	greeted     bool // the peer's first SETTINGS have come
	calm        allowance

	received atomic.Int64 // what the peer may still send on the connection, in bytes
	owed     atomic.Int64 // bytes that went on and that the peer has got no credit for
	heard    atomic.Int64 // when bytes last came, on dispatch.Now's scale
	asked    atomic.Int64 // when a PING that is not answered was sent; 0 is none
	stuck    atomic.Int64 // since when the peer takes nothing; 0 while it does
	midway   atomic.Int64 // since when the preface or a head is incomplete; 0 while none is

	mu          sync.Mutex
	out         *output
	flushing    bool // somebody is writing, or will
	dead        bool
	closing     bool          // the connection is to end once the output is written
	shut        chan struct{} // closed once it is, or never will be; nil if nobody waits for it
	sendWindow  int64
	firstWindow int64 // of each stream, as the peer's SETTINGS have it
	sentFrames  int64 // frames of DATA and headers that were sent
	attempted   int64 // bytes of output that were written, or that it was tried with
	headerWriter
	waiting []*lane // that have data to send and no room on this connection, in the order of their turns
}

// greeting is what is told to the peer first.
type greeting struct {
	preface  string
	settings []setting
	window   int64 // of the connection
}

func (c *conn) init(s *Server, r role, nc net.Conn, sock *socket.Conn, g greeting, maxList int) {
	_, secure := nc.(*tls.Conn)
	c.srv, c.role, c.nc, c.sock, c.secure = s, r, nc, sock, secure
	c.stepFn = c.step
	c.sendWindow, c.firstWindow = defaultWindow, defaultWindow
	c.received.Store(g.window)
	c.heard.Store(dispatch.Now())
	c.calm = newAllowance(controlBurst, controlsPerSecond)
	c.headerReader.init(maxList)
	c.headerWriter.init(c)
	c.out = outputs.Get().(*output)
	c.out.b = append(c.out.b, g.preface...)
	c.out.b = appendSettings(c.out.b, g.settings)
	c.out.b = appendWindowUpdate(c.out.b, 0, g.window-defaultWindow)
}

// serve reads until the connection ends, and returns why. The caller has registered it with the watcher.
func (c *conn) serve() error {
	b := &c.batch
	c.mu.Lock()
	c.touch(b)
	c.mu.Unlock()
	b.flush()
	if c.secure {
		c.readSecure()
	} else {
		c.read()
	}
	b.flush()
	if c.in != nil {
		c.in.release()
		c.in = nil
	}
	return c.readErr
}

func (c *conn) read() {
	for c.readErr == nil {
		err := c.sock.Poll(c.stepFn)
		if err == nil {
			return
		}
		if !c.wokenByWatcher(err) {
			c.readErr = err
			return
		}
	}
}

// step is called whenever the peer may have sent something. See package socket for why it does not read until there is nothing.
func (c *conn) step(fd uintptr) bool {
	for {
		if c.unusable.Load() {
			c.readErr = net.ErrClosed // a peer that sends without a pause must not keep a dead connection alive
			return true
		}
		room := c.room()
		n, err := socket.TryRead(fd, room)
		if err == socket.ErrWouldBlock {
			c.pause()
			return false
		}
		if err == nil {
			err = c.took(n)
		}
		if err != nil {
			c.readErr = err
			return true
		}
		if socket.ShortReadDrains && n < len(room) && !c.fin.Load() {
			c.pause()
			return false
		}
	}
}

func (c *conn) readSecure() {
	for {
		room := c.room()
		n, err := c.nc.Read(room)
		if n > 0 {
			if err := c.took(n); err != nil {
				c.readErr = err
				return
			}
		}
		if err != nil {
			if c.wokenByWatcher(err) {
				continue
			}
			c.readErr = err
			return
		}
	}
}

// room returns where to read into; there is always some.
func (c *conn) room() []byte {
	if c.in == nil {
		c.in = getReadBuffer()
	}
	c.in.compact()
	return c.in.free()
}

// pause gives the buffer back while nothing is in it.
func (c *conn) pause() {
	if c.in != nil && c.in.len() == 0 {
		c.in.release()
		c.in = nil
	}
}

// took handles the frames among the bytes that were read, and writes what follows from them.
func (c *conn) took(n int) error {
	c.in.end += n
	c.heard.Store(dispatch.Now())
	if c.shutting.Load() {
		c.sock.TCP().SetReadDeadline(time.Now().Add(lingerTime)) // it is still reading
	}
	err := c.frames()
	c.batch.flush()
	if !c.greeted || c.inBlock() || c.inHead() {
		c.midway.CompareAndSwap(0, c.heard.Load())
	} else if c.midway.Load() != 0 {
		c.midway.Store(0)
	}
	return err
}

// inHead reports whether what came ends within a frame that begins a head.
func (c *conn) inHead() bool {
	b := c.in.bytes()
	return len(b) > 3 && frameKind(b[3]) == frameHeaders
}

func (c *conn) frames() error {
	if c.prefaceLeft != "" {
		n := min(len(c.prefaceLeft), c.in.len())
		if string(c.in.bytes()[:n]) != c.prefaceLeft[:n] {
			return connErrorf(errProtocol, "the connection does not begin with HTTP/2's preface")
		}
		c.prefaceLeft = c.prefaceLeft[n:]
		c.in.consume(n)
	}
	for c.in.len() >= frameHeaderLen {
		b := c.in.bytes()
		h := parseFrameHeader(b)
		if h.length > maxFrame {
			return connErrorf(errFrameSize, "a frame of %d bytes is longer than the %d that are accepted", h.length, maxFrame)
		}
		if len(b) < frameHeaderLen+h.length {
			return nil
		}
		if err := c.frame(&h, b[frameHeaderLen:frameHeaderLen+h.length]); err != nil {
			return err
		}
		c.in.consume(frameHeaderLen + h.length)
	}
	return nil
}

// watchPeer registers the connection with the watcher.
func (c *conn) watchPeer() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	cerr := c.sock.Control(func(fd uintptr) { c.watch, err = c.srv.watcher.Watch(fd, c) })
	return errors.Join(cerr, err)
}

// PeerGone is called by the watcher when the peer has half-closed or reset the connection. Who half-closes can take no part in flow
// control, so both mean the same: the reader is to read to the end.
func (c *conn) PeerGone(bool) {
	c.fin.Store(true)
	c.sock.WakeReader()
}

// wokenByWatcher reports whether a read was only interrupted to say that the peer's end is near, up to which it is to go on.
func (c *conn) wokenByWatcher(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.closing {
		return false
	}
	c.sock.TCP().SetReadDeadline(time.Time{})
	return true
}

// kill cuts the connection with a reset. It may be called from any goroutine; the reader is woken and ends.
func (c *conn) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killLocked()
}

// killLocked is kill with the lock held.
func (c *conn) killLocked() {
	if c.dead {
		return
	}
	c.dead = true
	c.unusable.Store(true)
	c.srv.watcher.Forget(c.watch)
	go c.sock.Abort() // waits until the reader has left its step
}
