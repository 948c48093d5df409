package http2

import "encoding/binary"

// setting is one parameter of SETTINGS (RFC 9113, section 6.5.2).
type setting struct {
	id    uint16
	value uint32
}

const (
	settingTableSize    = 0x1
	settingEnablePush   = 0x2
	settingMaxStreams   = 0x3
	settingWindow       = 0x4
	settingMaxFrame     = 0x5
	settingMaxList      = 0x6
	largestMaxFrame     = 1<<24 - 1
	settingLen          = 6
	defaultHPACKTable   = 4096 // bytes; also the most that is kept for a peer that allows more
	maxSettingsPerFrame = 64   // a peer has no reason to send more
)

func appendSettings(dst []byte, settings []setting) []byte {
	dst = appendFrameHeader(dst, settingLen*len(settings), frameSettings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, s.id)
		dst = binary.BigEndian.AppendUint32(dst, s.value)
	}
	return dst
}

// settings applies the peer's SETTINGS and acknowledges them.
func (c *conn) settings(h *frameHeader, p []byte) error {
	switch {
	case h.stream != 0:
		return connErrorf(errProtocol, "SETTINGS came on stream %d", h.stream)
	case h.has(flagAck) && len(p) > 0:
		return connErrorf(errFrameSize, "an acknowledgement of SETTINGS has %d bytes", len(p))
	case h.has(flagAck):
		return nil
	case len(p)%settingLen != 0:
		return connErrorf(errFrameSize, "SETTINGS of %d bytes are no multiple of %d", len(p), settingLen)
	case len(p) > maxSettingsPerFrame*settingLen:
		return connErrorf(errEnhanceCalm, "SETTINGS has more than %d parameters", maxSettingsPerFrame)
	}
	b, window := &c.batch, c.firstWindow // which the reader alone changes
	for ; len(p) > 0; p = p[settingLen:] {
		s := setting{binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])}
		if err := c.apply(s, &window); err != nil {
			return err
		}
	}
	delta := window - c.firstWindow
	if delta < 0 {
		// Windows shrink before the peer is told so: it goes by them from then on.
		if err := c.role.resized(b, delta); err != nil {
			return err
		}
	}
	c.send(b, func(dst []byte) []byte { return appendFrameHeader(dst, 0, frameSettings, flagAck, 0) })
	if delta > 0 {
		// They grow behind it, so that the peer knows why the DATA may come that they let through.
		if err := c.role.resized(b, delta); err != nil {
			return err
		}
	}
	c.role.settingsDone()
	return nil
}

// apply applies one parameter; that for the windows of streams it puts into window.
func (c *conn) apply(s setting, window *int64) error {
	switch s.id {
	case settingTableSize:
		c.mu.Lock()
		c.limitTable(s.value)
		c.mu.Unlock()
	case settingEnablePush:
		if s.value > 1 || s.value == 1 && c.role.isServer() {
			return connErrorf(errProtocol, "SETTINGS_ENABLE_PUSH is %d", s.value)
		}
	case settingMaxStreams:
		c.role.limited(s.value)
	case settingWindow:
		if s.value > maxWindow {
			return connErrorf(errFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE is %d, more than a window can be", s.value)
		}
		*window = int64(s.value)
	case settingMaxFrame:
		if s.value < maxFrame || s.value > largestMaxFrame {
			return connErrorf(errProtocol, "SETTINGS_MAX_FRAME_SIZE is %d", s.value)
		}
	}
	return nil
}
