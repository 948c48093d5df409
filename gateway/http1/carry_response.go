package http1

import (
	"errors"
	"fmt"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

var errSwitched = errors.New("the endpoint switches protocols, which the request did not ask for")

// feed relays what the endpoint sent.
func (t *trip) feed(u *upstreamConn) bool {
	t.begun = true
	for t.body.framing == headPending {
		h := &t.sc.resp
		n, err := h.Parse(u.buf.bytes(), &upstreamHeads, t.request.Method == "HEAD")
		switch {
		case err != nil:
			return t.fail(dispatch.UpstreamBroken, fmt.Errorf("the response's head is malformed: %w", err))
		case n == 0:
			return false
		case h.Status == 101:
			return t.fail(dispatch.UpstreamBroken, errSwitched)
		}
		if err := t.relayHead(h); err != nil {
			return t.fail(dispatch.ClientGone, err)
		}
		u.buf.consume(n)
	}
	return t.relayBody(u)
}

// relayHead relays an interim or the final head. A 100 that the client did not wait for is dropped.
func (t *trip) relayHead(h *ResponseHead) error {
	switch {
	case h.Status == 100 && !t.expects:
		return nil
	case h.Status < 200:
		t.expects = t.expects && h.Status != 100
		return t.client.Interim(h.Status, h.bridged())
	}
	t.body.begin(h)
	t.body.chunks.KeepTrailers(&t.trailers)
	t.reusable = !h.Close
	length := h.Length
	if h.Status == 204 {
		length = -1 // it must not have one (RFC 9110, section 8.6)
	}
	return t.client.Head(&bridge.Response{Status: h.Status, Fields: h.bridged(), Length: length, NoBody: h.NoBody})
}

// relayBody relays what came of the body. It reports whether the response is over.
func (t *trip) relayBody(u *upstreamConn) bool {
	n, payload, done, bad := t.payload(u.buf.bytes())
	if len(payload) > 0 {
		if err := t.client.Write(payload); err != nil {
			return t.fail(dispatch.ClientGone, err)
		}
	}
	u.buf.consume(n)
	if bad != nil {
		return t.fail(dispatch.UpstreamBroken, fmt.Errorf("the response's body is malformed: %w", bad))
	}
	if done {
		t.complete = true
		t.reusable = t.reusable && u.buf.len() == 0 // bytes that nobody asked for
	}
	return done
}

// payload goes over n bytes of the body at the start of b, and returns the payload among them, which it has moved together at the start of b.
func (t *trip) payload(b []byte) (n int, payload []byte, done bool, err error) {
	if t.body.framing != framedByChunks {
		n, done, err = t.body.take(b, nil)
		return n, b[:n], done, err
	}
	return t.body.chunks.AppendPayload(b[:0], b)
}
