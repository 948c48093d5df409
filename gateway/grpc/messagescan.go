package grpc

import "encoding/binary"

// MessageScan counts the messages of one direction of a call as its bytes go by, and keeps none of them. It is for metrics: bytes that
// are no gRPC messages are counted as if they were, and never an error. The zero value is ready for the first byte, and a MessageScan is
// used again once it is set to it.
type MessageScan struct {
	left   uint32 // bytes of the current message that have not gone by
	prefix [prefixSize]byte
	have   uint8 // bytes of the next prefix that have gone by
}

// Feed takes the next bytes and returns how many messages end in them.
func (s *MessageScan) Feed(b []byte) (messages int) {
	for len(b) > 0 {
		if s.left > 0 {
			n := min(uint64(s.left), uint64(len(b)))
			b = b[n:]
			if s.left -= uint32(n); s.left == 0 {
				messages++
			}
			continue
		}
		n := copy(s.prefix[s.have:], b)
		b = b[n:]
		if s.have += uint8(n); s.have < prefixSize {
			break
		}
		s.have = 0
		if s.left = binary.BigEndian.Uint32(s.prefix[lengthStart:]); s.left == 0 {
			messages++
		}
	}
	return messages
}

// Within reports whether the bytes so far end within a message.
func (s *MessageScan) Within() bool { return s.left > 0 || s.have > 0 }
