package http1

import (
	"math"

	"github.com/penstock/penstock/gateway/field"
)

// ChunkScanner follows a chunked body (RFC 9112 7.1) as it goes by: where chunks' data lies and where the message ends, after its
// trailers. The zero value is ready for a body. It keeps no bytes, but for trailers where it is asked to, so the body can be forwarded as
// it is while it arrives; bytes that precede a fault may have been forwarded by then, so the message must be cut, never ended cleanly,
// when there is one.
//
// Sizes are 1 to 16 hexadecimal digits and nothing else; every line ends in CRLF; extensions are visible ASCII, spaces and tabs.
type ChunkScanner struct {
	// TrailerBytes bounds the trailer lines together, with their line ends; 0 is DefaultTrailerBytes.
	TrailerBytes int
	// TrailerFields bounds the number of trailer lines; 0 is DefaultTrailerFields.
	TrailerFields int

	state  chunkState
	digits uint8 // of the chunk's size
	fault  fault // what made the body be refused; it stays so
	left   int64 // bytes of the chunk's data that are to come; the size as far as it is read
	data   int64 // bytes of data so far
	// excess is by how much the bytes of size lines outweigh the data, as addOverhead counts.
	excess    int64
	extension int // bytes of the chunk's extension
	trailer   trailerLine
	kept      *[]byte // takes the trailer lines
}

const (
	// DefaultTrailerBytes is a ChunkScanner's TrailerBytes where it is 0.
	DefaultTrailerBytes = 16 << 10
	// DefaultTrailerFields is a ChunkScanner's TrailerFields where it is 0.
	DefaultTrailerFields = 64

	// maxExtension is the longest extension of one chunk in bytes, its semicolon included. The longest in common use, the chunk
	// signatures of object stores, have about 90.
	maxExtension = 1024
	// maxExcess is how far size lines may outweigh the data in one message, in bytes.
	maxExcess = 16 << 10
	// freeOverhead is how many bytes of a size line count for nothing.
	freeOverhead = 14
)

// chunkState is what comes next.
type chunkState uint8

const (
	chunkSize      chunkState = iota // the first digit of a size
	chunkDigits                      // more digits, or the end of a size
	chunkExtension                   // the rest of a size line
	chunkSizeLF                      // the line feed after a size line
	chunkData                        // data
	chunkDataCR                      // the carriage return after data
	chunkDataLF                      // the line feed after that
	trailerStart                     // a trailer line, or the message's last line
	trailerName                      // the rest of a trailer's name, or its colon
	trailerValue                     // the rest of a trailer line
	trailerLF                        // the line feed after a trailer line
	chunkEndLF                       // the message's last line feed
	chunkDone                        // nothing
)

// Reset makes s ready for another body. It keeps the limits.
func (s *ChunkScanner) Reset() {
	*s = ChunkScanner{TrailerBytes: s.TrailerBytes, TrailerFields: s.TrailerFields}
}

// KeepTrailers makes s append the lines of the trailers, with their line ends and without the message's last, to lines as they go by, from
// now on and until Reset.
func (s *ChunkScanner) KeepTrailers(lines *[]byte) { s.kept = lines }

// Data is how many bytes of data, without framing, have been scanned.
func (s *ChunkScanner) Data() int64 { return s.data }

// Scan goes over the next bytes of the message and returns how many of p belong to it: all of them unless the message is done, which
// is when its last CRLF, after any trailers, has been scanned. With an error, of type *ParseError, the first n bytes were still right.
// Once a message is done or refused Scan takes no more bytes and returns the same.
func (s *ChunkScanner) Scan(p []byte) (n int, done bool, err error) {
	for s.fault == noFault {
		n = s.dataEnd(p, n)
		for s.state == chunkSize && s.excess == 0 {
			line, size := plainChunk(p[n:])
			if line == 0 {
				break
			}
			s.data += int64(size)
			n += line + size + 2
		}
		if n = s.framing(p, n); s.state != chunkData || n == len(p) {
			break
		}
		n += s.take(len(p) - n)
	}
	return n, s.state == chunkDone, s.err()
}

// Next goes on by one step: over framing, over the data of one chunk as far as it is in p, and over the end of that chunk. It returns
// how many bytes of p it went over and the data among them, which may be empty and aliases p. It goes over at least one byte if there
// is one, unless the message is done or refused. done and err are as for Scan.
func (s *ChunkScanner) Next(p []byte) (n int, data []byte, done bool, err error) {
	if s.fault != noFault {
		return 0, nil, false, s.err()
	}
	n = s.dataEnd(p, 0)
	if s.state == chunkSize && s.excess == 0 {
		if line, size := plainChunk(p[n:]); line > 0 {
			s.data += int64(size)
			n += line
			return n + size + 2, p[n : n+size : n+size], false, nil
		}
	}
	if n = s.framing(p, n); s.state != chunkData || n == len(p) {
		return n, nil, s.state == chunkDone, s.err()
	}
	size := s.take(len(p) - n)
	return n + size, p[n : n+size : n+size], false, nil
}

// AppendPayload goes over p as Scan does, and appends the data in it to dst, which may be p[:0].
func (s *ChunkScanner) AppendPayload(dst, p []byte) (n int, _ []byte, done bool, err error) {
	for n < len(p) && !done && err == nil {
		var m int
		var data []byte
		m, data, done, err = s.Next(p[n:])
		dst = append(dst, data...)
		n += m
	}
	return n, dst, done, err
}

// take goes over data, of which there is at least one byte in the chunk and in the room bytes given.
func (s *ChunkScanner) take(room int) int {
	size := min(int64(room), s.left)
	s.left -= size
	s.data += size
	if s.left == 0 {
		s.state = chunkDataCR
	}
	return int(size)
}

// dataEnd goes over the CRLF after a chunk's data if it is at n and all there, and returns how far it got.
func (s *ChunkScanner) dataEnd(p []byte, n int) int {
	if s.state == chunkDataCR && len(p)-n >= 2 && p[n] == '\r' && p[n+1] == '\n' {
		s.state = chunkSize
		return n + 2
	}
	return n
}

// framing goes over p from n on until there is data, or nothing more, or a fault, and returns how far it got.
func (s *ChunkScanner) framing(p []byte, n int) int {
	if s.state == chunkSize {
		if size, digits := plainSize(p[n:]); digits > 0 {
			s.left, s.state = size, chunkData
			s.addOverhead(digits) // cannot fail: digits is at most freeOverhead
			return n + digits + 2
		}
	}
	for n < len(p) && s.state != chunkData && s.state != chunkDone && s.fault == noFault {
		if s.fault = s.step(p[n]); s.fault == noFault {
			n++
		}
	}
	return n
}

// hexDigits maps hexadecimal digits to their value and all other bytes to 0xff.
var hexDigits = makeHexDigits()

func makeHexDigits() (t [256]uint8) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range uint8(10) {
		t['0'+i] = i
	}
	for i := range uint8(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}

// plainSize reads a size line with a size above zero, of few enough digits that it cannot overflow and needs no account of its
// overhead, and no extension. It returns no digits if the line is not such a one or is not all there.
func plainSize(p []byte) (size int64, digits int) {
	for digits < len(p) {
		d := hexDigits[p[digits]]
		if d > 15 {
			break
		}
		size = size<<4 | int64(d)
		digits++
	}
	if digits > freeOverhead || size == 0 || len(p)-digits < 2 || p[digits] != '\r' || p[digits+1] != '\n' {
		return 0, 0
	}
	return size, digits
}

// plainChunk reads a whole chunk at the start of p, with a size line as plainSize reads it, and returns the length of that line and
// of the data. It returns no line if there is not such a chunk or it is not all there.
func plainChunk(p []byte) (line, dataSize int) {
	size, digits := plainSize(p)
	line = digits + 2
	if digits == 0 || int64(len(p)-line)-2 < size {
		return 0, 0
	}
	if end := line + int(size); p[end] != '\r' || p[end+1] != '\n' {
		return 0, 0
	}
	return line, int(size)
}

// addOverhead counts a size line's bytes, without CRLF, against the data that it announces. Data may have as many bytes of overhead
// as it has itself, besides the free ones of each chunk; what goes beyond adds up over the message. This is no laxer than the account
// of Go's net/http, which servers behind may use.
func (s *ChunkScanner) addOverhead(line int) fault {
	s.excess = max(0, s.excess+int64(line)-freeOverhead-s.left)
	if s.excess > maxExcess {
		return faultExtensionExcess
	}
	return noFault
}

// step goes over one byte of framing.
func (s *ChunkScanner) step(c byte) fault {
	switch s.state {
	case chunkSize, chunkDigits:
		return s.stepSize(c)
	case chunkExtension:
		switch {
		case c == '\r':
			s.state = chunkSizeLF
		case field.Classes[c]&field.ClassText == 0:
			if c == '\n' {
				return faultBareLF
			}
			return faultExtension
		case s.extension == maxExtension:
			return faultExtensionTooLong
		default:
			s.extension++
		}
	case chunkSizeLF:
		return s.endSize(c)
	case chunkDataCR:
		if c != '\r' {
			return faultChunkEnd
		}
		s.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return faultChunkEnd
		}
		s.state = chunkSize
	default:
		return s.stepTrailer(c)
	}
	return noFault
}

// stepSize goes over a byte of a chunk's size.
func (s *ChunkScanner) stepSize(c byte) fault {
	if d := hexDigits[c]; d <= 15 {
		if s.state == chunkSize {
			s.state, s.left, s.digits = chunkDigits, 0, 0
		}
		if s.digits == 16 || s.left > math.MaxInt64>>4 {
			return faultChunkOverflow
		}
		s.left = s.left<<4 | int64(d)
		s.digits++
		return noFault
	}
	switch {
	case c == '\n':
		return faultBareLF
	case s.state == chunkSize:
		return faultChunkSize
	case c == '\r':
		s.state, s.extension = chunkSizeLF, 0
	case c == ';':
		s.state, s.extension = chunkExtension, 1
	default:
		return faultChunkSize
	}
	return noFault
}

// endSize goes over the line feed of a size line.
func (s *ChunkScanner) endSize(c byte) fault {
	if c != '\n' {
		return faultBareCR
	}
	if f := s.addOverhead(int(s.digits) + s.extension); f != noFault {
		return f
	}
	s.state = chunkData
	if s.left == 0 {
		s.state = trailerStart
	}
	return noFault
}

func (s *ChunkScanner) err() error {
	if s.fault == noFault {
		return nil
	}
	return &requestErrors[s.fault]
}
