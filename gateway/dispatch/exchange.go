// Package dispatch takes a request from its route to its end, whatever its protocol: route, admission, pick, retries, and the
// release of what was counted. Protocol engines parse and relay; they ask dispatch where a request goes and tell it how the
// request went.
package dispatch

import (
	"net/netip"

	"github.com/penstock/penstock/gateway/openai"
	"github.com/penstock/penstock/gateway/route"
)

// Exchange is one request on its way through the gateway. An engine owns one for each HTTP/1.1 connection or HTTP/2 stream and
// reuses it; Reset makes it ready for the next request. Apart from Cancel, its methods are for the engine's goroutine alone.
type Exchange struct {
	// Request is what routes match on; its slices alias the engine's buffers and are not read after the request was sent.
	Request route.Request
	// ClientIP is the client's address, as trusted proxies give it.
	ClientIP netip.Addr
	// RequestID is the x-request-id that was accepted or made. It stays valid until Finish.
	RequestID []byte
	// Protocol is "HTTP/1.1", "HTTP/1.0" or "HTTP/2".
	Protocol string
	// Started is when the request's first byte was read, on Now's scale.
	Started int64

	// Set by Route.
	Route  *Route        // the matched route
	Target *route.Target // the chosen pool of its split, with the model that replaces the request's
	Pool   *Pool         // the chosen pool
	Mirror *Pool         // takes a copy of the request; nil if it is not to be mirrored

	// Set by Admit and Retry.
	Endpoint *Endpoint // the captured endpoint; nil when none is held
	Attempts int       // attempts so far, the first included

	// Set by Finish's caller before Finish; zero where unknown.
	Status        int          // status sent to the client; 0 if none was; 499 is set by Finish for clients that left
	Streamed      bool         // the response was text/event-stream
	RequestBytes  int64        // body bytes received from the client
	ResponseBytes int64        // body bytes sent to the client
	Events        int64        // SSE data events seen
	Usage         openai.Usage // token counts that the response carried
	FirstToken    int64        // when the first body byte of the response was sent, on Now's scale
	LastToken     int64        // when the last body byte of the response was sent

	// Set by dispatch, for the observer.
	Queued   int64   // nanoseconds spent waiting in the queue
	Finished int64   // when Finish was called, on Now's scale
	Outcome  Outcome // as given to Finish
	Refusal  *Reply  // the gateway's own error answer, if it gave one

	admission admission
}

// Outcome says how an attempt or a whole exchange ended.
type Outcome uint8

const (
	// Completed: the response was relayed to its end, whatever its status.
	Completed Outcome = iota
	// ClientGone: the client left, or sent a broken body; nobody's fault here.
	ClientGone
	// ConnectFailed: no connection to the endpoint could be made. Nothing was sent: safe to retry.
	ConnectFailed
	// StaleConnection: a reused connection closed before the first response byte. Safe to retry and no fault of the endpoint.
	StaleConnection
	// UpstreamReset: a fresh connection closed before the first response byte. The request may have run.
	UpstreamReset
	// UpstreamBroken: the response was malformed or truncated.
	UpstreamBroken
	// UpstreamTimeout: the endpoint did not answer, or paused, for longer than is allowed.
	UpstreamTimeout
	// Refused: the gateway answered by itself (no route, queue full, no endpoint, bad request, local answer).
	Refused
)

// Reply is an answer that the gateway gives by itself: a refusal, or a local page such as /v1/models.
type Reply struct {
	// Status is the HTTP status; engines of other protocols map it.
	Status int
	// Code is the machine-readable cause, such as "queue_full"; empty for local pages.
	Code string
	// Message says in a sentence what was wrong and what would be right.
	Message string
	// RetryAfter is in seconds; 0 sends none.
	RetryAfter int
	// ContentType and Body are the answer; for refusals they are the OpenAI error shape.
	ContentType string
	Body        []byte
}
