package http1

import (
	"context"
	"sync"
	"time"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// maxMirrored is how many mirrored requests may be underway at once. Beyond it copies are dropped and counted: a mirror must never
// make the original wait.
const maxMirrored = 512

// mirrors sends copies of requests to other pools and drops the answers.
type mirrors struct {
	srv     *Server
	mu      sync.Mutex
	running map[*mirrorTrip]struct{}
	closed  bool
	wait    sync.WaitGroup
}

// mirrorCopy is a request that is to be mirrored, as it is sent.
type mirrorCopy struct {
	srv    *Server
	pool   *dispatch.Pool
	toHEAD bool
	room   int // bytes that may still be added; negative once it is too large
	data   []byte
}

func newMirrors(s *Server) *mirrors {
	return &mirrors{srv: s, running: make(map[*mirrorTrip]struct{})}
}

// mirror copies the request that is about to be sent. With stream the uploader completes the copy.
func (c *clientConn) mirror(out outgoing, stream bool) {
	x := &c.x
	if x.Mirror == nil {
		return
	}
	m := &mirrorCopy{srv: c.srv, pool: x.Mirror, toHEAD: c.req.head, room: c.req.headLen + x.Route.Mirror.MaxBodyBytes}
	x.Mirror = nil // retries are not mirrored again
	if stream {
		c.upload.copy = m
		return
	}
	m.add(out.head)
	m.add(out.body)
	c.srv.mirrors.submit(m)
}

// add appends to the copy. A nil copy takes nothing.
func (m *mirrorCopy) add(p []byte) {
	if m == nil || m.room < 0 {
		return
	}
	if m.room -= len(p); m.room < 0 {
		m.data = nil
		return
	}
	m.data = append(m.data, p...)
}

// submit sends a copy on its way, or drops it.
func (ms *mirrors) submit(m *mirrorCopy) {
	if m == nil {
		return
	}
	if m.room < 0 {
		ms.srv.dispatcher.MirrorDropped(m.pool, "body_too_large")
		return
	}
	t := &mirrorTrip{copy: m}
	ms.mu.Lock()
	ok := !ms.closed && len(ms.running) < maxMirrored
	if ok {
		ms.running[t] = struct{}{}
		ms.wait.Add(1)
	}
	ms.mu.Unlock()
	if !ok {
		ms.srv.dispatcher.MirrorDropped(m.pool, "too_many")
		return
	}
	go func() {
		defer ms.wait.Done()
		t.run(ms)
		ms.mu.Lock()
		delete(ms.running, t)
		ms.mu.Unlock()
	}()
}

// close cuts all mirrored requests and waits for them to end.
func (ms *mirrors) close() {
	ms.mu.Lock()
	ms.closed = true
	for t := range ms.running {
		t.cut(dispatch.ClientGone)
	}
	ms.mu.Unlock()
	ms.wait.Wait()
}

// mirrorTrip is one mirrored request.
type mirrorTrip struct {
	copy  *mirrorCopy
	x     dispatch.Exchange
	head  ResponseHead
	body  body
	timer *time.Timer
	idle  time.Duration
	sent  chan struct{} // closed when the rest of a long request was written

	mu     sync.Mutex
	u      *upstreamConn
	cancel context.CancelFunc
	isCut  bool
	why    dispatch.Outcome // it was cut

	complete, reusable bool
}

func (t *mirrorTrip) run(ms *mirrors) {
	x := &t.x
	x.UseMirror(ms.srv.dispatcher, t.copy.pool)
	x.Started, x.Protocol = dispatch.Now(), "HTTP/1.1"
	if !x.AdmitNow() {
		ms.srv.dispatcher.MirrorDropped(t.copy.pool, "no_room")
		x.Finish(dispatch.Refused)
		return
	}
	up := x.Endpoint.Upstream.(*bridge.Upstreams).HTTP1.(*Upstream)
	u := t.connect(up)
	if u == nil {
		x.Finish(dispatch.ConnectFailed)
		return
	}
	times := &ms.srv.settings.Load().times
	t.idle = time.Duration(max(times.response, times.stream))
	if t.idle > 0 {
		t.timer = time.AfterFunc(t.idle, func() { t.cut(dispatch.UpstreamTimeout) })
		defer t.timer.Stop()
	}
	u.roundTrip(t, outgoing{head: t.copy.data})
	t.mu.Lock()
	t.u = nil
	isCut, why := t.isCut, t.why
	t.mu.Unlock()
	sending := t.sent != nil
	if isCut || !t.complete || !t.reusable || sending {
		u.abort()
	} else {
		u.used = true
		up.put(u, 0, dispatch.Now())
	}
	if sending {
		<-t.sent
	}
	if t.complete {
		x.Status = t.head.Status
		x.Finish(dispatch.Completed)
		return
	}
	if !isCut {
		why = dispatch.UpstreamBroken
	}
	x.Finish(why)
}

func (t *mirrorTrip) connect(up *Upstream) *upstreamConn {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t.mu.Lock()
	t.cancel = cancel
	stop := t.isCut
	t.mu.Unlock()
	if stop {
		return nil
	}
	u, err := up.dial(ctx) // a fresh connection: a mirrored request is never retried
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isCut {
		u.abort()
		return nil
	}
	t.u = u
	return u
}

// cut ends the request. It may be called from any goroutine.
func (t *mirrorTrip) cut(why dispatch.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isCut {
		return
	}
	t.isCut, t.why = true, why
	if t.cancel != nil {
		t.cancel()
	}
	if t.u != nil {
		t.u.abort()
	}
}

func (t *mirrorTrip) sendRest(u *upstreamConn, left outgoing) {
	t.sent = make(chan struct{})
	go func() {
		defer close(t.sent)
		u.write(left)
	}()
}

func (t *mirrorTrip) feed(u *upstreamConn) bool {
	if t.timer != nil {
		t.timer.Reset(t.idle)
	}
	for t.body.framing == headPending {
		n, err := t.head.Parse(u.buf.bytes(), &upstreamHeads, t.copy.toHEAD)
		if err != nil {
			return true
		}
		if n == 0 {
			return false
		}
		u.buf.consume(n)
		switch {
		case t.head.Status >= 200:
			t.x.FirstByte()
			t.body.begin(&t.head)
		case t.head.Status == 101:
			return true
		}
	}
	n, done, err := t.body.take(u.buf.bytes(), nil)
	u.buf.consume(n)
	t.complete = done && err == nil
	t.reusable = !t.head.Close && u.buf.len() == 0
	return done || err != nil
}

func (t *mirrorTrip) ended(_ *upstreamConn, err error) {
	t.complete = isEOF(err) && t.body.framing == framedByClose
}
