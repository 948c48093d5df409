package http1

import (
	"errors"
	"net"
	"os"
	"sync/atomic"

	"github.com/penstock/penstock/gateway/connwatch"
	"github.com/penstock/penstock/gateway/socket"
)

// upstreamConn is one connection to an endpoint. It belongs to the exchange that took it from the pool; the watcher reaches it through
// the atomic fields alone.
type upstreamConn struct {
	up     *Upstream
	conn   net.Conn
	sock   *socket.Conn // the TCP connection beneath conn
	secure bool         // conn is TLS
	watch  connwatch.Token

	state atomic.Uint32 // stateIdle or stateBusy
	gone  atomic.Bool   // the endpoint sent FIN or a reset

	idleSince int64
	used      bool // it has carried a request before
	sent      bool // the present request was written, or is being written by the uploader
	wrote     bool // a byte of the present request may have reached the endpoint
	unasked   bool // bytes were there before a request was sent
	stepFn    func(fd uintptr) bool
	peekFn    func(fd uintptr)
	probe     [1]byte
	relay     relay
	out       outgoing // the present request
	buf       *buffer  // what was read and not consumed
	roomy     bool     // the last read filled its buffer: read more at once
}

const (
	stateIdle uint32 = iota // in the pool; whoever turns it to busy owns it
	stateBusy
)

// relay is what becomes of the bytes that an endpoint sends: they go to a client of this engine, or over the bridge to one of another.
type relay interface {
	// sendRest takes what is left of a request that the socket did not take at once.
	sendRest(u *upstreamConn, left outgoing)
	// feed handles the bytes in u.buf, and reports whether the exchange is over.
	feed(u *upstreamConn) bool
	// ended handles the end of the endpoint's bytes.
	ended(u *upstreamConn, err error)
}

// roundTrip sends a request and hands what comes back to r until r has enough, or the connection ends.
func (u *upstreamConn) roundTrip(r relay, out outgoing) {
	u.relay, u.out, u.sent, u.wrote = r, out, false, len(out.head) == 0 || u.secure
	if u.secure {
		u.roundTripSecure()
	} else {
		u.poll()
	}
	u.relay, u.out = nil, outgoing{}
	if u.buf != nil && u.buf.len() == 0 {
		u.buf.release()
		u.buf = nil
	}
}

func (u *upstreamConn) poll() {
	err := u.sock.Poll(u.stepFn)
	for errors.Is(err, os.ErrDeadlineExceeded) && u.gone.Load() {
		// The watcher woke us: everything the endpoint sent is here, followed by the end, so no read will have to wait.
		u.sock.Rest()
		err = u.sock.Poll(u.stepFn)
	}
	if err != nil {
		u.relay.ended(u, err)
	}
}

// step sends the request at its first call, and relays the response at the later ones. The runtime forgets an earlier readiness event
// when a poll starts, so the request is written after that: no event of its response can be lost, and no read has to find out that
// there is nothing yet.
func (u *upstreamConn) step(fd uintptr) bool {
	if !u.sent {
		u.sent = true
		// The uploader began to write before the poll did, so the event of an early answer may be among the forgotten ones: read first.
		streamed := len(u.out.head) == 0
		ok := !streamed && u.send(socket.TryWrite(fd, u.out.head, u.out.body))
		if ok && socket.ShortReadDrains && !u.gone.Load() {
			return false
		}
	}
	for {
		room := u.room()
		n, err := socket.TryRead(fd, room)
		if err == socket.ErrWouldBlock {
			u.pause()
			return false
		}
		if err != nil {
			u.relay.ended(u, err)
			return true
		}
		u.buf.end += n
		u.roomy = n == len(room)
		if u.relay.feed(u) {
			return true
		}
		if socket.ShortReadDrains && n < len(room) && !u.gone.Load() {
			u.pause()
			return false
		}
	}
}

func (u *upstreamConn) roundTripSecure() {
	if len(u.out.head) == 0 {
		// The uploader writes, and holds the connection's write lock while the endpoint takes nothing.
	} else if len(u.out.head)+len(u.out.body) > smallBuffer {
		u.relay.sendRest(u, u.out) // a long write could block while the endpoint waits for its answer to be read
	} else if _, err := u.conn.Write(u.out.head); err == nil && len(u.out.body) > 0 {
		u.conn.Write(u.out.body) // a failed write shows in the read that follows
	}
	for {
		n, err := u.conn.Read(u.room())
		if n == 0 && err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && u.gone.Load() {
				u.sock.Rest()
				continue
			}
			u.relay.ended(u, err)
			return
		}
		u.buf.end += n
		if u.relay.feed(u) {
			return
		}
	}
}

// send deals with a first write of n bytes. A failed one (false) is no end yet: the endpoint may have answered before it closed, so
// reading tells what became of the request.
func (u *upstreamConn) send(n int, err error) (ok bool) {
	left := u.out
	switch {
	case err != nil && err != socket.ErrWouldBlock:
		return false
	}
	u.wrote = true
	switch {
	case n < len(left.head):
		left.head = left.head[n:]
	default:
		left.body = left.body[n-len(left.head):]
		left.head = nil
	}
	if len(left.head)+len(left.body) > 0 {
		u.relay.sendRest(u, left)
	}
	return true
}

// room returns where to read into. A response that comes faster than it is read gets a larger buffer.
func (u *upstreamConn) room() []byte {
	want := smallBuffer
	if u.roomy {
		want = largeBuffer
	}
	switch {
	case u.buf == nil:
		u.buf = getBuffer(want)
	case u.buf.len() == 0 && len(u.buf.b) < want:
		u.buf.release()
		u.buf = getBuffer(want)
	case len(u.buf.free()) == 0:
		b := getBuffer(2 * len(u.buf.b))
		b.end = copy(b.b, u.buf.bytes())
		u.buf.release()
		u.buf = b
	}
	return u.buf.free()
}

// pause gives the buffer back while nothing is in it.
func (u *upstreamConn) pause() {
	if u.buf != nil && u.buf.len() == 0 {
		u.buf.release()
		u.buf = nil
	}
}

// pending reports whether the endpoint sent something that nobody asked for, or the connection has ended.
func (u *upstreamConn) pending() bool {
	return u.sock.Control(u.peekFn) != nil || u.unasked || u.secure && u.holdsRecords()
}

// holdsRecords reports whether the TLS connection has read more records than were asked of it, which the socket does not show. A read
// whose time is over returns what is there already, and waits for nothing.
func (u *upstreamConn) holdsRecords() bool {
	u.sock.WakeReader()
	n, err := u.conn.Read(u.probe[:])
	u.sock.Rest()
	return n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || u.gone.Load() // the watcher's own call may have been taken back
}

func (u *upstreamConn) peek(fd uintptr) { u.unasked = socket.Pending(fd) }

// PeerGone is called by the watcher when the endpoint has half-closed or reset the connection.
func (u *upstreamConn) PeerGone(bool) {
	u.gone.Store(true)
	u.up.drop(u)
	u.sock.WakeReader()
}

// abort cuts the connection with a reset, so that the endpoint stops working at once. It may be called from any goroutine; the owner,
// wherever it waits, is woken.
func (u *upstreamConn) abort() {
	u.up.srv.watcher.Forget(u.watch)
	// Closing waits until the owner has left its step, where a client that takes no bytes may hold it up. The watcher and the sweeper,
	// who have every other connection to look after, must not wait for that.
	go u.sock.Abort()
}

// retire closes the connection after an exchange that ended well.
func (u *upstreamConn) retire() {
	u.up.srv.watcher.Forget(u.watch)
	u.sock.Close()
	if u.buf != nil {
		u.buf.release()
		u.buf = nil
	}
}
