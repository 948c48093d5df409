package http1

import (
	"io"
	"sync/atomic"
	"time"
)

// tripUpload is the second goroutine of a trip: it sends what is left of a request while the first one relays the response.
type tripUpload struct {
	streamed bool          // the body is read from the client while the request is sent; else it is held as a whole
	done     chan struct{} // closed when the goroutine has ended; nil if there is none
	read     atomic.Bool   // the body was read to its last byte
	stopping atomic.Bool   // the response is over: stop reading

	// The goroutine's own until done.
	left  int64  // bytes of the body that are missing; negative where the length is unknown
	chunk []byte // a piece of a body of unknown length, as it is sent
	sent  bool   // everything was written
	err   error  // why the body broke off
}

// stream sends the head, and then the body as the client sends it.
func (t *trip) stream(u *upstreamConn) {
	t.upload.done = make(chan struct{})
	go func() {
		defer close(t.upload.done)
		t.uploadAll(u)
	}()
}

// sendRest sends what the socket did not take at once of a request that is held as a whole.
func (t *trip) sendRest(u *upstreamConn, left outgoing) {
	t.upload.done = make(chan struct{})
	t.upload.read.Store(true)
	go func() {
		defer close(t.upload.done)
		t.upload.sent = u.write(left) == nil
	}()
}

// uploadAll returns early when the endpoint takes no more: its answer, or its absence, then tells why.
func (t *trip) uploadAll(u *upstreamConn) {
	if u.write(outgoing{head: t.sc.out}) != nil {
		return
	}
	if t.held != nil && !t.sendPiece(u, t.held.bytes()) {
		return
	}
	b := getBuffer(largeBuffer)
	defer b.release()
	for {
		n, err := t.client.Read(b.b)
		if n > 0 && !t.sendPiece(u, b.b[:n]) {
			return
		}
		if err != nil {
			t.bodyEnded(u, err)
			return
		}
	}
}

// sendPiece sends a piece of the body, and reports whether the endpoint has taken it.
func (t *trip) sendPiece(u *upstreamConn, p []byte) bool {
	up := &t.upload
	if t.request.Length < 0 {
		up.chunk = appendChunkSize(up.chunk[:0], len(p))
		up.chunk = append(up.chunk, p...)
		up.chunk = append(up.chunk, "\r\n"...)
		return u.write(outgoing{head: up.chunk}) == nil
	}
	if up.left -= int64(len(p)); up.left < 0 {
		t.brokeOff(errLongBody)
		return false
	}
	if up.left == 0 {
		up.read.Store(true) // the end, which Read has yet to tell, adds nothing
	}
	err := u.write(outgoing{head: p})
	up.sent = err == nil && up.left == 0
	return err == nil
}

// bodyEnded deals with the end of the body, or with a client that broke off. In that case the connection is reset, so that the request
// can never look complete to the endpoint.
func (t *trip) bodyEnded(u *upstreamConn, err error) {
	up := &t.upload
	switch {
	case err == io.EOF && t.request.Length < 0:
		up.read.Store(true)
		up.sent = u.write(outgoing{head: t.appendLastChunk(up.chunk[:0])}) == nil
	case err == io.EOF && up.left > 0:
		t.brokeOff(errShortBody)
	case err != io.EOF && !up.stopping.Load():
		t.brokeOff(err)
	}
}

func (t *trip) brokeOff(err error) {
	t.upload.err = err
	t.interrupt()
}

// endUpload waits until the uploader has ended, and reports whether the whole request was sent. If the response is over before the body
// is, the uploader is made to stop, and the connection is cut: half a request must never stay on one that somebody else gets.
func (t *trip) endUpload() (sent bool) {
	up := &t.upload
	if up.done == nil {
		return true
	}
	inTime := t.complete && up.read.Load()
	up.stopping.Store(true)
	// A body of unknown length was read once Read has told its end. One of known length was read before that, so a Read may yet wait.
	if up.streamed && !(up.read.Load() && (t.request.Length < 0 || up.ended())) {
		t.client.StopReading()
	}
	if !inTime || !up.endsWithin(lastWrite) {
		t.interrupt() // wakes it from a write that the endpoint does not take
		<-up.done
	}
	return up.sent
}

// ended reports whether the uploader has ended.
func (up *tripUpload) ended() bool {
	select {
	case <-up.done:
		return true
	default:
		return false
	}
}

// endsWithin reports whether the uploader ends by itself in time.
func (up *tripUpload) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-up.done:
		return true
	case <-timer.C:
		return false
	}
}
