// Package bridge is what a protocol engine hands a request over with when the client speaks one HTTP version and the endpoint another:
// HTTP/2 clients in front of HTTP/1.1 model servers, and HTTP/1.1 clients in front of h2c:// ones. Where both speak the same, the
// engine relays by itself and none of this is used.
package bridge

import (
	"context"

	"github.com/penstock/penstock/gateway/dispatch"
)

// Field is one header or trailer field.
type Field struct {
	// Name is in lower case.
	Name string
	// Value has no whitespace around it.
	Value string
	// Sensitive fields must never enter a compression table (RFC 7541, section 7.1.3).
	Sensitive bool
}

// Request is the head of a request as the endpoint is to get it: edited by its route, with forwarding fields and x-request-id, and
// without fields that hold for one connection only, Host and Content-Length among them.
type Request struct {
	Method    string
	Scheme    string // "http" or "https", as the client sees the gateway
	Authority string // the Host field or :authority; may be empty, then the endpoint's address stands for it
	Path      string // origin form, query included, or "*"
	Fields    []Field
	// Length is the body's length in bytes: 0 is no body, -1 is unknown.
	Length int64
	// TakesTrailers says that the client takes trailer fields (TE: trailers).
	TakesTrailers bool
	// ExpectContinue says that the client waits for 100 Continue before it sends its body.
	ExpectContinue bool
	// Held says that the whole body is in the gateway's memory: Client.Read never waits, and begins anew with each Carry.
	Held bool
	// Fresh asks HTTP/1.1 endpoints for a connection that has served nobody yet. A request that is tried again, or is never to be, does not
	// take the risk that an idle one is stale.
	Fresh bool
}

// Retrace makes the request say something else of its trace than it does; nil, or a request that says nothing, stays as it is. The strings of
// c are copied.
func (r *Request) Retrace(c *dispatch.TraceContext) {
	for i := range r.Fields {
		if f := &r.Fields[i]; c != nil && f.Name == "traceparent" {
			f.Value = string(c.Parent[:])
		}
	}
}

// Response is the head of a final response, without fields that hold for one connection only.
type Response struct {
	// Status is 200 to 599.
	Status int
	Fields []Field
	// Length is the body's length in bytes as the endpoint told it, -1 where it did not. With NoBody it is not that of a body to come.
	Length int64
	// NoBody says that no body follows whatever Length says: the request was HEAD, or the status is 204 or 304.
	NoBody bool
}

// Client is the client's side of a call: where the request's body comes from, and where the response goes. Read and Trailers are
// called by one goroutine, the others by another; an error of any of them ends the call as ClientGone.
type Client interface {
	// Read reads the next bytes of the request's body, waiting for at least one. It returns io.EOF after the last byte, and never for
	// a body that the client did not finish.
	Read(p []byte) (n int, err error)
	// Trailers returns the request's trailer fields. It is called after Read has returned io.EOF.
	Trailers() []Field
	// StopReading makes Read return an error, now and from then on until the next Carry: the response is over.
	StopReading()
	// Interim relays an interim response, 100 to 199 but for 101.
	Interim(status int, fields []Field) error
	// Head relays the head of the final response. It keeps nothing of h, but the strings in it.
	Head(h *Response) error
	// Write relays a part of the response's body and waits while the client takes no more. It keeps nothing of p.
	Write(p []byte) error
	// End relays the end of a response that is complete.
	End(trailers []Field) error
}

// Result says how a Carry ended.
type Result struct {
	// Outcome is Completed once the response was relayed to its end, trailers included.
	Outcome dispatch.Outcome
	// Unbegun says that the endpoint has not begun the request, so that it may be sent to another one.
	Unbegun bool
	// Err is why the call failed, for logs; it may be nil.
	Err error
}

// Endpoint carries requests to one endpoint in one version of HTTP.
type Endpoint interface {
	dispatch.Upstream
	// Carry sends a request and relays its response. It returns when both are over; no method of c is called any more then. The end of
	// ctx aborts it: what the endpoint does for it is cancelled at once, and the outcome is ClientGone.
	Carry(ctx context.Context, r *Request, c Client) Result
}

// Upstreams are the ways to one endpoint. It is what dispatch.Endpoint.Upstream holds.
type Upstreams struct {
	// HTTP1 carries requests as HTTP/1.1; nil where the endpoint's scheme is h2c.
	HTTP1 Endpoint
	// HTTP2 carries requests as HTTP/2: all those of h2c endpoints, and gRPC calls whatever the scheme.
	HTTP2 Endpoint
}

// Close closes idle connections at once and busy ones when their exchange ends.
func (u *Upstreams) Close() {
	if u.HTTP1 != nil {
		u.HTTP1.Close()
	}
	if u.HTTP2 != nil {
		u.HTTP2.Close()
	}
}

// For returns the way that a request takes: gRPC is always HTTP/2, and other requests go as the scheme says.
func (u *Upstreams) For(grpc bool) Endpoint {
	if grpc || u.HTTP1 == nil {
		return u.HTTP2
	}
	return u.HTTP1
}
