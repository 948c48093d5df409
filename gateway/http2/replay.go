package http2

import (
	"encoding/binary"
	"sync"
)

const (
	// maxReplay is how much of a request's body is kept so that it can be sent to another endpoint, in bytes.
	maxReplay = 64 << 10
	// smallReplay is how much a stream keeps room for between two uses, in bytes.
	smallReplay = 2 << 10
)

// replay is the body of a request so far, kept until an endpoint answers, in case that another endpoint has to be asked. Long bodies are
// not kept.
type replay struct {
	b    []byte
	big  *[maxReplay]byte // beneath b once that is longer than smallReplay
	lost bool             // the body is too long
}

var bigReplays = sync.Pool{New: func() any { return new([maxReplay]byte) }}

// begin makes r ready for a body of the length that is expected; -1 is unknown.
func (r *replay) begin(length int64) {
	r.drop()
	r.lost = length > maxReplay
}

// drop forgets the body.
func (r *replay) drop() {
	if r.big != nil {
		bigReplays.Put(r.big)
		r.big, r.b = nil, nil
	}
	r.b = r.b[:0]
}

// end says that the body will not be needed once more.
func (r *replay) end() {
	r.drop()
	r.lost = true
}

// add appends to the body. first says that p begins it, and grpc that it is a call's: the length of its first message then tells whether
// there is any use.
func (r *replay) add(p []byte, first, grpc bool) {
	switch {
	case r.lost || len(p) == 0:
	case len(r.b)+len(p) > maxReplay || first && grpc && len(p) >= messagePrefix && binary.BigEndian.Uint32(p[1:]) > maxReplay-messagePrefix:
		r.end()
	default:
		if r.big == nil && len(r.b)+len(p) > smallReplay {
			r.big = bigReplays.Get().(*[maxReplay]byte)
			r.b = append(r.big[:0], r.b...)
		}
		r.b = append(r.b, p...)
	}
}
