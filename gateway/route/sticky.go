package route

import (
	"bytes"
	"net/netip"
)

// StickyKey returns the key of the request's user, by the rule's Sticky. ok is false where the rule has none, or where the request
// lacks the header, cookie or address, or has it empty: such requests are spread by weight alone.
func (rt *Route) StickyKey(r *Request, clientIP netip.Addr) (key uint64, ok bool) {
	k := rt.Sticky
	switch {
	case k == nil:
		return 0, false
	case k.ClientIP:
		return addressKey(clientIP)
	case r.Header == nil:
		return 0, false
	case k.Header != "":
		value, _ := r.Header.Lookup(k.Header)
		return hash64(value), len(value) > 0
	}
	value := cookie(r.Header, k.Cookie)
	return hash64(value), len(value) > 0
}

// addressKey hashes an address, so that an IPv4 address has one key however it was written.
func addressKey(a netip.Addr) (key uint64, ok bool) {
	if !a.IsValid() {
		return 0, false
	}
	b := a.As16()
	return hash64(b[:]), true
}

// cookie returns the value of the first cookie called name. Cookies may come in one field (RFC 6265, section 4.2) or in several
// (RFC 9113, section 8.2.3).
func cookie(h HeaderSource, name string) []byte {
	for from := 0; ; {
		value, next, ok := h.Next("cookie", from)
		if !ok {
			return nil
		}
		if found := cookieIn(value, name); len(found) > 0 {
			return found
		}
		from = next
	}
}

func cookieIn(pairs []byte, name string) []byte {
	for len(pairs) > 0 {
		var pair []byte
		pair, pairs, _ = bytes.Cut(pairs, []byte{';'})
		pair = bytes.Trim(pair, " \t")
		if n := len(name); len(pair) > n && pair[n] == '=' && string(pair[:n]) == name {
			return pair[n+1:]
		}
	}
	return nil
}
