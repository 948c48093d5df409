package http1

import (
	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// mirrorCopy is a request that is to be mirrored, as far as it has been sent.
type mirrorCopy struct {
	srv     *Server
	pool    *dispatch.Pool
	request bridge.Request
	chunks  ChunkScanner // of what addSent is given, where that is chunked
	room    int          // bytes of body that may still be added; negative once it is too large
	body    []byte
}

// mirror copies the request that is about to be sent. With stream, what is sent of it later is added, and whoever sends it submits the copy
// at its end.
func (c *clientConn) mirror(out outgoing, stream bool) {
	x := &c.x
	if x.Mirror == nil {
		return
	}
	m := &mirrorCopy{srv: c.srv, pool: x.Mirror, room: x.Route.Mirror.MaxBodyBytes}
	x.Mirror = nil // retries are not mirrored again
	var headLen int
	m.request, headLen = bridgedRequest(out.head, c.scheme())
	m.request.Retrace(x.MirrorTraceContext())
	m.request.Held, m.request.Fresh, m.request.ExpectContinue = true, true, false
	m.addSent(out.head[headLen:])
	m.addSent(out.body)
	if stream {
		c.upload.copy = m
		return
	}
	m.submit()
}

// addSent appends a piece of the body as it is sent, framing included. A nil copy takes nothing.
func (m *mirrorCopy) addSent(p []byte) {
	if m == nil || m.room < 0 {
		return
	}
	if m.request.Length >= 0 {
		m.add(p)
		return
	}
	for len(p) > 0 {
		n, data, done, err := m.chunks.Next(p)
		if err != nil {
			panic("BUG: a chunk that is sent is malformed: " + err.Error())
		}
		m.add(data)
		if p = p[n:]; done {
			return
		}
	}
}

// add appends a piece of the body. A nil copy takes nothing.
func (m *mirrorCopy) add(payload []byte) {
	if m == nil || m.room < 0 {
		return
	}
	if m.room -= len(payload); m.room < 0 {
		m.body = nil
		return
	}
	m.body = append(m.body, payload...)
}

// submit sends the copy on its way, or drops it. A nil copy goes nowhere.
func (m *mirrorCopy) submit() {
	switch {
	case m == nil:
	case m.room < 0:
		m.srv.dispatcher.MirrorDropped(m.pool, "body_too_large")
	default:
		m.srv.mirrors.Submit(m.pool, &m.request, m.body, false)
	}
}
