// Package identity says who sends a request and what the request is called: the client's address as trusted proxies give it, and
// x-request-id.
package identity

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// Trusted reports whether a is one of the proxies whose X-Forwarded-* fields are kept.
func Trusted(a netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ClientIP is the client's address: that of the peer, remote, or the last one in X-Forwarded-For that no trusted proxy added itself.
// Each call of previous returns the value of one of these fields, from the last one to the first, and then false. It is not called
// where the peer is no trusted proxy. (It is no iterator because the body of a loop over one that is not known would be allocated.)
func ClientIP(remote netip.Addr, trusted []netip.Prefix, previous func() (value []byte, ok bool)) netip.Addr {
	if !Trusted(remote, trusted) {
		return remote
	}
	ip, further := remote, true
	for further {
		list, ok := previous()
		if !ok {
			break
		}
		ip, further = lastUntrusted(list, ip, trusted)
	}
	return ip
}

// lastUntrusted walks a list of addresses from its end. It returns the first that is not a trusted proxy; or the last one it could
// read, and whether the list before it may tell more.
func lastUntrusted(list []byte, ip netip.Addr, trusted []netip.Prefix) (netip.Addr, bool) {
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
		if !Trusted(ip, trusted) {
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
