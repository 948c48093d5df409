package http2

import "github.com/penstock/penstock/gateway/dispatch"

// touch makes the batch write the output, unless somebody will already. The lock is held.
func (c *conn) touch(b *batch) {
	switch {
	case c.shutting.Load():
		c.dropOutput() // what is written behind a FIN would reset the connection
		return
	case c.backlog() > fatalBacklog:
		c.killLocked()
		return
	}
	if !c.flushing {
		c.flushing = true
		b.conns = append(b.conns, c)
	}
}

// buffer returns the output to append to. The lock is held.
func (c *conn) buffer() *output {
	if c.out == nil {
		c.out = outputs.Get().(*output)
	}
	return c.out
}

func (c *conn) dropOutput() {
	if c.out != nil {
		c.out.release()
		c.out = nil
	}
}

// backlog is how many bytes wait to be written, but for those that are being written. The lock is held.
func (c *conn) backlog() int {
	if c.out == nil {
		return 0
	}
	return len(c.out.b)
}

// send appends what f appends. f must not lock.
func (c *conn) send(b *batch, f func(dst []byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	o := c.buffer()
	o.b = f(o.b)
	c.touch(b)
}

func (c *conn) sendReset(b *batch, id uint32, code errCode) {
	c.send(b, func(dst []byte) []byte { return appendReset(dst, id, code) })
}

// flush writes the output. Only who has set flushing calls it, and never with a stream's lock held. What the socket does not take is
// written by a goroutine of its own.
func (c *conn) flush(b *batch) {
	c.mu.Lock()
	for c.out != nil && !c.dead {
		o := c.out
		c.out = nil
		c.attempted += int64(len(o.b))
		c.mu.Unlock()
		n, err := c.writeNow(o.b)
		if err == nil && n < len(o.b) {
			c.stuck.Store(dispatch.Now())
			c.srv.running.Add(1)
			go c.writeRest(o, n)
			return
		}
		o.release()
		c.mu.Lock()
		if err != nil {
			c.killLocked()
		}
	}
	if c.closing && !c.dead {
		c.shutWrite()
	}
	if c.shut != nil {
		close(c.shut)
		c.shut = nil
	}
	c.flushing = false
	c.resume(b)
}

// writeNow writes what the peer takes without waiting; of TLS that cannot be said, so it takes nothing.
func (c *conn) writeNow(p []byte) (int, error) {
	if c.secure {
		return 0, nil
	}
	return c.sock.WriteNow(p, nil)
}

// writeRest writes what is left of an output, and then what came meanwhile, waiting while the peer takes nothing.
func (c *conn) writeRest(o *output, n int) {
	defer c.srv.running.Done()
	var err error
	for rest := o.b[n:]; len(rest) > 0 && err == nil; {
		piece := rest[:min(len(rest), maxFrame)]
		rest = rest[len(piece):]
		c.stuck.Store(dispatch.Now())
		_, err = c.nc.Write(piece)
	}
	c.stuck.Store(0)
	o.release()
	if err != nil {
		c.kill()
	}
	b := getBatch()
	c.flush(b)
	b.release()
}

// quantum is how much one lane may send before those that wait with it have their turn, in bytes.
const quantum = 2 * maxFrame

// hasRoom reports whether DATA may be appended. The lock is held.
func (c *conn) hasRoom() bool { return c.sendWindow > 0 && c.backlog() < maxBacklog }

// resume lets those send that wait for room on this connection, in turn, for as long as there is some. The lock is held, and released.
func (c *conn) resume(b *batch) {
	for len(c.waiting) > 0 && !c.dead && c.hasRoom() {
		l := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		l.resume(b, c)
		c.mu.Lock()
	}
	if len(c.waiting) == 0 {
		c.waiting = nil
	}
	c.mu.Unlock()
}

// leave takes a lane off the list of those that wait.
func (c *conn) leave(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.waiting {
		if w == l {
			c.waiting = append(c.waiting[:i:i], c.waiting[i+1:]...)
			return
		}
	}
}

// credit notes that n bytes which the peer sent have gone on, and gives it credit once that is worth a frame.
func (c *conn) credit(b *batch, n int64) {
	if n == 0 || c.owed.Add(n) < streamWindow {
		return
	}
	if n = c.owed.Swap(0); n > 0 {
		c.received.Add(n)
		c.send(b, func(dst []byte) []byte { return appendWindowUpdate(dst, 0, n) })
	}
}

// spend counts DATA against the connection's window.
func (c *conn) spend(size int) error {
	if c.received.Add(-int64(size)) < 0 {
		return connErrorf(errFlowControl, "more DATA came than the connection's window allows")
	}
	return nil
}

// writeData appends as much of p as the lane's window, the connection's and the output allow, and the end of the stream if all of p went
// and end is set. Where it was not the stream's window that was too small, the lane waits for its turn. Its lock is held.
func (c *conn) writeData(b *batch, l *lane, p []byte, end bool) (n int, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return 0, false
	}
	n = c.share(l, len(p))
	if n < len(p) && l.window > int64(n) && l.waitsOn == nil {
		l.waitsOn = c
		c.waiting = append(c.waiting, l)
	}
	ended = end && n == len(p)
	if n == 0 && !ended {
		return 0, false
	}
	c.sendWindow -= int64(n)
	o := c.buffer()
	for left := p[:n]; ; {
		piece := left[:min(len(left), maxFrame)]
		left = left[len(piece):]
		flags := uint8(0)
		if ended && len(left) == 0 {
			flags = flagEndStream
		}
		o.b = appendFrameHeader(o.b, len(piece), frameData, flags, l.toID)
		o.b = append(o.b, piece...)
		c.sentFrames++
		if len(left) == 0 {
			break
		}
	}
	c.touch(b)
	return n, ended
}

// share is how much a lane may send of n bytes. While others wait, it is nothing out of turn, and no more than the quantum in turn.
func (c *conn) share(l *lane, n int) int {
	room := min(c.sendWindow, int64(maxBacklog-c.backlog()), l.window, int64(n))
	if len(c.waiting) > 0 {
		if !l.turn {
			return 0
		}
		room = min(room, quantum)
	}
	return int(max(room, 0))
}
