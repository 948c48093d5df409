package http1

// Field is one field line of a head. Its offsets are into the head's Raw.
type Field struct {
	// Line and LineEnd bound the whole line, its CRLF included. The name is Raw[Line:NameEnd].
	Line, LineEnd uint32
	// NameEnd is where the colon stands.
	NameEnd uint32
	// Value and ValueEnd bound the value without the whitespace around it.
	Value, ValueEnd uint32
	// ID is the name's, FieldUnknown if this package does not know it.
	ID FieldID
	// Hop says that the field is for this connection only and is not to be forwarded as it is: one of the fixed hop-by-hop set, or
	// nominated by Connection (RFC 9110 7.6.1).
	Hop bool
}

// FieldID is a field name that this package knows. Ids are below 64.
type FieldID uint8

// The known names. Those up to FieldHTTP2Settings bear on framing or on the connection; all others are end-to-end.
const (
	FieldUnknown FieldID = iota
	FieldHost
	FieldContentLength
	FieldTransferEncoding
	FieldConnection
	FieldExpect
	FieldTrailer
	FieldTE
	FieldUpgrade
	FieldKeepAlive
	FieldProxyConnection
	FieldProxyAuthenticate
	FieldProxyAuthorization
	FieldHTTP2Settings
	FieldXForwardedFor
	FieldXForwardedProto
	FieldXForwardedHost
	FieldXForwardedPort
	FieldXRealIP
	FieldForwarded
	FieldVia
	FieldXRequestID
	FieldTraceparent
	FieldTracestate
	FieldAuthorization
	FieldWWWAuthenticate
	FieldCookie
	FieldSetCookie
	FieldContentType
	FieldContentEncoding
	FieldContentRange
	FieldAccept
	FieldAcceptEncoding
	FieldUserAgent
	FieldOrigin
	FieldReferer
	FieldRange
	FieldIfNoneMatch
	FieldIfModifiedSince
	FieldCacheControl
	FieldPragma
	FieldAge
	FieldExpires
	FieldDate
	FieldServer
	FieldLocation
	FieldRetryAfter
	FieldVary
	FieldETag
	FieldLastModified
	FieldAltSvc
	FieldSecWebSocketKey

	fieldIDs // how many there are
)

// fieldNames is the known names in lower case. They have 2 to 24 bytes: see fieldKey.
var fieldNames = [fieldIDs]string{
	FieldHost:               "host",
	FieldContentLength:      "content-length",
	FieldTransferEncoding:   "transfer-encoding",
	FieldConnection:         "connection",
	FieldExpect:             "expect",
	FieldTrailer:            "trailer",
	FieldTE:                 "te",
	FieldUpgrade:            "upgrade",
	FieldKeepAlive:          "keep-alive",
	FieldProxyConnection:    "proxy-connection",
	FieldProxyAuthenticate:  "proxy-authenticate",
	FieldProxyAuthorization: "proxy-authorization",
	FieldHTTP2Settings:      "http2-settings",
	FieldXForwardedFor:      "x-forwarded-for",
	FieldXForwardedProto:    "x-forwarded-proto",
	FieldXForwardedHost:     "x-forwarded-host",
	FieldXForwardedPort:     "x-forwarded-port",
	FieldXRealIP:            "x-real-ip",
	FieldForwarded:          "forwarded",
	FieldVia:                "via",
	FieldXRequestID:         "x-request-id",
	FieldTraceparent:        "traceparent",
	FieldTracestate:         "tracestate",
	FieldAuthorization:      "authorization",
	FieldWWWAuthenticate:    "www-authenticate",
	FieldCookie:             "cookie",
	FieldSetCookie:          "set-cookie",
	FieldContentType:        "content-type",
	FieldContentEncoding:    "content-encoding",
	FieldContentRange:       "content-range",
	FieldAccept:             "accept",
	FieldAcceptEncoding:     "accept-encoding",
	FieldUserAgent:          "user-agent",
	FieldOrigin:             "origin",
	FieldReferer:            "referer",
	FieldRange:              "range",
	FieldIfNoneMatch:        "if-none-match",
	FieldIfModifiedSince:    "if-modified-since",
	FieldCacheControl:       "cache-control",
	FieldPragma:             "pragma",
	FieldAge:                "age",
	FieldExpires:            "expires",
	FieldDate:               "date",
	FieldServer:             "server",
	FieldLocation:           "location",
	FieldRetryAfter:         "retry-after",
	FieldVary:               "vary",
	FieldETag:               "etag",
	FieldLastModified:       "last-modified",
	FieldAltSvc:             "alt-svc",
	FieldSecWebSocketKey:    "sec-websocket-key",
}

// String is the name in lower case, empty for FieldUnknown.
func (id FieldID) String() string {
	if id >= fieldIDs {
		return ""
	}
	return fieldNames[id]
}

// fieldMask has the bit 1<<id set for each FieldID in it.
type fieldMask uint64

const (
	maskFraming = 1<<FieldHost | 1<<FieldContentLength | 1<<FieldTransferEncoding

	// maskHop is the fields that are hop-by-hop whether or not Connection names them (RFC 9110 7.6.1, RFC 9112 6.1, RFC 7540 3.2.1).
	// Trailer is not one: chunked bodies are forwarded with their trailers, so their announcement is too.
	maskHop fieldMask = 1<<FieldTransferEncoding | 1<<FieldConnection | 1<<FieldTE | 1<<FieldUpgrade | 1<<FieldKeepAlive |
		1<<FieldProxyConnection | 1<<FieldProxyAuthenticate | 1<<FieldProxyAuthorization | 1<<FieldHTTP2Settings

	// maskLookalike is the fields whose names must not come with _ for -: WSGI and CGI servers fold both to the same variable, so that
	// content_length or x_forwarded_for would get past whoever checks the real field.
	maskLookalike fieldMask = 1<<FieldContentLength | 1<<FieldTransferEncoding | 1<<FieldXForwardedFor | 1<<FieldXForwardedProto |
		1<<FieldXForwardedHost | 1<<FieldXForwardedPort | 1<<FieldXRealIP

	// maskLate is the only known fields that may come in trailers; the others frame, route, authenticate or describe the message, and
	// whoever merges trailers into the head would take them for the head's (RFC 9110 6.5.1).
	maskLate fieldMask = 1<<FieldUnknown | 1<<FieldDate | 1<<FieldServer | 1<<FieldETag | 1<<FieldLastModified
)

// FieldSet is a set of field names, known or not. The zero value is empty. Making one allocates, using one does not: sets are made
// when a configuration is read.
type FieldSet struct {
	ids   fieldMask
	names []string
}

// NewFieldSet returns a set of known names.
func NewFieldSet(ids ...FieldID) *FieldSet {
	s := new(FieldSet)
	for _, id := range ids {
		s.Add(id)
	}
	return s
}

// Add puts a known name into the set. FieldUnknown stands for no name and is ignored.
func (s *FieldSet) Add(id FieldID) {
	if id != FieldUnknown {
		s.ids |= 1 << (id & 63)
	}
}

// AddName puts a name, in any case, into the set.
func (s *FieldSet) AddName(name string) {
	if id := LookupField(name); id != FieldUnknown {
		s.Add(id)
		return
	}
	s.names = append(s.names, name)
}

// Has reports whether a known name is in the set.
func (s *FieldSet) Has(id FieldID) bool { return s.ids&^1>>(id&63)&1 != 0 }

// hasName reports whether a name that is not known is in the set.
func (s *FieldSet) hasName(name []byte) bool {
	for _, n := range s.names {
		if equalFold(name, n) {
			return true
		}
	}
	return false
}
