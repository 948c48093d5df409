package http1

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// upload is the second goroutine of an exchange: it sends what is left of a request while the first one relays the response, so that
// an endpoint may answer before it has read everything.
type upload struct {
	running  bool
	streamed bool        // the body is read from the client; else it is held as a whole
	unframed bool        // of a chunked body, the payload is sent
	complete atomic.Bool // the body was read to its end
	over     atomic.Bool // everything was sent, or sending has failed
	stopping atomic.Bool // the response is over: stop reading
	done     chan struct{}

	// The uploader's own until done.
	sent  int64   // bytes of the body that it has read
	tail  *buffer // what the client sent behind the body
	chunk []byte  // a piece of a body that is framed anew
	copy  *mirrorCopy
}

// stream sends out, and then the rest of the body as it arrives.
func (c *clientConn) stream(u *upstreamConn, out outgoing) {
	c.upload.begin(true)
	go func() {
		c.uploadAll(u, out)
		c.upload.end()
	}()
}

// sendRest sends what the socket did not take at once of a request that is held as a whole.
func (c *clientConn) sendRest(u *upstreamConn, left outgoing) {
	c.upload.begin(false)
	go func() {
		u.write(left)
		c.upload.end()
	}()
}

func (up *upload) begin(streamed bool) {
	if up.done == nil {
		up.done = make(chan struct{}, 1)
	}
	up.running, up.streamed, up.unframed, up.sent = true, streamed, false, 0
	up.complete.Store(!streamed)
	up.over.Store(false)
	up.stopping.Store(false)
}

func (up *upload) end() {
	up.over.Store(true)
	up.done <- struct{}{}
}

// write sends a request, or a part of it, waiting while the endpoint takes nothing.
func (u *upstreamConn) write(o outgoing) error {
	if !u.secure {
		_, err := u.sock.WriteBoth(o.head, o.body)
		return err
	}
	for _, p := range [...][]byte{o.head, o.body} {
		if len(p) == 0 {
			continue
		}
		if _, err := u.conn.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// uploadAll returns early when the endpoint takes no more: its answer, or its absence, then tells why.
func (c *clientConn) uploadAll(u *upstreamConn, out outgoing) {
	up := &c.upload
	if c.send(u, out) != nil {
		return
	}
	b := getBuffer(largeBuffer)
	defer b.release()
	for !up.complete.Load() {
		n, err := c.readBody(b.b)
		if n == 0 && err != nil {
			c.uploadBroken(err)
			return
		}
		used, piece, bad := c.bodyPiece(b.b[:n])
		if bad != cutNone {
			c.interrupt(bad)
			return
		}
		up.keepTail(b.b[used:n])
		up.copy.addSent(piece)
		if c.send(u, outgoing{head: piece}) != nil {
			return
		}
	}
	up.copy.submit()
	if c.phase.CompareAndSwap(uint32(phaseNone), uint32(phaseResponse)) && c.times.response > 0 {
		c.deadline.Store(dispatch.Now() + c.times.response)
	}
}

// send sends a piece of a streamed body. While no response has begun, nothing else bounds for how long an endpoint may take no bytes.
func (c *clientConn) send(u *upstreamConn, o outgoing) error {
	if c.times.response > 0 {
		c.sendDeadline.Store(dispatch.Now() + c.times.response)
		defer c.sendDeadline.Store(0)
	}
	return u.write(o)
}

// readBody reads more of the body, within the time that a client may pause.
func (c *clientConn) readBody(p []byte) (int, error) {
	if c.times.body > 0 {
		c.bodyDeadline.Store(dispatch.Now() + c.times.body)
		defer c.bodyDeadline.Store(0)
	}
	return c.read(p)
}

// uploadBroken deals with a client that sent no more before its body was complete. The upstream is reset, so that the request can never
// look complete to the endpoint.
func (c *clientConn) uploadBroken(err error) {
	switch {
	case c.upload.stopping.Load():
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.gone.Load():
		c.interrupt(cutBodyTimeout)
	default:
		c.interrupt(cutClient)
	}
}

// bodyPiece goes over what was read. It returns how much of it belongs to the body, what is to be sent for that, and why the request
// cannot go on if it cannot.
func (c *clientConn) bodyPiece(p []byte) (used int, piece []byte, bad cut) {
	q, up := &c.req, &c.upload
	var done bool
	if q.length >= 0 {
		left := q.length - int64(q.bodyLen) - up.sent
		used, done = int(min(left, int64(len(p)))), left <= int64(len(p))
		piece = p[:used]
	} else {
		var err error
		switch {
		case up.unframed:
			used, piece, done, err = q.chunks.AppendPayload(p[:0], p)
		case q.aliased:
			used, piece, done, err = c.reframe(p)
		default:
			used, done, err = q.chunks.Scan(p)
			piece = p[:used]
		}
		if err != nil {
			return 0, nil, cutBadBody
		}
		if limit := c.opts.Limits.BodyBytes; limit > 0 && q.chunks.Data() > limit {
			return 0, nil, cutBodyTooLarge
		}
	}
	up.sent += int64(used)
	if done {
		up.complete.Store(true)
	}
	return used, piece, cutNone
}

// keepTail keeps what the client sent behind the body.
func (up *upload) keepTail(p []byte) {
	if len(p) > 0 {
		up.tail = getBuffer(len(p))
		up.tail.end = copy(up.tail.b, p)
	}
}

// reframe makes chunks of a body's payload anew (see outgoingRechunked).
func (c *clientConn) reframe(p []byte) (used int, piece []byte, done bool, err error) {
	out := c.upload.chunk[:0]
	for used < len(p) && !done && err == nil {
		var n int
		var data []byte
		n, data, done, err = c.req.chunks.Next(p[used:])
		used += n
		if len(data) > 0 {
			out = appendChunkSize(out, len(data))
			out = append(out, data...)
			out = append(out, "\r\n"...)
		}
	}
	if done {
		out = append(out, lastChunk...)
	}
	c.upload.chunk = out
	return used, out, done, err
}

// lastWrite is how long the uploader's last write may take to return after the response to it is over. Without it a busy machine would
// throw away a connection in good order.
const lastWrite = 10 * time.Millisecond

// endsWithin reports whether the uploader ends by itself in time; its token is taken then.
func (up *upload) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-up.done:
		return true
	case <-timer.C:
		return false
	}
}

// endUpload waits until the uploader has ended. If the response is over before the body is, it is made to stop.
func (c *clientConn) endUpload() {
	up := &c.upload
	unfinished := !up.complete.Load()
	if unfinished {
		up.stopping.Store(true)
		c.sock.WakeReader()
	}
	ended := !unfinished && c.resp.complete && up.endsWithin(lastWrite)
	// Half a request must never stay on a connection that somebody else gets.
	if unfinished || !up.over.Load() || !c.resp.complete {
		c.interrupt(cutNone) // wakes it from a write that the endpoint does not take
	}
	if !ended {
		<-up.done
	}
	up.running = false
	if up.streamed {
		c.endStreamed()
	}
}

// endStreamed lets go of a request whose body was streamed.
func (c *clientConn) endStreamed() {
	up := &c.upload
	// What was held of the request went out with the rest of it: the next request begins with the tail.
	c.x.RequestBytes += int64(c.req.bodyLen) + up.sent
	if c.in != nil {
		c.keepNames()
		c.in.release()
	}
	c.in, up.tail, up.copy = up.tail, nil, nil
	c.req.headLen, c.req.bodyLen = 0, 0
}
