package http1

import "github.com/penstock/penstock/gateway/field"

// trailerLine is what a ChunkScanner keeps of the trailers: enough to check a line's name when its colon comes, wherever the line was
// cut up when it arrived.
type trailerLine struct {
	bytes      int
	fields     int
	nameLength int                      // of the line's name, however long
	name       [field.LongestKnown]byte // the line's name as far as it fits
}

// stepTrailer goes over a byte of the trailers, or of the last line.
func (s *ChunkScanner) stepTrailer(c byte) fault {
	t := &s.trailer
	if s.state == trailerStart && c == '\r' {
		s.state = chunkEndLF
		return noFault
	}
	if s.state == chunkEndLF {
		if c != '\n' {
			return faultBareCR
		}
		s.state = chunkDone
		return noFault
	}
	if s.state == trailerStart {
		if t.fields == orDefault(s.TrailerFields, DefaultTrailerFields) {
			return faultTrailerTooMany
		}
		t.fields++
		t.nameLength = 0
	}
	if t.bytes == orDefault(s.TrailerBytes, DefaultTrailerBytes) {
		return faultTrailerTooLarge
	}
	t.bytes++
	if s.kept != nil {
		*s.kept = append(*s.kept, c)
	}
	switch s.state {
	case trailerStart, trailerName:
		return s.stepTrailerName(c)
	case trailerValue:
		if c == '\r' {
			s.state = trailerLF
		} else if c != '\t' && c < 0x20 || c == 0x7f {
			return textFault(c)
		}
	case trailerLF:
		if c != '\n' {
			return faultBareCR
		}
		s.state = trailerStart
	}
	return noFault
}

// stepTrailerName goes over a byte of a trailer's name, or the colon after it.
func (s *ChunkScanner) stepTrailerName(c byte) fault {
	t := &s.trailer
	if field.Classes[c]&field.ClassToken != 0 {
		if t.nameLength < len(t.name) {
			t.name[t.nameLength] = c
		}
		t.nameLength++
		s.state = trailerName
		return noFault
	}
	if c != ':' || t.nameLength == 0 {
		return nameFault(c, t.nameLength == 0)
	}
	if t.nameLength <= len(t.name) && !field.MayTrail(t.name[:t.nameLength]) {
		return faultTrailerName
	}
	s.state = trailerValue
	return noFault
}

func orDefault(limit, otherwise int) int {
	if limit > 0 {
		return limit
	}
	return otherwise
}
