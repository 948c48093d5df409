package grpc

import "math/bits"

// Wire types of protobuf's encoding.
const (
	wireVarint = 0
	wireBytes  = 2
)

// appendVarint appends v in base 128, lowest digits first; all bytes but the last have the top bit set.
func appendVarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// varintSize returns how many bytes appendVarint appends.
func varintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
