package grpc

import "math/bits"

// The wire types of protobuf's encoding, but for those of groups, 3 and 4. Groups are of proto2, and no request that names a model
// has one.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// maxFieldNumber is the greatest number that a protobuf field can have.
const maxFieldNumber = 1<<29 - 1

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

const (
	varintCut      = 0
	varintOverflow = -1
)

// readVarint reads the varint that b begins with, and returns its length in bytes: varintCut if b ends within it, and varintOverflow
// if it has more than 64 bits.
func readVarint(b []byte) (v uint64, n int) {
	for i, c := range b {
		if i == 9 && c > 1 {
			return 0, varintOverflow
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, varintCut
}
