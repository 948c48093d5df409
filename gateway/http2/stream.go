package http2

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
	"github.com/penstock/penstock/gateway/openai"
)

// stage is who has a stream at present.
type stage uint8

const (
	stageIdle   stage = iota // it is over, or was never begun
	stageModel               // the client's reader: the model's name is looked for in the body
	stageWait                // a goroutine of its own: in the queue, or for a connection to the endpoint
	stageRelay               // the readers of both connections
	stageHanded              // a goroutine of its own: an HTTP/1.1 endpoint, or the gateway itself, answers
	stageReply               // nobody: an answer of the gateway\'s own is on its way, and the rest of the request is dropped
)

// stream is one request of a client: a gRPC call or any other. Streams are used again, by the same connection only; who comes late for an
// earlier use finds another number in id.
type stream struct {
	c *clientConn

	mu    sync.Mutex
	id    uint32 // 0 while it is not in use
	stage stage
	opts  *settings
	head  requestHead
	x     dispatch.Exchange

	u   *upstreamConn // where it is relayed to
	uid uint32
	// mark is where in u's output its head begins, to tell whether any of it was written.
	mark int64

	up, down lane

	prompt   *openai.PromptScan // nil while the prompt is not being read
	prompted bool               // the prompt was read, or is of no interest
	service  string             // of a call
	method   string
	rename   *renamer // replaces the model's name; nil where it stays
	model    grpc.ModelScan
	json     *openai.ModelScan // of requests that are not gRPC
	scanning bool
	hasModel bool // the body names a model
	grown    int  // by how much that makes the body longer

	body     int64 // bytes of the request's body so far
	replay   replay
	copied   []byte // the body so far, for a mirror
	headSent bool   // the client has the head of the final response
	answered int64  // bytes of the response's body so far
	promised int64  // its content-length; -1 where there is none
	status   bool   // grpc-status came
	messages grpc.MessageScan
	usage    *openai.UsageScan

	blocked bool               // the time for the body has passed while the endpoint took nothing of it
	gone    bool               // the client has left while a goroutine has the stream
	verdict verdict            // what that goroutine is to answer, if it was interrupted
	cancel  context.CancelFunc // ends what it waits for
	outcome dispatch.Outcome   // of an answer that is on its way

	deadline atomic.Int64 // the client's own, on dispatch.Now's scale; 0 is none
	until    atomic.Int64 // when the present step must be over; 0 is never
	stalled  atomic.Int64 // since when the client takes nothing of what is held for it; 0 while it does
	idBytes  [32]byte
}

// verdict is why a stream is ended before its endpoint has answered.
type verdict struct {
	reply   *dispatch.Reply // nil: there is none
	outcome dispatch.Outcome
}

// newStream returns a stream that is not in use.
func (c *clientConn) newStream() *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		s := c.free[n-1]
		c.free = c.free[:n-1]
		return s
	}
	s := &stream{c: c}
	s.up.own(&s.mu, s)
	s.down.own(&s.mu, s)
	return s
}

// maxFree is how many streams a connection keeps for further use.
const maxFree = 128

func (c *clientConn) recycle(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) < maxFree {
		c.free = append(c.free, s)
	}
}

// begin makes the stream ready for a request whose head was read. The lock is held.
func (s *stream) begin(b *batch, id uint32, end bool) {
	c := s.c
	s.id, s.opts = id, c.srv.settings.Load()
	s.u, s.uid, s.stage = nil, 0, stageModel
	s.up.reset()
	s.down.reset()
	s.stalled.Store(0)
	s.down.stalled = &s.stalled
	s.up.from, s.up.fromID, s.up.ended = &c.conn, id, end
	s.down.to, s.down.toID = &c.conn, id
	c.mu.Lock()
	s.down.window = c.firstWindow
	c.mu.Unlock()
	s.prompt, s.prompted = nil, false
	s.scanning, s.hasModel, s.grown, s.rename = false, false, 0, nil
	s.body, s.copied = 0, nil
	s.replay.begin(s.head.length)
	s.headSent, s.answered, s.promised, s.status, s.usage = false, 0, -1, false, nil
	s.messages = grpc.MessageScan{}
	s.blocked = false
	s.gone, s.verdict, s.cancel = false, verdict{}, nil
	s.until.Store(0)
	c.srv.active.Add(1)
	s.identify()
	s.setDeadline()
	s.await(s.opts.times.body, !end)
}

// setDeadline reads the client's deadline.
func (s *stream) setDeadline() {
	s.deadline.Store(0)
	if !s.head.grpc || s.head.timeout == "" {
		return
	}
	if d, ok := grpc.ParseTimeout(s.head.timeout); ok {
		s.deadline.Store(s.x.Started + min(int64(d), math.MaxInt64-s.x.Started)) // some ask for more time than there is
		if s.c.srv.deadlines.Add(1) == 1 {
			s.c.srv.rouse()
		}
	}
}

// await sets by when something must have happened, unless timeout is 0 or it does not matter.
func (s *stream) await(timeout int64, matters bool) {
	if timeout == 0 || !matters {
		s.until.Store(0)
		return
	}
	s.until.Store(dispatch.Now() + timeout)
}

// finish ends the stream: the exchange, and what both connections know of it. The lock is held.
func (s *stream) finish(b *batch, o dispatch.Outcome) {
	x, id := &s.x, s.id
	s.disconnect(b)
	s.up.abandon(b, errAbandoned)
	s.down.abandon(b, errAbandoned)
	x.RequestBytes, x.ResponseBytes = s.body, s.answered
	if s.usage != nil {
		x.Usage, x.Events = s.usage.Usage, s.usage.Events
	}
	x.Finish(o)
	s.c.srv.active.Add(-1)
	if s.deadline.Swap(0) != 0 {
		s.c.srv.deadlines.Add(-1)
	}
	s.until.Store(0)
	handed := s.stage == stageWait || s.stage == stageHanded
	s.stage, s.id, s.copied, s.usage = stageIdle, 0, nil, nil
	s.replay.drop()
	s.c.detach(b, id)
	if !handed {
		s.c.recycle(s)
	}
}

// disconnect takes the stream off its endpoint's connection.
func (s *stream) disconnect(b *batch) {
	if s.u != nil {
		s.u.remove(b, s.uid)
		s.down.orphan(b)
		s.up.leaveQueue()
		s.u, s.uid, s.up.to = nil, 0, nil
	}
}

// endUpstream cancels what the endpoint does for the stream, if it has it.
func (s *stream) endUpstream(b *batch, code errCode) {
	if s.u != nil {
		s.u.sendReset(b, s.uid, code)
	}
}

// is reports whether the stream is in use under a number. The lock is held.
func (s *stream) is(id uint32) bool { return s.id == id && s.stage != stageIdle }

// left ends the stream as its client's connection has ended.
func (s *stream) left(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != stageIdle {
		s.leave(b)
	}
}

// cancelled ends the stream as its client has reset it.
func (s *stream) cancelled(b *batch, id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is(id) {
		s.leave(b)
	}
}

// leave frees the endpoint at once. A goroutine that has the stream is told, and finishes it.
func (s *stream) leave(b *batch) {
	switch s.stage {
	case stageWait, stageHanded:
		s.gone = true
		s.interrupt(b)
		s.down.abandon(b, errAbandoned)
		s.c.detach(b, s.id)
	default:
		s.endUpstream(b, errCancel)
		s.finish(b, dispatch.ClientGone)
	}
}

// interrupt wakes the goroutine that has the stream, wherever it waits.
func (s *stream) interrupt(b *batch) {
	s.x.Cancel()
	if s.cancel != nil {
		s.cancel()
	}
	s.up.abandon(b, errAbandoned)
	if s.headSent {
		s.down.abandon(b, errAbandoned)
	}
}

// stop ends the stream before its endpoint has answered, or has answered to the end.
func (s *stream) stop(b *batch, v verdict) {
	switch s.stage {
	case stageWait, stageHanded:
		s.verdict = v
		s.interrupt(b)
	default:
		s.endUpstream(b, errCancel)
		s.disconnect(b)
		s.conclude(b, v)
	}
}

// misuse resets the stream for what its client did on it.
func (s *stream) misuse(b *batch, id uint32, code errCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is(id) {
		s.c.resetStream(b, id, code)
		s.leave(b)
	}
}

// widen adds to what the client takes of the response. It reports false if that gets more than a window can be.
func (s *stream) widen(b *batch, id uint32, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.is(id) || s.down.grow(b, n)
}
