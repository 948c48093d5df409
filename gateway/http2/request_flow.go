package http2

import (
	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
)

// headers handles a header block of the client: a request, or the trailers of one.
func (c *clientConn) headers(b *batch, id uint32, end, tooLarge bool) error {
	if id&1 == 0 {
		return connErrorf(errProtocol, "a client opened stream %d, which is a server's number", id)
	}
	if newest := c.newest.Load(); id <= newest {
		return c.requestTrailers(b, id, end && !tooLarge)
	}
	c.newest.Store(id)
	s := c.newStream()
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.head.read(c.fields)
	if fault == malformed || end && s.head.length > 0 {
		c.recycle(s)
		return c.misused(b, id, errProtocol)
	}
	if !c.attach(s, id, maxStreams(&c.opts.Limits)) {
		c.recycle(s)
		c.resetStream(b, id, errRefused)
		return c.countReset()
	}
	s.x.Reset(c.srv.dispatcher)
	s.x.Started = dispatch.Now()
	s.begin(b, id, end)
	s.x.BeginTrace()
	switch limits := &s.opts.Limits; {
	case tooLarge || len(c.fields) > limits.HeaderCount+pseudoFields:
		s.refuse(b, replyHeadTooLarge)
	case fault != sound:
		s.refuse(b, faultReplies[fault])
	case len(s.head.path) > limits.RequestTargetBytes:
		s.refuse(b, replyTargetTooLong)
	case !s.head.grpc && limits.BodyBytes > 0 && s.head.length > limits.BodyBytes:
		s.refuse(b, replyBodyTooLarge)
	default:
		s.route(b)
	}
	return nil
}

// pseudoFields is how many pseudo-header fields a request has.
const pseudoFields = 4

// requestTrailers handles a second header block on a stream. sound says that it ends the request and is not too large.
func (c *clientConn) requestTrailers(b *batch, id uint32, sound bool) error {
	closed := func() error {
		if c.wasCut(id) {
			return nil
		}
		return connErrorf(errStreamClosed, "HEADERS came on stream %d, which is closed", id)
	}
	s := c.stream(id)
	if s == nil {
		return closed()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.is(id) { // it ended since
		return closed()
	}
	switch {
	case s.up.ended && s.down.sentEnd: // only the goroutine that had the stream has not forgotten it yet
		return closed()
	case s.up.ended:
		c.resetStream(b, id, errStreamClosed)
	case !sound || !validTrailers(c.fields) || s.head.length >= 0 && s.body != s.head.length:
		c.resetStream(b, id, errProtocol)
	default:
		s.up.trailers = append(s.up.trailers[:0], c.fields...)
		s.requestBytes(b, nil, 0, true)
		return nil
	}
	s.leave(b)
	return c.countReset()
}

// requestData takes DATA of the request. It reports open false, and takes nothing, if the stream has ended since it was looked up.
func (s *stream) requestData(b *batch, id uint32, p []byte, size int, end bool) (open bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.is(id) {
		return false, nil
	}
	code := errNone
	switch length := s.head.length; {
	case s.up.ended:
		code = errStreamClosed
	case length >= 0 && (s.body+int64(len(p)) > length || end && s.body+int64(len(p)) < length):
		code = errProtocol // RFC 9113, section 8.1.1
	case !s.requestBytes(b, p, size, end):
		code = errFlowControl
	}
	if code == errNone {
		return true, nil
	}
	s.c.refuseData(b, size)
	s.c.resetStream(b, id, code)
	s.leave(b)
	return true, s.c.countReset()
}

// requestBytes moves the request on. It reports false if the client sent more than it may.
func (s *stream) requestBytes(b *batch, p []byte, size int, end bool) bool {
	s.body += int64(len(p))
	if limit := s.opts.Limits.BodyBytes; !s.head.grpc && limit > 0 && s.body > limit {
		s.c.refuseData(b, size)
		s.stop(b, verdict{replyBodyTooLarge, dispatch.Refused})
		return true
	}
	if s.stage == stageReply {
		s.c.refuseData(b, size)
		s.up.ended = s.up.ended || end
		return true
	}
	own := 0
	if s.rename != nil {
		renamed, ok := s.rename.feed(p, end)
		if !ok {
			s.c.refuseData(b, size)
			s.stop(b, verdict{replyModelTooLong, dispatch.Refused})
			return true
		}
		own = len(renamed) - len(p)
		p = renamed
	}
	s.keep(p)
	if !s.up.take(b, p, size, own, end) {
		return false
	}
	if end && s.x.Mirror != nil {
		s.endMirror()
	}
	switch s.stage {
	case stageModel:
		s.route(b)
	case stageRelay, stageHanded:
		switch {
		case s.headSent:
		case s.up.ended:
			s.await(s.opts.times.response, true)
		case !s.head.grpc:
			s.blocked = false
			s.await(s.opts.times.body, true)
		}
	}
	return true
}

// keep holds on to the body as far as it may be needed once more.
func (s *stream) keep(p []byte) {
	s.replay.add(p, s.body == int64(len(p)), s.head.grpc)
	if s.x.Mirror != nil {
		s.copyForMirror(p)
	}
}

// route finds out where the request goes, and sends it on its way. More of the body may be needed for that.
func (s *stream) route(b *batch) {
	x := &s.x
	for {
		action, reply := x.Match()
		switch action {
		case dispatch.NeedModel:
			if !s.findModel(b) {
				return
			}
			continue
		case dispatch.Refuse:
			s.refuse(b, reply)
		case dispatch.Local:
			s.goOn(stageHanded, s.answerLocally)
		case dispatch.Serve:
			s.serveLocally()
		case dispatch.Forward:
			s.forward(b)
		}
		return
	}
}

// forward sends the request to an endpoint of its pool.
func (s *stream) forward(b *batch) {
	x := &s.x
	if !s.readPrompt(b) {
		return
	}
	if s.hasModel && x.Target.Model != "" && x.Target.Model != string(x.Request.Model) {
		if !s.replaceModel(b) {
			return
		}
	}
	if x.Mirror != nil {
		s.beginMirror()
	}
	if x.Traced() != nil && !s.head.grpc {
		x.TraceRequest(bytesOf(s.head.contentType), s.up.held[s.up.start:])
	}
	if !x.TryAdmit() {
		s.goOn(stageWait, s.waitForEndpoint)
		return
	}
	s.connect(b)
}

// connect sends the request to the endpoint that it was given.
func (s *stream) connect(b *batch) {
	ways := s.x.Endpoint.Upstream.(*bridge.Upstreams)
	up, isHTTP2 := ways.For(s.head.grpc).(*Upstream)
	if !isHTTP2 {
		s.goOn(stageHanded, s.handOver)
		s.await(s.opts.times.body, !s.up.ended)
		return
	}
	if u := up.reserve(); u != nil && s.send(b, u) {
		return
	}
	s.goOn(stageWait, s.waitForConnection)
}

// goOn lets a goroutine of its own have the stream. f is called without the lock.
func (s *stream) goOn(stage stage, f func()) {
	s.stage = stage
	s.until.Store(0)
	if s.up.wake == nil {
		s.up.wake, s.down.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	s.c.srv.running.Add(1)
	go func() {
		defer s.c.srv.running.Done()
		f()
	}()
}

// identify says who sends what: dispatch and the access log want to know.
func (s *stream) identify() {
	x, h := &s.x, &s.head
	x.Protocol, x.Secure = "HTTP/2", s.c.secure
	r := &x.Request
	r.Method, r.Path, r.Host, r.Header = bytesOf(h.method), bytesOf(h.path), bytesOf(h.authority), h
	if h.grpc {
		s.service, s.method, _ = grpc.SplitPath(h.path)
		r.GRPCService, r.GRPCMethod = bytesOf(s.service), bytesOf(s.method)
	}
	s.identifyClient()
}
