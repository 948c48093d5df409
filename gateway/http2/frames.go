package http2

import "encoding/binary"

// frame handles one frame (RFC 9113, section 6). p is its payload.
func (c *conn) frame(h *frameHeader, p []byte) error {
	switch {
	case !c.greeted && (h.kind != frameSettings || h.has(flagAck)):
		return connErrorf(errProtocol, "the first frame is not SETTINGS")
	case c.inBlock() && (h.kind != frameContinuation || h.stream != c.blockID):
		return connErrorf(errProtocol, "a header block was interrupted by another frame")
	}
	switch h.kind {
	case frameData:
		return c.dataFrame(h, p)
	case frameHeaders:
		return c.headersFrame(h, p)
	case frameContinuation:
		return c.continuationFrame(h, p)
	case frameReset:
		return c.resetFrame(h, p)
	case frameGoAway:
		return c.goAwayFrame(h, p)
	case framePush:
		return connErrorf(errProtocol, "PUSH_PROMISE came though push is off")
	}
	if err := c.control(); err != nil {
		return err
	}
	switch h.kind {
	case frameSettings:
		c.greeted = true
		return c.settings(h, p)
	case framePing:
		return c.pingFrame(h, p)
	case frameWindowUpdate:
		return c.windowFrame(h, p)
	case framePriority:
		return c.priorityFrame(h, p)
	}
	return nil // unknown types are ignored (RFC 9113, section 5.5)
}

// control counts a frame that carries nothing.
func (c *conn) control() error {
	if c.calm.left > 0 {
		c.calm.left--
		return nil
	}
	c.mu.Lock()
	useful := c.sentFrames + c.gotFrames
	c.mu.Unlock()
	if !c.calm.spend(useful) {
		return connErrorf(errEnhanceCalm, "too many frames came that carry nothing")
	}
	return nil
}

func (c *conn) dataFrame(h *frameHeader, p []byte) error {
	if h.stream == 0 {
		return connErrorf(errProtocol, "DATA came on stream 0")
	}
	if err := c.spend(len(p)); err != nil {
		return err
	}
	data, err := unpad(h, p)
	if err != nil {
		return err
	}
	end := h.has(flagEndStream)
	if len(data) == 0 && !end {
		if err := c.control(); err != nil {
			return err
		}
	} else {
		c.gotFrames++
	}
	return c.role.data(&c.batch, h.stream, data, len(p), end)
}

// refuseData returns credit for DATA that nobody wants.
func (c *conn) refuseData(b *batch, size int) { c.credit(b, int64(size)) }

func (c *conn) resetFrame(h *frameHeader, p []byte) error {
	switch {
	case len(p) != 4:
		return connErrorf(errFrameSize, "RST_STREAM has %d bytes", len(p))
	case h.stream == 0 || !c.role.known(h.stream):
		return connErrorf(errProtocol, "RST_STREAM came on stream %d, which is not open", h.stream)
	}
	return c.role.reset(&c.batch, h.stream, errCode(binary.BigEndian.Uint32(p)))
}

func (c *conn) goAwayFrame(h *frameHeader, p []byte) error {
	switch {
	case h.stream != 0:
		return connErrorf(errProtocol, "GOAWAY came on stream %d", h.stream)
	case len(p) < 8:
		return connErrorf(errFrameSize, "GOAWAY has %d bytes", len(p))
	}
	c.role.goAway(&c.batch, binary.BigEndian.Uint32(p)&lastStream, errCode(binary.BigEndian.Uint32(p[4:])))
	return nil
}

func (c *conn) pingFrame(h *frameHeader, p []byte) error {
	switch {
	case h.stream != 0:
		return connErrorf(errProtocol, "PING came on stream %d", h.stream)
	case len(p) != 8:
		return connErrorf(errFrameSize, "PING has %d bytes", len(p))
	case h.has(flagAck):
		c.asked.Store(0)
		c.role.ponged(&c.batch, p)
		return nil
	}
	c.send(&c.batch, func(dst []byte) []byte { return appendPing(dst, flagAck, p) })
	return nil
}

func (c *conn) windowFrame(h *frameHeader, p []byte) error {
	if len(p) != 4 {
		return connErrorf(errFrameSize, "WINDOW_UPDATE has %d bytes", len(p))
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if h.stream != 0 {
		if !c.role.known(h.stream) {
			return connErrorf(errProtocol, "WINDOW_UPDATE came on stream %d, which is not open", h.stream)
		}
		return c.role.window(&c.batch, h.stream, n)
	}
	if n == 0 {
		return connErrorf(errProtocol, "WINDOW_UPDATE of the connection adds nothing")
	}
	c.mu.Lock()
	c.sendWindow += n
	if c.sendWindow > maxWindow {
		c.mu.Unlock()
		return connErrorf(errFlowControl, "the connection's window grew larger than a window can be")
	}
	c.resume(&c.batch)
	return nil
}

// priorityFrame checks PRIORITY; what it says is not used (RFC 9113, section 5.3.2).
func (c *conn) priorityFrame(h *frameHeader, p []byte) error {
	switch {
	case h.stream == 0:
		return connErrorf(errProtocol, "PRIORITY came on stream 0")
	case len(p) != priorityLen:
		return connErrorf(errFrameSize, "PRIORITY has %d bytes", len(p))
	case dependency(p) == h.stream:
		return connErrorf(errProtocol, "stream %d depends on itself", h.stream)
	}
	return nil
}

const priorityLen = 5

// dependency is the stream on which another one depends.
func dependency(p []byte) uint32 { return binary.BigEndian.Uint32(p) & lastStream }
