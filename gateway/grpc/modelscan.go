package grpc

import "encoding/binary"

// ScanState says how far a ModelScan is.
type ScanState uint8

const (
	// NeedMore: the body so far does not tell; scan again when there is more of it.
	NeedMore ScanState = iota
	// Found: Model returns the name.
	Found
	// Absent: the first message names no model, or the body ended before any message.
	Absent
	// Compressed: the first message is compressed and cannot be read here.
	Compressed
	// Malformed: the body is no gRPC message, its first message is not protobuf, or the body ended within it.
	Malformed
)

// A gRPC message follows a prefix: a byte that is 1 if the message is compressed and otherwise 0, and the message's length, big-endian.
const (
	prefixSize  = 5
	lengthStart = 1 // where in the prefix the length begins
)

// ModelScan finds the model's name in the body of a call as it arrives: the value of a field in its first message. It is resumable, jumps
// over the contents of other fields, looks at all other bytes once but for the up to 20 that begin the current field, and its memory does
// not grow with the body.
//
// The first name counts. To protobuf the last of two counts, but then the name would be known only at the end of the message, and the
// gateway would hold whole tensors that come after it. No encoder writes a field twice. A client that does is routed by the first name,
// while its endpoint may go by the second: routes by model choose where a call goes and are no access control. The fields of submessages
// that are there twice are merged by protobuf, and in a list the first counts, so the first submessage with a name decides. An empty name
// is none: protobuf does not tell the two apart.
//
// Of the encoding only what the scan passes is checked, and a name may have any bytes. Groups count as malformed.
//
// The zero value finds nothing: Reset comes first.
type ModelScan struct {
	field Field
	state ScanState
	depth int8 // how many of the field's numbers have been matched by the submessages that pos is in

	pos int64 // the next byte to look at; may lie beyond what has arrived

	// The levels that pos is in: the first is the message, and depth submessages follow. After those comes the name, once it is Found.
	levels [maxPath + 1]level
}

// level is a message, submessage or string, by offsets in the body.
type level struct {
	length int64 // where its length begins
	start  int64 // where its content begins
	end    int64 // where its content ends; 0 for a message whose prefix has not arrived
}

// Reset makes s ready for the body of another call, in whose first message f names the model.
func (s *ModelScan) Reset(f Field) { *s = ModelScan{field: f} }

// Scan looks at b, which is all of the body that has arrived: what earlier calls saw, perhaps at another address, and what has come
// since. ended says that nothing follows. Once the state is not NeedMore it stays, until Reset.
func (s *ModelScan) Scan(b []byte, ended bool) ScanState {
	if s.state != NeedMore {
		return s.state
	}
	s.state = s.scan(b)
	if s.state == NeedMore && ended {
		s.state = Malformed
		if len(b) == 0 {
			s.state = Absent
		}
	}
	return s.state
}

// Model returns the name, once it is Found. It aliases b, which begins as the body does that was scanned.
func (s *ModelScan) Model(b []byte) []byte {
	name := &s.levels[s.depth+1]
	return b[name.start:name.end]
}

func (s *ModelScan) scan(b []byte) ScanState {
	if s.levels[0].end == 0 {
		if state := s.prefix(b); state != Found {
			return state
		}
	}
	for {
		for s.depth > 0 && s.pos == s.levels[s.depth].end {
			s.depth--
		}
		if s.pos == s.levels[0].end {
			return Absent
		}
		if s.pos >= int64(len(b)) {
			return NeedMore
		}
		if state, again := s.next(b); !again {
			return state
		}
	}
}

// prefix reads what stands before the message; Found says that all of it is there.
func (s *ModelScan) prefix(b []byte) ScanState {
	if len(b) > 0 && b[0] != 0 {
		if b[0] == 1 {
			return Compressed
		}
		return Malformed
	}
	if len(b) < prefixSize {
		return NeedMore
	}
	end := prefixSize + int64(binary.BigEndian.Uint32(b[lengthStart:]))
	s.levels[0] = level{length: lengthStart, start: prefixSize, end: end}
	s.pos = prefixSize
	return Found
}

// next passes a field that begins at pos, or goes into it. again says that pos has moved on and the state is still open.
func (s *ModelScan) next(b []byte) (state ScanState, again bool) {
	limit := s.levels[s.depth].end
	// A varint that is not complete within rest is either cut by the end of what has arrived or crosses the end of its message.
	rest := b[s.pos:min(limit, int64(len(b)))]
	short := NeedMore
	if limit <= int64(len(b)) {
		short = Malformed
	}
	tag, n := readVarint(rest)
	if n <= 0 {
		return cutOr(n, short), false
	}
	number := tag >> 3
	if number == 0 || number > maxFieldNumber {
		return Malformed, false
	}
	end := s.pos + int64(n)
	switch tag & 7 {
	case wireVarint:
		_, m := readVarint(rest[n:])
		if m <= 0 {
			return cutOr(m, short), false
		}
		end += int64(m)
	case wireFixed64:
		end += 8
	case wireFixed32:
		end += 4
	case wireBytes:
		size, m := readVarint(rest[n:])
		if m <= 0 {
			return cutOr(m, short), false
		}
		inner := level{length: end, start: end + int64(m)}
		if size > uint64(limit-inner.start) {
			return Malformed, false
		}
		inner.end = inner.start + int64(size)
		if uint32(number) == s.field[s.depth] && size > 0 {
			return s.enter(b, inner)
		}
		end = inner.end
	default:
		return Malformed, false
	}
	if end > limit {
		return Malformed, false
	}
	s.pos = end
	return NeedMore, true
}

func cutOr(n int, cut ScanState) ScanState {
	if n == varintCut {
		return cut
	}
	return Malformed
}

// enter goes into a field on the path. pos stays before a name that has not arrived as a whole.
func (s *ModelScan) enter(b []byte, inner level) (state ScanState, again bool) {
	last := s.field.last(int(s.depth))
	if last && inner.end > int64(len(b)) {
		return NeedMore, false
	}
	s.levels[s.depth+1] = inner
	if last {
		return Found, false
	}
	s.depth++
	s.pos = inner.start
	return NeedMore, true
}
