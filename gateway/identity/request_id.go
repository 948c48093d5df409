package identity

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
)

// maxRequestID is the longest x-request-id that is accepted from a client, in bytes.
const maxRequestID = 128

// AcceptableID reports whether a client's x-request-id can be logged and forwarded as it is: short, and visible ASCII without quotes
// and backslashes.
func AcceptableID(id []byte) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, b := range id {
		if b <= ' ' || b >= 0x7f || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}

// NewID makes an x-request-id of hexadecimal digits. It is random, not secret.
func NewID(dst *[32]byte) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	hex.Encode(dst[:], b[:])
}
