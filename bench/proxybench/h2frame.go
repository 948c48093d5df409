package main

import (
	"encoding/binary"
	"fmt"
)

// Frame types and flags of HTTP/2 (RFC 9113 sections 6 and 4.1), as far as the benchmark meets them.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePushPromise  = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Parameters of SETTINGS frames (RFC 9113 section 6.5.2).
const (
	settingHeaderTableSize = 0x1
	settingEnablePush      = 0x2
	settingMaxStreams      = 0x3
	settingInitialWindow   = 0x4
)

// Sizes in bytes.
const (
	frameHeadSize = 9
	settingSize   = 6
	// maxFrame is the largest payload that every peer takes without being asked, and the largest that is sent and taken here.
	maxFrame = 1 << 14
	// defaultWindow is every window until SETTINGS or WINDOW_UPDATE say otherwise.
	defaultWindow = 1<<16 - 1
	maxWindow     = 1<<31 - 1
)

// clientPreface is what a client sends before its first frame.
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frame is one frame; the payload lies in the buffer that it was read into.
type frame struct {
	kind, flags byte
	id          uint32 // stream; 0 is the connection
	payload     []byte
}

func (f frame) has(flag byte) bool { return f.flags&flag != 0 }

// cutFrame takes the first frame off b; ok is false while it is not there as a whole.
func cutFrame(b []byte) (f frame, ok bool, err error) {
	if len(b) < frameHeadSize {
		return frame{}, false, nil
	}
	size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	if size > maxFrame {
		return frame{}, false, fmt.Errorf("a frame of type %d has %d bytes, more than the %d that are allowed", b[3], size, maxFrame)
	}
	if len(b) < frameHeadSize+size {
		return frame{}, false, nil
	}
	f = frame{kind: b[3], flags: b[4], id: binary.BigEndian.Uint32(b[5:]) & maxWindow, payload: b[frameHeadSize : frameHeadSize+size]}
	return f, true, nil
}

// appendFrameHead appends the head of a frame whose payload of size bytes is appended next.
func appendFrameHead(b []byte, size int, kind, flags byte, id uint32) []byte {
	return append(b, byte(size>>16), byte(size>>8), byte(size), kind, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendFrame(b []byte, kind, flags byte, id uint32, payload []byte) []byte {
	return append(appendFrameHead(b, len(payload), kind, flags, id), payload...)
}

func appendSetting(b []byte, parameter uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, parameter), value)
}

func appendWindowUpdate(b []byte, id uint32, increment int) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(b, 4, frameWindowUpdate, 0, id), uint32(increment))
}

// content is the payload of a DATA or HEADERS frame without padding and priority.
func (f frame) content() ([]byte, error) {
	b, padding := f.payload, 0
	if f.has(flagPadded) {
		if len(b) == 0 {
			return nil, f.malformed()
		}
		padding, b = int(b[0]), b[1:]
	}
	if f.kind == frameHeaders && f.has(flagPriority) {
		const prioritySize = 5
		if len(b) < prioritySize {
			return nil, f.malformed()
		}
		b = b[prioritySize:]
	}
	if padding > len(b) {
		return nil, f.malformed()
	}
	return b[:len(b)-padding], nil
}

func (f frame) malformed() error {
	return fmt.Errorf("a frame of type %d with flags %#x and %d bytes on stream %d is malformed", f.kind, f.flags, len(f.payload), f.id)
}

// number is the payload of a frame that is one 32-bit number.
func (f frame) number() (uint32, error) {
	if len(f.payload) != 4 {
		return 0, f.malformed()
	}
	return binary.BigEndian.Uint32(f.payload), nil
}
