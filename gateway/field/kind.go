package field

// mask has the bit 1<<id set for each ID in it.
type mask uint64

const (
	// maskHop is the fields that are hop-by-hop whether or not Connection names them (RFC 9110 7.6.1, RFC 9112 6.1, RFC 7540 3.2.1).
	// Trailer is not one: trailers are forwarded, so their announcement is too.
	maskHop mask = 1<<TransferEncoding | 1<<Connection | 1<<TE | 1<<Upgrade | 1<<KeepAlive |
		1<<ProxyConnection | 1<<ProxyAuthenticate | 1<<ProxyAuthorization | 1<<HTTP2Settings

	// maskLookalike is the fields whose names must not come with _ for -: WSGI and CGI servers fold both to the same variable, so that
	// content_length or x_forwarded_for would get past whoever checks the real field.
	maskLookalike mask = 1<<ContentLength | 1<<TransferEncoding | 1<<XForwardedFor | 1<<XForwardedProto |
		1<<XForwardedHost | 1<<XForwardedPort | 1<<XRealIP

	// maskLate is the only known fields that may come in trailers; the others frame, route, authenticate or describe the message, and
	// whoever merges trailers into the head would take them for the head's (RFC 9110 6.5.1).
	maskLate mask = 1<<Unknown | 1<<Date | 1<<Server | 1<<ETag | 1<<LastModified | 1<<EndpointLoadMetrics | 1<<EndpointLoadMetricsBin
)

// IsHop reports whether a field is for one connection only, whether or not Connection names it.
func (id ID) IsHop() bool { return maskHop>>(id&63)&1 != 0 }

// MayTrail reports whether a field whose name is of token characters may come in trailers.
func MayTrail(name []byte) bool { return maskLate>>(Of(name)&63)&1 != 0 && !Lookalike(name) }

// Lookalike reports whether a name is that of a framing or forwarding field but for underscores where that has hyphens, which some
// servers do not tell apart. Such a field is to be refused.
func Lookalike(name []byte) bool {
	if len(name) > LongestKnown {
		return false
	}
	var buf [LongestKnown]byte
	b := buf[:copy(buf[:], name)]
	folded := false
	for i, c := range b {
		if c == '_' {
			b[i], folded = '-', true
		}
	}
	return folded && maskLookalike>>(Of(b)&63)&1 != 0
}
