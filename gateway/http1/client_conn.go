package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/penstock/penstock/gateway/connwatch"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/socket"
)

// clientConn is one client connection. One goroutine reads its requests and relays their responses; a second one runs only while a
// body is being uploaded or a tunnel is open. The watcher and the sweeper reach it through the atomic fields alone.
type clientConn struct {
	srv    *Server
	conn   net.Conn
	sock   *socket.Conn // the TCP connection beneath conn
	secure bool         // conn is TLS
	remote netip.Addr
	shard  uint32 // which shard of upstream pools this connection prefers
	watch  connwatch.Token

	gone         atomic.Bool                  // the client left, or is to be cut: no request may go on
	fin          atomic.Bool                  // the client sent FIN: short reads do not drain any more
	tunnelling   atomic.Bool                  // a FIN ends one direction only
	up           atomic.Pointer[upstreamConn] // the upstream of the present exchange; whoever swaps it out owns it
	cut          atomic.Uint32                // why up was taken away
	readCut      atomic.Uint32                // why the reader was woken
	phase        atomic.Uint32
	deadline     atomic.Int64
	bodyDeadline atomic.Int64                       // of the uploader's read
	sendDeadline atomic.Int64                       // of the uploader's write
	waiting      atomic.Pointer[context.CancelFunc] // ends the dial, or the Carry, that the present exchange waits for

	opts     *settings // as they were when the present request began
	times    *timeouts // of opts
	stepFn   func(fd uintptr) bool
	verdict  verdict
	in       *buffer // what was read from the client and not consumed
	unparsed bool    // in holds bytes that process has not seen
	drained  bool    // the last read emptied the socket
	sc       *scratch
	req      request
	resp     response
	upload   upload
	x        dispatch.Exchange
	keep     []byte // copies of what outlives the request's buffer (see slim)
	id       [32]byte
}

// verdict is what is to be done with a client connection next.
type verdict uint8

const (
	needMore verdict = iota // bytes are missing: wait for the client
	again                   // the request is done: look for the next one
	goOn                    // go on with the present request
	streamIt                // the body has to be streamed, outside of the poll
	lingerIt                // an answer was given before the request was read: let the client read it, then close
	hangUp                  // close the connection
	resetIt                 // close the connection with a reset: a clean end would be a lie
)

// cut says why an exchange was interrupted, or a reader woken.
type cut uint32

const (
	cutNone            cut = iota
	cutClient              // the client left
	cutServer              // the gateway is closing
	cutUpstreamTimeout     // the endpoint took too long
	cutWriteTimeout        // the client took no bytes for too long
	cutBodyTimeout         // the client paused in its body for too long
	cutBadBody             // the client's body is malformed
	cutBodyTooLarge        // the client's body is beyond the limit
	cutIdle                // the connection was idle for too long
	cutReadTimeout         // a request took too long to arrive
)

var shards atomic.Uint32

func newClientConn(s *Server, conn net.Conn, sock *socket.Conn, secure bool) *clientConn {
	c := &clientConn{srv: s, conn: conn, sock: sock, secure: secure, shard: shards.Add(1)}
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = a.AddrPort().Addr().Unmap()
	}
	c.stepFn = c.step
	return c
}

// serve reads requests until the connection ends.
func (c *clientConn) serve(initial []byte) {
	defer c.close()
	c.useSettings()
	var err error
	if cerr := c.sock.Control(func(fd uintptr) { c.watch, err = c.srv.watcher.Watch(fd, c) }); cerr != nil || err != nil {
		return // a client whose leaving goes unnoticed would waste GPU time
	}
	if len(initial) > 0 {
		c.in = getBuffer(len(initial))
		c.in.end = copy(c.in.b, initial)
		c.unparsed = true
	}
	c.arm(phaseIdle, dispatch.Now(), c.times.head)
	if c.srv.closing.Load() {
		c.closeIfIdle() // Drain may have come before the deadline was armed
	}
	for {
		v := c.poll()
		if v == streamIt {
			v = c.exchange(true)
		}
		switch v {
		case again:
			c.unparsed = c.pipelined()
			continue
		case lingerIt:
			c.linger()
		case resetIt:
			c.sock.Abort()
		}
		return
	}
}

func (c *clientConn) useSettings() {
	c.opts = c.srv.settings.Load()
	c.times = &c.opts.times
}

func (c *clientConn) close() {
	c.gone.Store(true)
	c.srv.watcher.Forget(c.watch)
	c.srv.forget(c)
	c.conn.Close()
	if c.in != nil {
		c.in.release()
		c.in = nil
	}
	c.dropScratch()
}

// poll reads and handles requests until something other than waiting for the client is to be done.
func (c *clientConn) poll() verdict {
	if c.secure {
		return c.pollSecure()
	}
	for {
		c.drained = false // an event from before the poll is forgotten, so the first step has to read
		err := c.sock.Poll(c.stepFn)
		if err == nil {
			return c.verdict
		}
		if !c.halfClosed(err) && !c.stillAsked(err) {
			return c.readEnded(err)
		}
	}
}

// stillAsked reads once more from a connection that is to be closed because it was idle: a request that arrived at that very moment
// is answered.
func (c *clientConn) stillAsked(err error) (yes bool) {
	if !errors.Is(err, os.ErrDeadlineExceeded) || cut(c.readCut.Load()) != cutIdle || !c.unwake() {
		return false
	}
	c.readCut.Store(uint32(cutNone))
	if phase(c.phase.Load()) != phaseIdle {
		return true // the sweeper looked just before a request began
	}
	room := c.room()
	c.sock.Control(func(fd uintptr) {
		if n, err := socket.TryRead(fd, room); err == nil {
			c.took(n)
			yes = true
		}
	})
	return yes
}

// halfClosed reports whether a read was only interrupted to say that the client half-closed and its last bytes are to be read.
func (c *clientConn) halfClosed(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && cut(c.readCut.Load()) == cutNone && c.fin.Load() && c.unwake()
}

// unwake takes back that the reader was woken. It reports false if the connection is to be left: then whoever says so has woken the
// reader, or will do so after unwake.
func (c *clientConn) unwake() bool {
	c.sock.Rest()
	return !c.gone.Load()
}

// read reads from the client, for those who do not poll.
func (c *clientConn) read(p []byte) (int, error) {
	for {
		var n int
		var err error
		if c.secure {
			n, err = c.conn.Read(p)
		} else {
			n, err = c.sock.Read(p)
		}
		if n > 0 || err == nil || !c.halfClosed(err) {
			return n, err
		}
	}
}

// step is called whenever the client may have sent something. See package socket for why it does not read until there is nothing.
func (c *clientConn) step(fd uintptr) bool {
	for {
		if v := c.look(); v != needMore {
			c.verdict = v
			return true
		}
		if c.drained && !c.fin.Load() {
			c.drained = false
			c.unload()
			return false
		}
		room := c.room()
		n, err := socket.TryRead(fd, room)
		if err == socket.ErrWouldBlock {
			c.unload()
			return false
		}
		if err != nil {
			c.verdict = c.readEnded(err)
			return true
		}
		c.took(n)
		c.drained = socket.ShortReadDrains && n < len(room)
	}
}

// pollSecure is poll for TLS, whose records hide how much is there.
func (c *clientConn) pollSecure() verdict {
	for {
		if v := c.look(); v != needMore {
			return v
		}
		n, err := c.read(c.room())
		if n == 0 && err != nil {
			return c.readEnded(err)
		}
		c.took(n)
	}
}

func (c *clientConn) took(n int) {
	c.in.end += n
	c.unparsed = true
	if c.req.stage == stageBody {
		c.arm(phaseBody, dispatch.Now(), c.times.body)
	}
}

// look handles the requests among the bytes that were read. It never returns again.
func (c *clientConn) look() verdict {
	for c.unparsed {
		c.unparsed = false
		switch v := c.request(); v {
		case again:
			c.unparsed = c.pipelined()
		case needMore:
		default:
			return v
		}
	}
	return needMore
}

// pipelined reports whether bytes of a next request are here. An empty buffer must not count: it would start the clock of a head.
func (c *clientConn) pipelined() bool { return c.in != nil && c.in.len() > 0 }

// unload gives back what is not needed while waiting for the client.
func (c *clientConn) unload() {
	if c.in != nil && c.in.len() > 0 {
		return
	}
	if c.in != nil {
		c.in.release()
		c.in = nil
	}
	c.dropScratch()
}

// room returns where to read into; there is always some.
func (c *clientConn) room() []byte {
	if c.in == nil {
		c.in = getBuffer(smallBuffer)
	}
	if len(c.in.free()) == 0 {
		c.grow(2 * c.in.len())
	}
	return c.in.free()
}

// grow makes c.in hold at least size bytes from its start on.
func (c *clientConn) grow(size int) {
	old := c.in
	if len(old.b)-old.start >= size && len(old.free()) > 0 {
		return
	}
	c.in = getBuffer(size)
	c.in.end = copy(c.in.b, old.bytes())
	if c.req.stage == stageBody {
		c.reparse() // the parsed head pointed into the old buffer
	}
	old.release()
}

func (c *clientConn) scratch() *scratch {
	if c.sc == nil {
		c.sc = scratches.Get().(*scratch)
	}
	return c.sc
}

func (c *clientConn) dropScratch() {
	if c.sc != nil {
		c.sc.release()
		c.sc = nil
	}
}

// readEnded says what the end of the client's bytes means. Bytes of a request that will not be completed are nobody's.
func (c *clientConn) readEnded(err error) verdict {
	switch {
	case cut(c.readCut.Load()) == cutReadTimeout && !c.gone.Load():
		c.sock.Rest()
		return c.answerUnread(replyRequestTimeout)
	case c.req.stage == stageBody:
		c.x.RequestBytes = int64(c.in.len() - c.req.headLen)
		c.x.Finish(dispatch.ClientGone)
		c.srv.active.Add(-1)
		c.req.stage = stageHead
	case err == io.EOF && c.in != nil && c.in.len() > 0 && c.opts.AllowHalfClose:
		return c.answerUnread(replyIncompleteHead)
	}
	return hangUp
}

// PeerGone is called by the watcher when the client has half-closed or reset the connection.
func (c *clientConn) PeerGone(reset bool) {
	c.fin.Store(true)
	if !reset && (c.tunnelling.Load() || c.srv.settings.Load().AllowHalfClose) {
		c.sock.WakeReader()
		return
	}
	c.leave(cutClient)
}

// leave ends whatever the connection is doing: it drops a queued request, aborts the upstream, and wakes the goroutine wherever
// it waits. It may be called from any goroutine.
func (c *clientConn) leave(why cut) {
	c.gone.Store(true)
	c.interrupt(why)
	c.x.Cancel()
	c.sock.Wake()
}

// interrupt ends what the present exchange waits for: it takes its upstream away and aborts it. It may be called from any goroutine.
func (c *clientConn) interrupt(why cut) {
	c.cut.CompareAndSwap(uint32(cutNone), uint32(why))
	if u := c.up.Swap(nil); u != nil {
		u.abort()
	}
	if cancel := c.waiting.Load(); cancel != nil {
		(*cancel)()
	}
}

// closeIfIdle closes the connection if it waits for a request.
func (c *clientConn) closeIfIdle() {
	if phase(c.phase.Load()) == phaseIdle {
		c.readCut.CompareAndSwap(uint32(cutNone), uint32(cutIdle))
		c.sock.WakeReader()
	}
}
