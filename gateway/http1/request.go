package http1

import (
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/openai"
)

// gatherBytes is the longest body of known length that is waited for before the request is sent: then head and body go out
// in one write, and a request that met a stale connection can be sent again. Longer and chunked bodies are streamed.
const gatherBytes = 64 << 10

// stage is how far the request at the front of the client's bytes has been read.
type stage uint8

const (
	stageHead stage = iota // its head is not complete
	stageBody              // its head is parsed; the body may be incomplete
)

// request is what is known of the request that is being read.
type request struct {
	stage     stage
	headLen   int   // bytes of the head
	length    int64 // of the body; -1 when chunked
	scanned   int   // bytes of a chunked body that chunks has seen
	bodyLen   int   // bytes of the body, framing included, once it is complete
	complete  bool  // the whole body is in the buffer
	matched   bool  // route and pool are known
	continued bool  // 100 Continue was sent by the gateway
	wantModel bool  // the model's name is looked for in the body
	// wantPrompt says that the body's prompt is being read, prompted that this is done.
	wantPrompt, prompted bool
	minor                uint8
	close                bool // the client's connection is not to be kept
	head                 bool // HEAD: the response has no body
	expect               bool // the client waits for 100 Continue
	upgrade              bool // the client asks for a tunnel
	chunks               ChunkScanner
	scan                 openai.ModelScan
	aliased              bool // the model's name is replaced
	hasModel             bool // the scan found a name
}

// request goes on with the request at the front of the buffer as far as the bytes allow.
func (c *clientConn) request() verdict {
	if c.req.stage == stageHead {
		if v := c.parseHead(); v != goOn {
			return v
		}
	}
	q := &c.req
	if !q.matched {
		if v := c.match(); v != goOn {
			return v
		}
	}
	if v := c.advance(); v != goOn {
		return v
	}
	if !q.prompted {
		if v := c.readPrompt(); v != goOn {
			return v
		}
	}
	switch {
	case q.upgrade:
		return streamIt
	case q.complete:
		return c.exchange(false)
	case !q.expect && q.length >= 0 && q.length <= gatherBytes:
		if need := q.headLen + int(q.length); len(c.in.b)-c.in.start < need {
			c.grow(need)
		}
		c.arm(phaseBody, dispatch.Now(), c.times.body)
		return needMore
	default:
		return streamIt
	}
}

func (c *clientConn) parseHead() verdict {
	sc := c.scratch()
	c.useSettings()
	n, err := sc.req.Parse(c.in.bytes(), &c.opts.heads)
	if err != nil {
		return c.refuseHead(err)
	}
	if n == 0 {
		if phase(c.phase.Load()) != phaseHead {
			c.arm(phaseHead, dispatch.Now(), c.times.head)
		}
		return needMore
	}
	c.begin(n)
	switch {
	case sc.req.TargetForm == AuthorityForm:
		c.req.close = true // what follows may be meant for the tunnel, so it must not be taken for a request
		return c.refuse(replyConnect)
	case c.opts.Limits.BodyBytes > 0 && sc.req.Length > c.opts.Limits.BodyBytes:
		return c.refuse(replyBodyTooLarge)
	}
	return goOn
}

// begin starts the exchange of the request whose head was parsed.
func (c *clientConn) begin(headLen int) {
	h, x := &c.sc.req, &c.x
	c.req = request{
		stage: stageBody, headLen: headLen, length: h.Length, minor: h.Minor, close: h.Close,
		head: string(h.Method) == "HEAD", upgrade: wantsWebSocket(h),
		expect: h.Expect100 && h.Minor > 0 && h.Length != 0,
	}
	c.req.chunks.Reset()
	c.resp = response{}
	c.upload.streamed, c.upload.copy = false, nil
	c.upload.complete.Store(false)
	c.cut.Store(uint32(cutNone))
	c.srv.active.Add(1)
	x.Reset(c.srv.dispatcher)
	if c.gone.Load() {
		x.Cancel() // Reset has forgotten an earlier one
	}
	x.Started = dispatch.Now()
	x.Protocol, x.Secure = "HTTP/1.1", c.secure
	if h.Minor == 0 {
		x.Protocol = "HTTP/1.0"
	}
	c.identify()
	c.describe()
	x.BeginTrace()
	c.arm(phaseNone, 0, 0)
}

// wantsWebSocket reports whether a request asks for a tunnel. No other protocol is tunnelled: what a client says within h2c, for
// one, would get past the routes. Its request goes on without the upgrade, as RFC 9110, section 7.8, has it.
func wantsWebSocket(h *RequestHead) bool {
	if !h.Upgrade || h.Length != 0 {
		return false
	}
	protocol, _ := h.Get(field.Upgrade)
	return field.EqualFold(protocol, "websocket")
}

// describe points the exchange at what routes match on.
func (c *clientConn) describe() {
	h, r := &c.sc.req, &c.x.Request
	r.Method, r.Path = h.Method, h.Path
	r.Host = h.Authority
	if r.Host == nil {
		r.Host, _ = h.Get(field.Host)
	}
	r.Header = h
	c.x.RequestID = c.requestID()
}

// reparse parses the head again after the buffer under it has moved.
func (c *clientConn) reparse() {
	h := &c.sc.req
	h.Reset()
	if n, err := h.Parse(c.in.bytes(), &c.opts.heads); err != nil || n != c.req.headLen {
		panic("BUG: a request's head parses differently after it moved")
	}
	c.describe()
}

// match finds the route and the pool, reading the model's name from the body where a route needs it.
func (c *clientConn) match() verdict {
	q, x := &c.req, &c.x
	for {
		action, reply := x.Match()
		switch action {
		case dispatch.NeedModel:
			if v := c.findModel(); v != goOn {
				return v
			}
			continue
		case dispatch.Refuse:
			return c.refuse(reply)
		case dispatch.Local:
			return c.refuse(x.Local())
		}
		q.matched = true
		q.aliased = q.hasModel && x.Target.Model != "" && x.Target.Model != string(x.Request.Model)
		return goOn
	}
}

// advance takes note of the body's bytes that have arrived.
func (c *clientConn) advance() verdict {
	q := &c.req
	if q.complete {
		return goOn
	}
	body := c.in.bytes()[q.headLen:]
	if q.length >= 0 {
		q.complete = int64(len(body)) >= q.length
		q.bodyLen = int(min(q.length, int64(len(body))))
		return goOn
	}
	for q.scanned < len(body) && !q.complete {
		n, data, done, err := q.chunks.Next(body[q.scanned:])
		if err != nil {
			return c.refuseBody(err)
		}
		if q.wantModel || q.wantPrompt {
			c.sc.plain = append(c.sc.plain, data...)
		}
		q.scanned += n
		q.complete = done
	}
	q.bodyLen = q.scanned
	if limit := c.opts.Limits.BodyBytes; limit > 0 && q.chunks.Data() > limit {
		return c.refuse(replyBodyTooLarge)
	}
	return goOn
}

// payload is the body that has arrived, without framing. For chunked bodies it is there only while the model or the prompt is wanted.
func (c *clientConn) payload() []byte {
	if c.req.length < 0 {
		return c.sc.plain
	}
	return c.in.bytes()[c.req.headLen:][:c.req.bodyLen]
}

// findModel looks for the model's name in what has arrived of the request. It says goOn when the answer is known.
func (c *clientConn) findModel() verdict {
	q, x, sc := &c.req, &c.x, c.sc
	if !q.wantModel {
		if model, ok := openai.ModelFromPath(sc.req.Path); ok {
			sc.model = append(sc.model[:0], model...) // the path moves with its buffer
			x.Request.Model, x.Request.ModelKnown = sc.model, true
			return goOn
		}
		if _, encoded := sc.req.Get(field.ContentEncoding); encoded && q.length != 0 {
			return c.refuse(replyEncodedBody)
		}
		q.wantModel = true
		contentType, _ := sc.req.Get(field.ContentType)
		q.scan.Reset(contentType)
	}
	if v := c.advance(); v != goOn {
		return v
	}
	body := c.payload()
	state := q.scan.Scan(body)
	if state == openai.NeedMore && !q.complete {
		return c.holdMore(len(body))
	}
	if state == openai.NeedMore {
		state = q.scan.Finish(body)
	}
	if state == openai.Found {
		q.hasModel = true
		sc.model = append(sc.model[:0], q.scan.Model(body, sc.model[:0])...)
		x.Request.Model = sc.model
	}
	x.Request.ModelKnown = true
	return goOn
}

// holdMore waits for more of a body in which the model has not appeared yet.
func (c *clientConn) holdMore(held int) verdict {
	q := &c.req
	limit := c.opts.Limits.HeldBodyBytes
	if held >= limit || c.in.len()-q.headLen >= 2*limit+smallBuffer { // framing may be many times the payload
		return c.refuse(replyModelTooDeep)
	}
	if q.expect && !q.continued {
		if err := c.write(lineContinue, nil); err != nil {
			return c.abandon()
		}
		q.continued, q.expect = true, false
	}
	if q.length > 0 {
		need := q.headLen + int(min(q.length, int64(limit)))
		if len(c.in.b)-c.in.start < min(need, 2*c.in.len()+smallBuffer) {
			c.grow(min(need, 4*c.in.len()+smallBuffer))
		}
	}
	c.arm(phaseBody, dispatch.Now(), c.times.body)
	return needMore
}

// abandon ends an exchange whose client has left before there was an answer.
func (c *clientConn) abandon() verdict {
	c.finish(dispatch.ClientGone)
	return hangUp
}
