package http2

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/socket"
)

// clientWindow is the window of a client's connection in bytes: what is held of all its streams at most, if endpoints take nothing.
const clientWindow = 16 << 20

// clientConn is the connection of one client.
type clientConn struct {
	conn
	remote     netip.Addr
	remoteText string
	opts       *settings // as they were when the connection began; streams have their own

	// The reader's own.
	resets allowance
	newest atomic.Uint32 // the highest stream that the client opened

	idleSince atomic.Int64 // since when no stream is open; 0 while one is

	// Guarded by mu.
	streams map[uint32]*stream
	free    []*stream
	cut     []uint32 // streams that were ended before their client had: what still comes on them is no error
	cuts    int
	leaving leaving
}

// leaving is how far the connection's graceful end is (RFC 9113, section 6.8).
type leaving uint8

const (
	staying    leaving = iota
	announced          // the client was told to open no more streams; those that it had opened by then are served
	lastCalled         // the client knows the last stream that is served
)

func newClientConn(s *Server, nc net.Conn, sock *socket.Conn) *clientConn {
	c := &clientConn{opts: s.settings.Load(), streams: make(map[uint32]*stream)}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.remote = a.AddrPort().Addr().Unmap()
		c.remoteText = c.remote.String()
	}
	limits := &c.opts.Limits
	c.resets = newAllowance(resetBurst, resetsPerSecond)
	c.idleSince.Store(dispatch.Now())
	c.prefaceLeft = preface
	c.init(s, c, nc, sock, greeting{settings: []setting{
		{settingMaxStreams, uint32(maxStreams(limits))},
		{settingWindow, streamWindow},
		{settingMaxList, uint32(limits.HeaderBytes)},
	}, window: clientWindow}, limits.HeaderBytes)
	return c
}

// maxStreams is how many streams a client may have open at once.
func maxStreams(l *config.Limits) int { return l.Streams }

// serveClient serves the connection to its end.
func (c *clientConn) serveClient() {
	var err error
	if err = c.watchPeer(); err == nil {
		c.midway.Store(dispatch.Now()) // until the preface is there
		err = c.serve()
	}
	c.hangUp(err)
	c.srv.watcher.Forget(c.watch)
	c.srv.forget(c)
	c.nc.Close()
}

// hangUp ends every stream, and tells the client why if the fault was its own.
func (c *clientConn) hangUp(err error) {
	b := &c.batch
	c.mu.Lock()
	open := make([]*stream, 0, len(c.streams))
	for _, s := range c.streams {
		open = append(open, s)
	}
	c.mu.Unlock()
	for _, s := range open {
		s.left(b)
	}
	var fault *connError
	if errors.As(err, &fault) {
		c.mu.Lock()
		if !c.dead {
			o := c.buffer()
			o.b = appendGoAway(o.b, c.newest.Load(), fault.code, fault.reason)
		}
		c.mu.Unlock()
		c.lastWords(b)
	}
	b.flush()
	c.mu.Lock()
	c.dead = true
	c.resume(b)
	b.flush()
}

func (c *clientConn) isServer() bool { return false }
func (c *clientConn) limited(uint32) {} // nothing is pushed to clients
func (c *clientConn) settingsDone()  {}

func (c *clientConn) known(id uint32) bool { return id <= c.newest.Load() && id&1 == 1 }

// stream returns an open stream, nil if there is none of that number.
func (c *clientConn) stream(id uint32) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[id]
}

// wasCut reports whether a stream was reset lately.
func (c *clientConn) wasCut(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cut := range c.cut {
		if cut == id {
			return true
		}
	}
	return false
}

// resetStream resets a stream that is not, or no more, in c.streams.
func (c *clientConn) resetStream(b *batch, id uint32, code errCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil {
		c.cut = make([]uint32, maxStreams(&c.opts.Limits))
	}
	c.cut[c.cuts%len(c.cut)] = id
	c.cuts++
	if c.dead {
		return
	}
	o := c.buffer()
	o.b = appendReset(o.b, id, code)
	c.touch(b)
}

// misused resets a stream for what the client did on it, which is bounded like the resets that the client asks for.
func (c *clientConn) misused(b *batch, id uint32, code errCode) error {
	c.resetStream(b, id, code)
	return c.countReset()
}

func (c *clientConn) countReset() error {
	if !c.resets.spend(0) {
		return connErrorf(errEnhanceCalm, "too many streams were reset before they were answered")
	}
	return nil
}

// data handles DATA.
func (c *clientConn) data(b *batch, id uint32, p []byte, size int, end bool) error {
	if !c.known(id) {
		return connErrorf(errProtocol, "DATA came on stream %d, which is not open", id)
	}
	if s := c.stream(id); s != nil {
		if open, err := s.requestData(b, id, p, size, end); open {
			return err
		}
	}
	c.refuseData(b, size)
	if c.wasCut(id) {
		return nil
	}
	return c.misused(b, id, errStreamClosed)
}

// reset handles RST_STREAM: the client cancels.
func (c *clientConn) reset(b *batch, id uint32, code errCode) error {
	s := c.stream(id)
	if s == nil {
		return nil
	}
	s.cancelled(b, id)
	return c.countReset()
}

// window handles WINDOW_UPDATE.
func (c *clientConn) window(b *batch, id uint32, n int64) error {
	s := c.stream(id)
	if s == nil {
		return nil
	}
	if n == 0 {
		s.misuse(b, id, errProtocol)
		return c.countReset()
	}
	if !s.widen(b, id, n) {
		s.misuse(b, id, errFlowControl)
		return c.countReset()
	}
	return nil
}

// resized handles a change of SETTINGS_INITIAL_WINDOW_SIZE, which holds for open streams too.
func (c *clientConn) resized(b *batch, delta int64) error {
	c.mu.Lock()
	c.firstWindow += delta // with the lock held, as a stream that is opened from then on begins with it
	open := make(map[uint32]*stream, len(c.streams))
	for id, s := range c.streams {
		open[id] = s
	}
	c.mu.Unlock()
	for id, s := range open {
		if !s.widen(b, id, delta) {
			return connErrorf(errFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes the window of stream %d larger than one can be", id)
		}
	}
	return nil
}

// goAway notes that the client opens no more streams; those that are open go on.
func (c *clientConn) goAway(*batch, uint32, errCode) {}

// attach makes a stream known. It reports false if the client has too many, or may open no more.
func (c *clientConn) attach(s *stream, id uint32, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.streams) >= most || c.leaving == lastCalled || c.dead {
		return false
	}
	c.streams[id] = s
	c.idleSince.Store(0)
	return true
}

// detach forgets a stream that is over.
func (c *clientConn) detach(b *batch, id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, id)
	if len(c.streams) > 0 {
		return
	}
	c.idleSince.Store(dispatch.Now())
	if c.leaving == lastCalled {
		c.closeAfterOutput(b)
	}
}
