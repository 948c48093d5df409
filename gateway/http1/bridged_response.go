package http1

import (
	"net/http"
	"strconv"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// Interim relays an interim response. A 100 that the client has been given already, or did not ask for, is dropped.
func (b *bridged) Interim(status int, fields []bridge.Field) error {
	c := b.c
	if c.req.minor == 0 || status == 100 && !c.req.expect {
		return nil
	}
	if status == 100 {
		c.req.expect = false
	}
	out := appendStatusLine(b.frame[:0], status, http.StatusText(status))
	for _, f := range fields {
		if checkBridged(f) != nil {
			return b.broken()
		}
		out = appendLine(out, f.Name, f.Value)
	}
	b.frame = append(out, "\r\n"...)
	return b.write(b.frame, nil)
}

// Head sends the head of the response. Where its body's length is unknown the client gets chunks, or with HTTP/1.0 a body that ends with
// the connection.
func (b *bridged) Head(h *bridge.Response) error {
	c := b.c
	r, q, x := &c.resp, &c.req, &c.x
	x.FirstByte()
	x.Status = h.Status
	noBody := h.NoBody || q.head
	b.left = h.Length
	if noBody {
		b.left = 0
	}
	b.chunked = b.left < 0 && q.minor > 0
	r.tillClose = b.left < 0 && q.minor == 0
	r.closeDown = q.close || r.tillClose || c.srv.draining.Load() || !c.upload.complete.Load()
	out, ok := b.appendHead(h)
	if !ok {
		x.Status = 0
		return b.broken()
	}
	contentType, encoded := c.lookBridged(h.Fields)
	c.watchUsage([]byte(contentType), !encoded && !noBody && h.Status == 200)
	r.sent = true
	if err := b.write(out, nil); err != nil {
		return err
	}
	c.arm(phaseStream, dispatch.Now(), c.times.stream)
	return nil
}

// appendHead makes the head that the client gets. It is false if a field cannot be sent.
func (b *bridged) appendHead(h *bridge.Response) (_ []byte, ok bool) {
	c := b.c
	edit := &c.x.Route.ResponseEdit
	out := appendStatusLine(b.frame[:0], h.Status, http.StatusText(h.Status))
	for _, f := range h.Fields {
		if checkBridged(f) != nil {
			return out, false
		}
		announces := f.Name == "trailer" && !(b.chunked && b.takesTrailers)
		if announces || f.Name == "x-request-id" || !edit.Empty() && edit.Drops([]byte(f.Name)) {
			continue
		}
		out = appendLine(out, f.Name, f.Value)
	}
	out = append(out, edit.Lines...)
	if h.Length >= 0 && h.Status != http.StatusNoContent {
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, h.Length, 10)
		out = append(out, "\r\n"...)
	}
	b.frame = c.endResponseHead(out, b.chunked)
	return b.frame, true
}

// lookBridged notes what a response's head says to the gateway. It returns the type of a body, and whether it has a content coding.
func (c *clientConn) lookBridged(fields []bridge.Field) (contentType string, encoded bool) {
	for _, f := range fields {
		switch f.Name {
		case "content-type":
			contentType = f.Value
		case "content-encoding":
			encoded = true
		default:
			bridge.LoadReport(&c.x, f)
		}
	}
	return contentType, encoded
}

// Write sends a part of the body.
func (b *bridged) Write(p []byte) error {
	c := b.c
	switch {
	case len(p) == 0:
		return nil
	case b.left >= 0:
		if b.left -= int64(len(p)); b.left < 0 {
			return b.broken()
		}
	}
	if c.resp.scanUsage {
		c.resp.usage.Feed(p)
	}
	x := &c.x
	if x.FirstToken == 0 {
		x.Answered(dispatch.Now()) // before the client's pace has a say
		if c.resp.scanUsage {
			x.TraceResponse(p)
		}
	}
	if err := b.writePiece(p); err != nil {
		return err
	}
	now := dispatch.Now()
	x.ResponseBytes += int64(len(p))
	x.SentBody(now)
	x.Progress(c.resp.usage.Events)
	c.arm(phaseStream, now, c.times.stream)
	if c.sc != nil && b.bodyRead.Load() {
		c.slim()
	}
	return nil
}

// writePiece sends payload, as a chunk of its own where the client gets chunks.
func (b *bridged) writePiece(p []byte) error {
	if !b.chunked {
		return b.write(p, nil)
	}
	b.frame = appendChunkSize(b.frame[:0], len(p))
	if len(p) > joinBytes {
		if err := b.write(b.frame, p); err != nil {
			return err
		}
		return b.write(lineEnd, nil)
	}
	b.frame = append(b.frame, p...)
	b.frame = append(b.frame, "\r\n"...)
	return b.write(b.frame, nil)
}

// End sends the end of the response. Trailers go to clients that take them.
func (b *bridged) End(trailers []bridge.Field) error {
	if b.left > 0 {
		return b.broken()
	}
	bridge.LoadReports(&b.c.x, trailers)
	if b.chunked {
		b.frame = append(b.frame[:0], "0\r\n"...)
		if b.takesTrailers {
			b.frame = appendTrailers(b.frame, trailers)
		}
		b.frame = append(b.frame, "\r\n"...)
		if err := b.write(b.frame, nil); err != nil {
			return err
		}
	}
	b.c.resp.complete = true
	return nil
}

func (b *bridged) write(head, body []byte) error {
	err := b.c.write(head, body)
	if err != nil {
		b.c.resp.clientLost = true
		b.c.resp.fail(dispatch.ClientGone)
	}
	return err
}

// broken ends a response that the endpoint sent wrongly, whatever the endpoint's engine says of it.
func (b *bridged) broken() error {
	b.c.resp.fail(dispatch.UpstreamBroken)
	return errBadResponse
}
