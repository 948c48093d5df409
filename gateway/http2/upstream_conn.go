package http2

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/socket"
)

// upstreamConn is one connection to an endpoint.
type upstreamConn struct {
	conn
	up     *Upstream
	scheme string

	settled   chan struct{} // closed when the endpoint's first SETTINGS have come
	once      sync.Once     // closes settled
	over      chan struct{} // closed when the connection is read no more
	why       error         // it ended; set before over is closed
	idleSince atomic.Int64  // since when nobody has a place; 0 while somebody has

	// Guarded by the lock of up.
	taken  int64 // places that are taken, by streams or by who is about to open one
	opened int64 // places that were ever taken
	most   uint32
	full   bool // no more streams are opened
	// forgotten says that the connection has ended, which may be before the pool has heard of it.
	forgotten bool

	// Guarded by conn.mu.
	peers     map[uint32]peer
	next      uint32 // the number of the next stream
	departing bool   // it is to end with its last stream
	allowed   uint32 // streams at once, as the endpoint has it
	ending    bool   // it is read no more: its reader ends it
}

// peer is what has a stream of an endpoint's connection. Its methods run on the reader's goroutine, without locks; it checks that it still
// has the stream.
type peer interface {
	// response takes a header block. It keeps nothing of fields but the strings in it.
	response(b *batch, u *upstreamConn, id uint32, fields []hpack.HeaderField, end, tooLarge bool)
	// responseData takes DATA; false means that nobody wants it.
	responseData(b *batch, u *upstreamConn, id uint32, p []byte, size int, end bool) bool
	// endpointReset takes RST_STREAM.
	endpointReset(b *batch, u *upstreamConn, id uint32, code errCode)
	// lost is called when the endpoint does not answer any more; unbegun says that it has not begun the request.
	lost(b *batch, u *upstreamConn, id uint32, o dispatch.Outcome, unbegun bool, err error)
	// widenUp adds to what the endpoint takes; false means that this is more than a window can be.
	widenUp(b *batch, u *upstreamConn, id uint32, n int64) bool
	// begunAt is where in the connection's output the stream's head began.
	begunAt(u *upstreamConn, id uint32) int64
}

// firstStream is the number of a connection's first stream; tests begin later, to see the numbers run out.
var firstStream uint32 = 1

func newUpstreamConn(up *Upstream, nc net.Conn, sock *socket.Conn) *upstreamConn {
	u := &upstreamConn{up: up, scheme: "http", peers: make(map[uint32]peer), next: firstStream, most: unlimitedStreams, allowed: unlimitedStreams}
	if up.tls != nil {
		u.scheme = "https"
	}
	u.settled, u.over = make(chan struct{}), make(chan struct{})
	u.idleSince.Store(dispatch.Now())
	u.init(up.srv, u, nc, sock, greeting{preface: preface, settings: []setting{
		{settingEnablePush, 0},
		{settingWindow, streamWindow},
		{settingMaxList, maxUpstreamList},
	}, window: upstreamWindow}, maxUpstreamList)
	return u
}

// srvMaxOpened is how many streams the connection can open in its life: numbers are not used twice.
func (u *upstreamConn) srvMaxOpened() int64 { return int64(lastStream-firstStream)/2 + 1 }

// serveEndpoint reads the connection to its end.
func (u *upstreamConn) serveEndpoint() {
	err := u.serve()
	u.up.retire(u)
	b := &u.batch
	if errors.Is(err, io.EOF) {
		err = errors.New("the endpoint closed the connection")
	}
	u.loseAll(b, err)
	u.why = err
	close(u.over)
	u.explain(b, err)
	u.mu.Lock()
	u.dead = true
	u.resume(b)
	b.flush()
	u.srv.watcher.Forget(u.watch)
	u.nc.Close()
	u.up.forget(u)
}

// loseAll tells the streams of a connection that is read no more. Those whose head was not written can go elsewhere, so it must not be
// written later.
func (u *upstreamConn) loseAll(b *batch, err error) {
	u.mu.Lock()
	u.ending = true
	u.dropOutput()
	attempted := u.attempted
	left := make(map[uint32]peer, len(u.peers))
	for id, p := range u.peers {
		left[id] = p
	}
	u.mu.Unlock()
	for id, p := range left {
		if p.begunAt(u, id) >= attempted {
			p.lost(b, u, id, dispatch.ConnectFailed, true, err)
		} else {
			p.lost(b, u, id, dispatch.UpstreamReset, false, err)
		}
	}
	b.flush()
}

// explain tells the endpoint what it did wrong, if it was that.
func (u *upstreamConn) explain(b *batch, err error) {
	var fault *connError
	if errors.As(err, &fault) {
		u.send(b, func(dst []byte) []byte { return appendGoAway(dst, 0, fault.code, fault.reason) })
		u.lastWords(b)
	}
}

// mayOpen reports whether a stream may be opened for which there is a place: the endpoint may have changed its mind since the place was
// reserved. The lock is held.
func (u *upstreamConn) mayOpen() bool {
	return !u.dead && !u.departing && !u.ending && uint32(len(u.peers)) < u.allowed
}

// open gives p the next stream. The lock is held, and the place was reserved.
func (u *upstreamConn) open(p peer) (id uint32) {
	id = u.next
	u.next += 2
	u.peers[id] = p
	return id
}

// remove forgets a stream that is over.
func (u *upstreamConn) remove(b *batch, id uint32) {
	u.mu.Lock()
	delete(u.peers, id)
	if u.departing && len(u.peers) == 0 && !u.ending {
		u.closeAfterOutput(b)
	}
	u.mu.Unlock()
	u.up.release(u)
}

// depart ends the connection once its streams have ended.
func (u *upstreamConn) depart(b *batch) {
	u.up.retire(u)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.departing = true
	if len(u.peers) == 0 && !u.dead && !u.ending {
		o := u.buffer()
		o.b = appendGoAway(o.b, 0, errNone, "")
		u.closeAfterOutput(b)
	}
}

func (u *upstreamConn) peer(id uint32) peer {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.peers[id]
}

func (u *upstreamConn) isServer() bool { return true }

func (u *upstreamConn) known(id uint32) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return id&1 == 1 && id < u.next
}

func (u *upstreamConn) headers(b *batch, id uint32, end, tooLarge bool) error {
	if !u.known(id) {
		return connErrorf(errProtocol, "HEADERS came on stream %d, which was never opened", id)
	}
	if p := u.peer(id); p != nil {
		p.response(b, u, id, u.fields, end, tooLarge)
	}
	return nil
}

func (u *upstreamConn) data(b *batch, id uint32, p []byte, size int, end bool) error {
	peer := u.peer(id)
	switch {
	case peer == nil && !u.known(id):
		return connErrorf(errProtocol, "DATA came on stream %d, which was never opened", id)
	case peer == nil || !peer.responseData(b, u, id, p, size, end):
		u.refuseData(b, size)
	}
	return nil
}

func (u *upstreamConn) reset(b *batch, id uint32, code errCode) error {
	if p := u.peer(id); p != nil {
		p.endpointReset(b, u, id, code)
	}
	return nil
}

func (u *upstreamConn) window(b *batch, id uint32, n int64) error {
	p := u.peer(id)
	if p == nil || n > 0 && p.widenUp(b, u, id, n) {
		return nil
	}
	code := errFlowControl
	if n == 0 {
		code = errProtocol // RFC 9113, section 6.9
	}
	u.sendReset(b, id, code)
	p.lost(b, u, id, dispatch.UpstreamBroken, false, errors.New("the endpoint's WINDOW_UPDATE is out of range"))
	return nil
}

func (u *upstreamConn) resized(b *batch, delta int64) error {
	u.mu.Lock()
	u.firstWindow += delta // with the lock held, as a stream that is opened from then on begins with it
	open := make(map[uint32]peer, len(u.peers))
	for id, p := range u.peers {
		open[id] = p
	}
	u.mu.Unlock()
	for id, p := range open {
		if !p.widenUp(b, u, id, delta) {
			return connErrorf(errFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes the window of stream %d larger than one can be", id)
		}
	}
	return nil
}

func (u *upstreamConn) limited(streams uint32) {
	u.up.mu.Lock()
	u.most = streams
	u.up.mu.Unlock()
	u.mu.Lock()
	u.allowed = streams // before that is acknowledged
	u.mu.Unlock()
}

func (u *upstreamConn) settingsDone() { u.once.Do(func() { close(u.settled) }) }

// goAway takes GOAWAY: streams above the last one that the endpoint serves can go elsewhere.
func (u *upstreamConn) goAway(b *batch, last uint32, code errCode) {
	u.up.retire(u)
	u.mu.Lock()
	u.departing = true
	above := make(map[uint32]peer)
	for id, p := range u.peers {
		if id > last {
			above[id] = p
		}
	}
	if len(u.peers) == 0 {
		u.closeAfterOutput(b)
	}
	u.mu.Unlock()
	err := fmt.Errorf("the endpoint closes the connection (GOAWAY, %s)", code)
	for id, p := range above {
		p.lost(b, u, id, dispatch.StreamRefused, true, err)
	}
}

func (u *upstreamConn) ponged(*batch, []byte) {}
