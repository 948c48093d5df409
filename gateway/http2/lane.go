package http2

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/dispatch"
)

// lane is one direction of a call: what its sender sends, on its way to its receiver. Either may be a stream of a connection, or a
// goroutine of this process, which reads or writes and waits. Its owner's lock guards it.
type lane struct {
	mu    *sync.Mutex
	owner laneOwner

	from   *conn // nil: a goroutine writes
	fromID uint32
	credit int64 // what the sender may still send, in bytes
	owed   int64 // bytes that went on and that the sender has got no credit for
	excess int   // of what is held, bytes that the sender has credit for already, or did not send

	to     *conn // nil: a goroutine reads, or it is not known yet where the bytes go
	toID   uint32
	window int64 // what the receiver's stream may still be sent, in bytes

	held     []byte // what could not be sent yet: held[start:]
	start    int
	trailers []hpack.HeaderField // end the lane, if there are any
	stalled  *atomic.Int64       // since when the receiver takes nothing of what is held; 0 while it does; may be nil
	ended    bool                // the sender has sent its last byte
	done     bool                // so has this lane, or it was abandoned
	sentEnd  bool                // the receiver was sent the end
	waitsOn  *conn               // the connection on whose list of those that wait for room it is; nil if it is on none
	turn     bool                // it is its turn
	broken   error               // for the goroutine that reads or writes
	wake     chan struct{}       // tells that goroutine that something has changed; nil if there is none
}

// laneOwner is told when a lane has delivered its end. The lock is held.
type laneOwner interface {
	laneDone(b *batch, l *lane)
	// sendTrailers sends the lane's trailers as the end of its stream.
	sendTrailers(b *batch, l *lane)
}

// own says whose the lane is, for good.
func (l *lane) own(mu *sync.Mutex, owner laneOwner) { l.mu, l.owner = mu, owner }

// keptHeld is how much room a lane keeps between two uses, in bytes.
const keptHeld = 4 << 10

// reset makes the lane ready for another use.
func (l *lane) reset() {
	l.from, l.fromID, l.credit, l.owed, l.excess = nil, 0, streamWindow, 0, 0
	l.to, l.toID, l.window = nil, 0, 0
	l.empty()
	l.trailers, l.stalled = l.trailers[:0], nil
	l.ended, l.done, l.sentEnd, l.broken = false, false, false, nil
}

// empty drops what is held.
func (l *lane) empty() {
	if cap(l.held) > keptHeld {
		l.held = nil
	}
	l.held, l.start = l.held[:0], 0
}

// heldLen is how many bytes are held.
func (l *lane) heldLen() int { return len(l.held) - l.start }

// take accepts what the sender, a connection, sent. size is what counts against its window, and own is how many bytes of p it did not send:
// fewer than none if p is shorter than what it sent. It reports false if that was more than it may send.
func (l *lane) take(b *batch, p []byte, size, own int, end bool) bool {
	l.credit -= int64(size)
	if l.credit < 0 {
		return false
	}
	if l.broken != nil {
		if l.from != nil {
			l.from.credit(b, int64(size)) // nobody wants it any more
		}
		l.ended = l.ended || end
		return true
	}
	l.ended = l.ended || end
	if own > 0 {
		l.excess += own
	} else if own < 0 {
		l.giveCredit(b, -own)
	}
	if padding := size - len(p) + own; padding > 0 {
		l.giveCredit(b, padding)
	}
	l.push(b, p)
	return true
}

// push sends p, or holds what cannot be sent.
func (l *lane) push(b *batch, p []byte) {
	if l.to == nil || l.heldLen() > 0 {
		l.hold(p)
		l.pump(b)
		return
	}
	n, ended := 0, false
	if end := l.ended && len(l.trailers) == 0; len(p) > 0 || end {
		n, ended = l.to.writeData(b, l, p, end)
	}
	l.sent(b, n)
	if n < len(p) {
		l.hold(p[n:])
		l.noteProgress(n)
		return
	}
	l.finish(b, ended)
}

// pump sends of what is held as much as can be.
func (l *lane) pump(b *batch) {
	if l.to == nil {
		l.notify()
		return
	}
	p := l.held[l.start:]
	n, ended := 0, false
	if end := l.ended && len(l.trailers) == 0; len(p) > 0 || end {
		n, ended = l.to.writeData(b, l, p, end)
	}
	l.start += n
	l.sent(b, n)
	l.noteProgress(n)
	if l.heldLen() > 0 {
		return
	}
	l.held, l.start = l.held[:0], 0
	l.finish(b, ended)
}

// noteProgress notes since when the receiver takes nothing; it has just taken n bytes.
func (l *lane) noteProgress(n int) {
	switch {
	case l.stalled == nil:
	case l.heldLen() == 0:
		l.stalled.Store(0)
	case n > 0 || l.stalled.Load() == 0:
		l.stalled.Store(dispatch.Now())
	}
}

// finish ends the lane once everything is sent.
func (l *lane) finish(b *batch, ended bool) {
	if l.done || !l.ended {
		l.notify()
		return
	}
	if !ended {
		if len(l.trailers) == 0 {
			return // the connection is dead
		}
		l.owner.sendTrailers(b, l)
	}
	l.done, l.sentEnd = true, true
	l.notify()
	l.owner.laneDone(b, l)
}

func (l *lane) hold(p []byte) {
	if l.start > 0 && len(l.held)+len(p) > cap(l.held) {
		l.held = l.held[:copy(l.held, l.held[l.start:])]
		l.start = 0
	}
	l.held = append(l.held, p...)
}

// sent counts n bytes against the receiver's window, and gives the sender credit for them.
func (l *lane) sent(b *batch, n int) {
	l.window -= int64(n)
	l.giveCredit(b, n)
}

func (l *lane) giveCredit(b *batch, n int) {
	if l.excess > 0 {
		already := min(n, l.excess)
		l.excess -= already
		n -= already
	}
	if l.from == nil || n == 0 {
		return
	}
	l.from.credit(b, int64(n))
	if l.ended {
		return
	}
	if l.owed += int64(n); l.owed >= streamWindow/2 {
		id, owed := l.fromID, l.owed
		l.credit += owed
		l.owed = 0
		l.from.send(b, func(dst []byte) []byte { return appendWindowUpdate(dst, id, owed) })
	}
}

// creditHeld gives the sender credit for what is held, so that more of it comes.
func (l *lane) creditHeld(b *batch) {
	n := l.heldLen() - l.excess
	already := l.excess
	l.excess = 0
	l.giveCredit(b, n)
	l.excess = already + n
}

// replaceHeld holds p in place of what is held. The sender has sent as much of it as before.
func (l *lane) replaceHeld(b *batch, p []byte) {
	sent := l.heldLen() - l.excess // by the sender, and without credit so far
	l.held, l.start = append(l.held[:0], p...), 0
	if l.excess = len(p) - sent; l.excess < 0 {
		less := -l.excess
		l.excess = 0
		l.giveCredit(b, less)
	}
}

// resume is called when it is the lane's turn on the connection c, on whose list it was.
func (l *lane) resume(b *batch, c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waitsOn != c {
		return
	}
	l.waitsOn = nil
	if l.to == c && l.heldLen() > 0 && !l.done {
		l.turn = true
		l.pump(b)
		l.turn = false
	}
}

// leaveQueue ends the lane's wait for its turn.
func (l *lane) leaveQueue() {
	if l.waitsOn != nil {
		l.waitsOn.leave(l)
		l.waitsOn = nil
	}
}

// grow adds to the receiver's window. It reports false if that gets larger than a window can be.
func (l *lane) grow(b *batch, n int64) bool {
	l.window += n
	if l.window > maxWindow {
		return false
	}
	if n > 0 && l.to != nil && l.heldLen() > 0 && !l.done {
		l.pump(b)
	}
	return true
}

// abandon drops what is held; the sender's connection gets its credit back.
func (l *lane) abandon(b *batch, why error) {
	if n := l.heldLen() - l.excess; n > 0 && l.from != nil {
		l.from.credit(b, int64(n))
	}
	l.empty()
	l.excess, l.trailers = 0, l.trailers[:0]
	l.leaveQueue()
	l.done = true
	if l.broken == nil {
		l.broken = why
	}
	l.notify()
}

// orphan takes the sender off the lane. Its connection gets credit at once for what is held: nobody can give it later.
func (l *lane) orphan(b *batch) {
	if n := l.heldLen() - l.excess; n > 0 && l.from != nil {
		l.from.credit(b, int64(n))
		l.excess += n
	}
	l.from = nil
}

// notify wakes the goroutine that reads or writes.
func (l *lane) notify() {
	if l.wake == nil {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

var errAbandoned = errors.New("the call is over")

// read gives a goroutine the next bytes, waiting for at least one. io.EOF means that the sender ended the lane.
func (l *lane) read(p []byte) (int, error) {
	for {
		l.mu.Lock()
		if l.broken != nil {
			defer l.mu.Unlock()
			return 0, l.broken
		}
		if l.heldLen() > 0 {
			n := copy(p, l.held[l.start:])
			if l.start += n; l.heldLen() == 0 {
				l.held, l.start = l.held[:0], 0
			}
			b := getBatch()
			l.giveCredit(b, n)
			l.mu.Unlock()
			b.release()
			return n, nil
		}
		if l.ended {
			defer l.mu.Unlock()
			return 0, io.EOF
		}
		l.mu.Unlock()
		<-l.wake
	}
}

// write sends a goroutine's bytes and waits until the receiver's windows have taken them, so that no more than p is ever held.
func (l *lane) write(p []byte) error {
	b := getBatch()
	l.mu.Lock()
	if l.broken == nil {
		l.push(b, p)
	}
	l.mu.Unlock()
	b.release()
	for {
		l.mu.Lock()
		left, broken := l.heldLen(), l.broken
		l.mu.Unlock()
		if broken != nil {
			return broken
		}
		if left == 0 {
			return nil
		}
		<-l.wake
	}
}

// end ends a lane that a goroutine writes.
func (l *lane) end(trailers []hpack.HeaderField) error {
	b := getBatch()
	l.mu.Lock()
	if l.broken == nil {
		l.ended = true
		l.trailers = append(l.trailers[:0], trailers...)
		l.pump(b)
	}
	broken := l.broken
	l.mu.Unlock()
	b.release()
	return broken
}
