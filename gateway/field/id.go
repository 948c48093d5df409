// Package field is the syntax that all versions of HTTP share: the names that mean something to a gateway and how they are found, the
// bytes that names, values, hosts and paths are made of, and which fields hold for one connection only or may not come late.
package field

// ID is a known field name. Ids are below 64, so that a set of them fits into a word.
type ID uint8

// The known names. Those up to HTTP2Settings bear on framing or on the connection; all others are end-to-end.
const (
	Unknown ID = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	Expect
	Trailer
	TE
	Upgrade
	KeepAlive
	ProxyConnection
	ProxyAuthenticate
	ProxyAuthorization
	HTTP2Settings
	XForwardedFor
	XForwardedProto
	XForwardedHost
	XForwardedPort
	XRealIP
	Forwarded
	Via
	XRequestID
	Traceparent
	Tracestate
	Authorization
	WWWAuthenticate
	Cookie
	SetCookie
	ContentType
	ContentEncoding
	ContentRange
	Accept
	AcceptEncoding
	UserAgent
	Origin
	Referer
	Range
	IfNoneMatch
	IfModifiedSince
	CacheControl
	Pragma
	Age
	Expires
	Date
	Server
	Location
	RetryAfter
	Vary
	ETag
	LastModified
	AltSvc
	SecWebSocketKey
	EndpointLoadMetrics
	EndpointLoadMetricsBin

	ids // how many there are
)

// names is the known names in lower case. All but the longest have 2 to 24 bytes: see key.
var names = [ids]string{
	Host:                   "host",
	ContentLength:          "content-length",
	TransferEncoding:       "transfer-encoding",
	Connection:             "connection",
	Expect:                 "expect",
	Trailer:                "trailer",
	TE:                     "te",
	Upgrade:                "upgrade",
	KeepAlive:              "keep-alive",
	ProxyConnection:        "proxy-connection",
	ProxyAuthenticate:      "proxy-authenticate",
	ProxyAuthorization:     "proxy-authorization",
	HTTP2Settings:          "http2-settings",
	XForwardedFor:          "x-forwarded-for",
	XForwardedProto:        "x-forwarded-proto",
	XForwardedHost:         "x-forwarded-host",
	XForwardedPort:         "x-forwarded-port",
	XRealIP:                "x-real-ip",
	Forwarded:              "forwarded",
	Via:                    "via",
	XRequestID:             "x-request-id",
	Traceparent:            "traceparent",
	Tracestate:             "tracestate",
	Authorization:          "authorization",
	WWWAuthenticate:        "www-authenticate",
	Cookie:                 "cookie",
	SetCookie:              "set-cookie",
	ContentType:            "content-type",
	ContentEncoding:        "content-encoding",
	ContentRange:           "content-range",
	Accept:                 "accept",
	AcceptEncoding:         "accept-encoding",
	UserAgent:              "user-agent",
	Origin:                 "origin",
	Referer:                "referer",
	Range:                  "range",
	IfNoneMatch:            "if-none-match",
	IfModifiedSince:        "if-modified-since",
	CacheControl:           "cache-control",
	Pragma:                 "pragma",
	Age:                    "age",
	Expires:                "expires",
	Date:                   "date",
	Server:                 "server",
	Location:               "location",
	RetryAfter:             "retry-after",
	Vary:                   "vary",
	ETag:                   "etag",
	LastModified:           "last-modified",
	AltSvc:                 "alt-svc",
	SecWebSocketKey:        "sec-websocket-key",
	EndpointLoadMetrics:    "endpoint-load-metrics",
	EndpointLoadMetricsBin: "endpoint-load-metrics-bin",
}

// String is the name in lower case, empty for Unknown.
func (id ID) String() string {
	if id >= ids {
		return ""
	}
	return names[id]
}
