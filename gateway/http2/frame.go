package http2

import (
	"encoding/binary"
	"fmt"
)

// frameKind is the type of a frame (RFC 9113, section 6).
type frameKind uint8

const (
	frameData         frameKind = 0
	frameHeaders      frameKind = 1
	framePriority     frameKind = 2
	frameReset        frameKind = 3
	frameSettings     frameKind = 4
	framePush         frameKind = 5
	framePing         frameKind = 6
	frameGoAway       frameKind = 7
	frameWindowUpdate frameKind = 8
	frameContinuation frameKind = 9
)

// Flags of frames.
const (
	flagEndStream  = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4 // HEADERS, CONTINUATION
	flagPadded     = 0x8 // DATA, HEADERS
	flagPriority   = 0x20
)

const (
	frameHeaderLen = 9
	// maxFrame is the largest payload that is sent and accepted: SETTINGS_MAX_FRAME_SIZE as it is before anybody sets it, in bytes.
	maxFrame = 16 << 10
	// maxWindow is the largest flow-control window (RFC 9113, section 6.9.1).
	maxWindow = 1<<31 - 1
	// defaultWindow is each window before SETTINGS or WINDOW_UPDATE change it.
	defaultWindow = 65535
	// lastStream is the largest stream identifier.
	lastStream = 1<<31 - 1
)

// preface is what a client sends first (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frameHeader is the header of a frame.
type frameHeader struct {
	length int
	kind   frameKind
	flags  uint8
	stream uint32
}

func (h *frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

// parseFrameHeader reads the header at the start of b, which has at least frameHeaderLen bytes.
func parseFrameHeader(b []byte) frameHeader {
	return frameHeader{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   frameKind(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & lastStream, // the reserved bit is ignored
	}
}

func appendFrameHeader(dst []byte, length int, kind frameKind, flags uint8, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendWindowUpdate(dst []byte, stream uint32, n int64) []byte {
	dst = appendFrameHeader(dst, 4, frameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

func appendReset(dst []byte, stream uint32, code errCode) []byte {
	dst = appendFrameHeader(dst, 4, frameReset, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendPing(dst []byte, flags uint8, data []byte) []byte {
	dst = appendFrameHeader(dst, 8, framePing, flags, 0)
	return append(dst, data[:8]...)
}

func appendGoAway(dst []byte, last uint32, code errCode, debug string) []byte {
	dst = appendFrameHeader(dst, 8+len(debug), frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, debug...)
}

// unpad returns the payload of a DATA or HEADERS frame without its padding.
func unpad(h *frameHeader, p []byte) ([]byte, error) {
	if !h.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) > len(p)-1 {
		return nil, connErrorf(errProtocol, "a frame's padding is longer than the frame")
	}
	return p[1 : len(p)-int(p[0])], nil
}

// errCode is why a stream or a connection ended (RFC 9113, section 7).
type errCode uint32

const (
	errNone          errCode = 0x0
	errProtocol      errCode = 0x1
	errInternal      errCode = 0x2
	errFlowControl   errCode = 0x3
	errTimeout       errCode = 0x4
	errStreamClosed  errCode = 0x5
	errFrameSize     errCode = 0x6
	errRefused       errCode = 0x7
	errCancel        errCode = 0x8
	errCompression   errCode = 0x9
	errConnect       errCode = 0xa
	errEnhanceCalm   errCode = 0xb
	errInadequate    errCode = 0xc
	errHTTP11Require errCode = 0xd
)

var errNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String is the code as RFC 9113 names it.
func (c errCode) String() string {
	if int(c) < len(errNames) {
		return errNames[c]
	}
	return fmt.Sprintf("error code %d", uint32(c))
}

// connError ends a connection: it is sent as GOAWAY.
type connError struct {
	code   errCode
	reason string
}

// Error says what the peer did.
func (e *connError) Error() string { return e.code.String() + ": " + e.reason }

func connErrorf(code errCode, format string, args ...any) error {
	return &connError{code, fmt.Sprintf(format, args...)}
}
