package grpc

import (
	"encoding/binary"
	"math"
)

// Delta returns by how many bytes the body grows, or shrinks if it is negative, when model replaces the name that was Found. ok is false
// if the message would be longer than gRPC's prefix can say, 4 GiB less a byte.
func (s *ModelScan) Delta(model string) (n int, ok bool) {
	lengths := s.lengths(model)
	return int(lengths[0] - s.levels[0].size()), lengths[0] <= math.MaxUint32
}

// Replace appends b to dst with model in place of the name that was Found. b is what has arrived of the body; what is still to come
// follows it as it is. The lengths that the name changes are written anew, and all other bytes are kept as they are. Where Delta is not ok,
// Replace is not either, and returns dst as it was: a client can bring that about by the length that it claims.
//
// Only the first name in the first message is replaced. The later messages of a stream have names of their own.
func (s *ModelScan) Replace(dst, b []byte, model string) (out []byte, ok bool) {
	lengths := s.lengths(model)
	if lengths[0] > math.MaxUint32 {
		return dst, false
	}
	dst = append(dst, b[:lengthStart]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(lengths[0]))
	from := int64(prefixSize)
	for i := 1; i <= int(s.depth)+1; i++ {
		dst = append(dst, b[from:s.levels[i].length]...)
		dst = appendVarint(dst, uint64(lengths[i]))
		from = s.levels[i].start
	}
	dst = append(dst, model...)
	return append(dst, b[s.levels[s.depth+1].end:]...), true
}

// lengths returns the lengths that the levels have with model as the name.
func (s *ModelScan) lengths(model string) (lengths [maxPath + 1]int64) {
	name := int(s.depth) + 1
	lengths[name] = int64(len(model))
	for i := name; i > 0; i-- {
		l := &s.levels[i]
		before := l.end - l.length // of its length and content
		after := int64(varintSize(uint64(lengths[i]))) + lengths[i]
		lengths[i-1] = s.levels[i-1].size() + after - before
	}
	return lengths
}

// size returns the length of the level's content, in bytes.
func (l *level) size() int64 { return l.end - l.start }
