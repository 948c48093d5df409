package http1

import (
	"github.com/penstock/penstock/gateway/field"
	"github.com/penstock/penstock/gateway/identity"
)

// identify finds out who sends the request.
func (c *clientConn) identify() {
	h := &c.sc.req
	i := len(h.Fields)
	c.x.ClientIP = identity.ClientIP(c.remote, c.opts.TrustedProxies, func() ([]byte, bool) {
		for i--; i >= 0; i-- {
			if f := &h.Fields[i]; f.ID == field.XForwardedFor {
				return h.Value(f), true
			}
		}
		return nil, false
	})
	if parent, ok := h.Get(field.Traceparent); ok {
		identity.SetTrace(&c.x.ClientTrace, parent)
	}
	if id, ok := h.Get(field.XRequestID); !ok || !identity.AcceptableID(id) {
		identity.NewID(&c.id)
	}
}

// requestID is the client's x-request-id if it sent an acceptable one, else the one that identify made.
func (c *clientConn) requestID() []byte {
	if id, ok := c.sc.req.Get(field.XRequestID); ok && identity.AcceptableID(id) {
		return id
	}
	return c.id[:]
}

// trusted reports whether the peer's forwarding headers are kept.
func (c *clientConn) trusted() bool { return identity.Trusted(c.remote, c.opts.TrustedProxies) }
