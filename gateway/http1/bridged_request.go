package http1

import (
	"io"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// hold takes what has arrived of the body, in the two pieces in which it would leave as HTTP/1.1.
func (b *bridged) hold(r *bridge.Request, first, second []byte) {
	b.bodyRead.Store(r.Length == 0)
	if r.Length >= 0 {
		b.held = [2][]byte{first, second}
		return
	}
	var s ChunkScanner
	s.KeepTrailers(&b.trailers)
	var payload []byte
	for _, p := range [...][]byte{first, second} {
		var err error
		if _, payload, _, err = s.AppendPayload(payload, p); err != nil {
			panic("BUG: a chunk that is to be sent is malformed: " + err.Error())
		}
	}
	b.held[0] = payload
	if !b.c.req.complete && !b.c.req.aliased { // framed anew, a body has no trailers
		b.c.req.chunks.KeepTrailers(&b.trailers)
	}
}

// Read reads the payload of the request's body: first what is held, then what the client sends.
func (b *bridged) Read(p []byte) (int, error) {
	c := b.c
	up := &c.upload
	c.sendDeadline.Store(0)
	for i := range b.held {
		if n := copy(p, b.held[i]); n > 0 {
			b.held[i] = b.held[i][n:]
			c.mustTake()
			return n, nil
		}
	}
	for !up.complete.Load() {
		if up.stopping.Load() {
			return 0, errResponseOver
		}
		n, err := b.receive(p)
		if err != nil {
			return 0, err
		}
		up.copy.add(p[:n])
		if up.complete.Load() {
			b.received()
		}
		if n > 0 {
			c.mustTake()
			return n, nil
		}
	}
	b.bodyRead.Store(true)
	return 0, io.EOF
}

// mustTake notes until when the endpoint has to take what Read returns. While no response has begun, nothing else bounds that.
func (c *clientConn) mustTake() {
	if c.times.response > 0 && phase(c.phase.Load()) == phaseNone {
		c.sendDeadline.Store(dispatch.Now() + c.times.response)
	}
}

// receive reads from the client once, and returns how much payload that was.
func (b *bridged) receive(p []byte) (int, error) {
	c, q := b.c, &b.c.req
	b.read = true
	if q.length >= 0 {
		left := q.length - int64(q.bodyLen) - c.upload.sent
		p = p[:min(int64(len(p)), left)]
	}
	n, err := c.readBody(p)
	if n == 0 && err != nil {
		c.uploadBroken(err)
		return 0, errBrokeOff // never io.EOF, which would make the body look complete
	}
	used, payload, bad := c.bodyPiece(p[:n])
	if bad != cutNone {
		c.interrupt(bad)
		return 0, errBadBody
	}
	c.upload.keepTail(p[used:n])
	return len(payload), nil
}

// received notes that the last byte of the body was read.
func (b *bridged) received() {
	c := b.c
	c.upload.copy.submit()
	if c.phase.CompareAndSwap(uint32(phaseNone), uint32(phaseResponse)) && c.times.response > 0 {
		c.deadline.Store(dispatch.Now() + c.times.response)
	}
}

// Trailers returns the request's trailer fields.
func (b *bridged) Trailers() []bridge.Field { return bridgedLines(b.trailers) }

// StopReading makes Read return an error.
func (b *bridged) StopReading() {
	up := &b.c.upload
	up.stopping.Store(true)
	if !up.complete.Load() {
		b.c.sock.WakeReader()
	}
}
