package http1

import (
	"bytes"
	"io"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/openai"
)

// response is how far the response of the present exchange has been relayed.
type response struct {
	body    body
	payload *ChunkScanner // finds the payload of chunks that are sent without framing
	// trailers are the trailer lines, kept where the head announces some, as they may have a load report.
	trailers []byte
	usage    openai.UsageScan

	begun      bool // a byte of any response head arrived from the endpoint
	sent       bool // the final head was sent to the client
	complete   bool // the endpoint's response ended as it should
	closeUp    bool // the upstream connection is not to be used again
	closeDown  bool // the client connection is not to be kept
	dechunk    bool // the client speaks HTTP/1.0: it gets the payload without framing
	tillClose  bool // for the client the body ends with the connection
	scanUsage  bool // the body may tell token counts
	clientLost bool // a write to the client failed
	tunnel     bool // 101: bytes flow both ways from here on
	failure    dispatch.Outcome
}

// fail ends the response as o says, unless it is over already.
func (r *response) fail(o dispatch.Outcome) bool {
	if r.failure == dispatch.Completed {
		r.failure = o
	}
	r.closeUp = true
	return true
}

// feed relays what the endpoint sent.
func (c *clientConn) feed(u *upstreamConn) bool {
	r := &c.resp
	r.begun = true
	if r.body.framing != headPending {
		return c.relayBody(u, nil)
	}
	for {
		h := &c.sc.resp
		n, err := h.Parse(u.buf.bytes(), &upstreamHeads, c.req.head)
		switch {
		case err != nil:
			c.x.Status = 0
			return r.fail(dispatch.UpstreamBroken)
		case n == 0:
			return false
		case h.Status < 200 && h.Status != 101:
			if !c.sendInterim(h) {
				return true
			}
			u.buf.consume(n)
			if u.buf.len() == 0 {
				return false
			}
		default:
			return c.beginResponse(u, n)
		}
	}
}

// upstreamHeads bounds the heads of responses.
var upstreamHeads = HeadLimits{Bytes: 256 << 10, Fields: 512}

// sendInterim forwards a 1xx response. A 100 that the client has been given already, or did not ask for, is dropped.
func (c *clientConn) sendInterim(h *ResponseHead) bool {
	if c.req.minor == 0 || h.Status == 100 && !c.req.expect {
		return true
	}
	if h.Status == 100 {
		c.req.expect = false
	}
	out := appendStatusLine(c.sc.down[:0], h.Status, h.Reason)
	out = h.AppendFields(out, skipLength)
	out = append(out, "\r\n"...)
	if c.write(out, nil) != nil {
		c.resp.clientLost = true
		c.resp.fail(dispatch.ClientGone)
		return false
	}
	return true
}

func appendStatusLine[T []byte | string](out []byte, status int, reason T) []byte {
	out = append(out, "HTTP/1.1 "...)
	out = append(out, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10), ' ')
	out = append(out, reason...)
	return append(out, "\r\n"...)
}

// beginResponse sends the final head, together with what came of the body.
func (c *clientConn) beginResponse(u *upstreamConn, headLen int) bool {
	h, r, q, x := &c.sc.resp, &c.resp, &c.req, &c.x
	if h.Status == 101 && !q.upgrade {
		return r.fail(dispatch.UpstreamBroken)
	}
	x.FirstByte()
	x.Status = h.Status
	r.closeUp = h.Close
	r.body.begin(h)
	r.tunnel = h.Status == 101
	r.closeUp = r.closeUp || r.tunnel
	if r.dechunk = r.body.framing == framedByChunks && q.minor == 0; r.dechunk {
		r.payload = new(ChunkScanner)
	}
	r.tillClose = r.body.framing == framedByClose || r.dechunk || r.tunnel
	r.closeDown = q.close || r.tillClose || r.tunnel || c.srv.draining.Load() || c.upload.running && !c.upload.complete.Load()
	contentType, _ := h.Get(field.ContentType)
	_, encoded := h.Get(field.ContentEncoding)
	c.watchUsage(contentType, !encoded && !h.NoBody && h.Status == 200)
	if h.seen&maskLoadReports != 0 {
		c.tellLoad(h)
	}
	if h.seen&maskTrailer != 0 && r.body.framing == framedByChunks {
		r.body.chunks.KeepTrailers(&r.trailers)
	}
	head := c.responseHead(h)
	u.buf.consume(headLen)
	r.sent = true
	if r.tunnel {
		c.tunnelling.Store(true) // before the client can half-close its side
		c.write(head, nil)
		return true
	}
	return c.relayBody(u, head)
}

// tellLoad hands on the load reports in a head.
func (c *clientConn) tellLoad(h *ResponseHead) {
	if report, ok := h.Get(field.EndpointLoadMetrics); ok {
		c.x.LoadReport(report, false)
	}
	if report, ok := h.Get(field.EndpointLoadMetricsBin); ok {
		c.x.LoadReport(report, true)
	}
}

// watchUsage looks for token counts where a model server gives them: in a body that is there, plain, and no error (told).
func (c *clientConn) watchUsage(contentType []byte, told bool) {
	sse := bytes.HasPrefix(contentType, []byte("text/event-stream"))
	c.x.Streamed = sse
	c.resp.scanUsage = told && (sse || bytes.HasPrefix(contentType, []byte("application/json")))
	if c.resp.scanUsage {
		c.resp.usage.Reset(sse)
	}
}

var (
	skipResponse  = NewFieldSet(field.XRequestID)
	skipDechunked = NewFieldSet(field.XRequestID, field.Trailer)
	skipNoContent = NewFieldSet(field.XRequestID, field.ContentLength)
	skipLength    = NewFieldSet(field.ContentLength) // interim responses and 204 must not have it (RFC 9110, section 8.6)
)

// responseHead builds the head that the client gets.
func (c *clientConn) responseHead(h *ResponseHead) []byte {
	r, q := &c.resp, &c.req
	out := appendStatusLine(c.sc.down[:0], h.Status, h.Reason)
	skip := skipResponse
	switch {
	case r.dechunk:
		skip = skipDechunked
	case h.Status == 204:
		skip = skipNoContent
	}
	out = appendEdited(out, &h.head, skip, &c.x.Route.ResponseEdit)
	c.sc.down = c.endResponseHead(out, h.Chunked && q.minor > 0 && (q.head || !h.NoBody))
	return c.sc.down
}

// endResponseHead appends what the gateway itself says in the head of a response.
func (c *clientConn) endResponseHead(out []byte, chunked bool) []byte {
	r := &c.resp
	out = appendField(out, "x-request-id: ", c.x.RequestID)
	if chunked {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	if c.opts.DebugHeaders {
		out = append(out, "x-penstock-endpoint: "...)
		out = append(out, c.x.Endpoint.Address...)
		out = append(out, "\r\n"...)
	}
	switch {
	case r.tunnel:
		out = append(out, "Connection: upgrade\r\nUpgrade: websocket\r\n"...)
	case r.closeDown:
		out = append(out, "Connection: close\r\n"...)
	case c.req.minor == 0:
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	return append(out, "\r\n"...)
}

// relayBody sends what came of the body, behind a head that is not sent yet. It reports whether the response is over.
func (c *clientConn) relayBody(u *upstreamConn, head []byte) bool {
	r := &c.resp
	var usage *openai.UsageScan
	if r.scanUsage {
		usage = &r.usage
	}
	n, done, bad := r.body.take(u.buf.bytes(), usage)
	body := u.buf.bytes()[:n]
	if len(body) > 0 && c.x.FirstToken == 0 {
		c.x.Answered(dispatch.Now()) // before the client's pace has a say
		if r.scanUsage {
			c.x.TraceResponse(body)
		}
	}
	var err error
	switch {
	case r.dechunk:
		err = c.writeDechunked(head, body)
	case len(head) > 0 && len(body) <= joinBytes:
		head = append(head, body...)
		c.sc.down = head
		err = c.write(head, nil)
	default:
		err = c.write(head, body)
	}
	if err != nil {
		r.clientLost = true
		return r.fail(dispatch.ClientGone)
	}
	now := dispatch.Now()
	c.x.ResponseBytes += int64(len(body))
	if len(body) > 0 {
		c.x.SentBody(now)
		c.x.Progress(r.usage.Events)
	}
	u.buf.consume(len(body))
	switch {
	case bad != nil:
		return r.fail(dispatch.UpstreamBroken)
	case done:
		r.complete = true
		r.closeUp = r.closeUp || u.buf.len() > 0 // bytes that nobody asked for
		return true
	}
	c.arm(phaseStream, now, c.times.stream)
	if c.sc != nil && u.buf.len() == 0 && (!c.upload.running || c.upload.over.Load()) {
		c.slim()
	}
	return false
}

// writeDechunked sends the payload of chunks. body.take has been over the framing and found it sound, so a second scanner, which goes over
// it again to find the payload, keeps step with it.
func (c *clientConn) writeDechunked(head, body []byte) error {
	r := &c.resp
	out := head
	for len(body) > 0 {
		n, data, done, err := r.payload.Next(body)
		if err != nil {
			panic("BUG: a chunk that was sound is malformed")
		}
		out = append(out, data...)
		body = body[n:]
		if done {
			break
		}
	}
	if len(out) == 0 {
		return nil
	}
	return c.write(out, nil)
}

// ended handles the end of the endpoint's bytes.
func (c *clientConn) ended(u *upstreamConn, err error) {
	r := &c.resp
	switch {
	case c.interrupted(r):
	case r.body.framing == framedByClose && err == io.EOF:
		r.complete, r.closeUp = true, true
	case r.begun:
		r.fail(dispatch.UpstreamBroken)
	case u.used || !u.wrote:
		r.fail(dispatch.StaleConnection)
	default:
		r.fail(dispatch.UpstreamReset)
	}
}

// interrupted ends the response if the upstream was taken away by the watcher, the sweeper or the uploader.
func (c *clientConn) interrupted(r *response) bool {
	switch cut(c.cut.Load()) {
	case cutNone:
		return false
	case cutUpstreamTimeout:
		r.fail(dispatch.UpstreamTimeout)
	default:
		r.fail(dispatch.ClientGone)
	}
	return true
}

// slim gives back what only the request's beginning needed, as soon as its response streams: the buffers, and the parsed heads. What the
// access log will want is copied.
func (c *clientConn) slim() {
	if c.in.start+c.req.headLen+c.req.bodyLen < c.in.end {
		return // a pipelined request follows
	}
	c.keepNames()
	c.x.Request.Header = nil
	c.in.release()
	c.in = nil
	c.dropScratch()
}

// keepNames copies what the access log and the gateway's own answers will want, before the request's buffer is released.
func (c *clientConn) keepNames() {
	x := &c.x
	keep := c.keep[:0]
	for _, p := range [...]*[]byte{&x.Request.Method, &x.Request.Path, &x.Request.Host, &x.Request.Model, &x.RequestID} {
		n := len(keep)
		keep = append(keep, *p...)
		*p = keep[n:len(keep):len(keep)]
	}
	c.keep = keep
}
