package http1

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"unsafe"
)

// maxRequestID is the longest x-request-id that is accepted from a client.
const maxRequestID = 128

// identify finds out who sends the request. The id that is made where the client sent none is random, not secret.
func (c *clientConn) identify() {
	c.x.ClientIP = c.clientIP()
	if id, ok := c.sc.req.Get(FieldXRequestID); !ok || !acceptableID(id) {
		c.newID()
	}
}

func (c *clientConn) newID() {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	hex.Encode(c.id[:], b[:])
}

// requestID is the client's x-request-id if it sent an acceptable one, else the one that identify made.
func (c *clientConn) requestID() []byte {
	if id, ok := c.sc.req.Get(FieldXRequestID); ok && acceptableID(id) {
		return id
	}
	return c.id[:]
}

// acceptableID reports whether a client's id can be logged and forwarded as it is: short, and visible ASCII without quotes.
func acceptableID(id []byte) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, b := range id {
		if b <= ' ' || b >= 0x7f || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}

// clientIP is the client's address: the peer's, or the last one in X-Forwarded-For that no trusted proxy added itself.
func (c *clientConn) clientIP() netip.Addr {
	if len(c.opts.TrustedProxies) == 0 || !c.trusted() {
		return c.remote
	}
	h, ip := &c.sc.req, c.remote
	for i := len(h.Fields) - 1; i >= 0; i-- {
		if f := &h.Fields[i]; f.ID == FieldXForwardedFor {
			var further bool
			if ip, further = c.lastUntrusted(h.Value(f), ip); !further {
				break
			}
		}
	}
	return ip
}

// lastUntrusted walks a list of addresses from its end. It returns the first that is not a trusted proxy; or the last one it could
// read, and whether the list before it may tell more.
func (c *clientConn) lastUntrusted(list []byte, ip netip.Addr) (netip.Addr, bool) {
	for end := len(list); end >= 0; {
		start := end
		for start > 0 && list[start-1] != ',' {
			start--
		}
		a, ok := parseAddr(list[start:end])
		if !ok {
			return ip, false
		}
		ip = a
		if !c.isTrusted(ip) {
			return ip, false
		}
		end = start - 1
	}
	return ip, true
}

// parseAddr reads an address, which may carry a port, without allocating.
func parseAddr(b []byte) (netip.Addr, bool) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || len(b) > 64 || bytes.IndexByte(b, '%') >= 0 { // a zone would be kept by the parser
		return netip.Addr{}, false
	}
	s := unsafe.String(unsafe.SliceData(b), len(b))
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap(), true
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}
