package dispatch

import (
	"math/rand/v2"
	"net/netip"

	"github.com/penstock/penstock/balancer"
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
	// ClientTrace is the trace that the client's traceparent names, in hexadecimal; its first byte is 0 where it names none.
	ClientTrace [32]byte
	// Protocol is "HTTP/1.1", "HTTP/1.0" or "HTTP/2".
	Protocol string
	// Secure says that the client's connection is TLS.
	Secure bool
	// Started is when the request's head had been read, on Now's scale: a client that sends it slowly is not what gateways and endpoints are measured by.
	Started int64

	// Set by Route.
	Route  *Route        // the matched route
	Target *route.Target // the chosen pool of its split, with the model that replaces the request's
	Pool   *Pool         // the chosen pool
	Mirror *Pool         // takes a copy of the request; nil if it is not to be mirrored

	// Prompt is what is known of the request's prompt. It is set before Admit where Pool.WantsPrompt, and zero where nothing is known.
	Prompt openai.Prompt

	// Set by Admit and Retry.
	Endpoint *Endpoint // the captured endpoint; nil when none is held, but see Finish
	Attempts int       // attempts so far, the first included
	Retried  Outcome   // what was wrong with the last attempt that another one was to make up for; Completed if there was none

	// Set by Finish's caller before Finish; zero where unknown.
	Status        int          // status sent to the client; 0 if none was; 499 is set by Finish for clients that left
	Streamed      bool         // the response was text/event-stream
	RequestBytes  int64        // body bytes received from the client
	ResponseBytes int64        // body bytes sent to the client
	Events        int64        // SSE data events seen
	GRPCStatus    int          // the status of a gRPC call; -1 where the client got none, and for requests that are no calls
	Busy          bool         // the endpoint said that it has enough to do in another way than with status 429 or 503, such as gRPC's
	Usage         openai.Usage // token counts that the response carried
	FirstToken    int64        // when the first body byte of the response was sent, on Now's scale; when it came is Answered's
	LastToken     int64        // when the last body byte of the response was sent
	LongestGap    int64        // nanoseconds, the longest pause between two pieces of the response's body; SentBody keeps these three

	// Set by dispatch, for the observer.
	Queued   int64   // nanoseconds spent waiting in the queue
	Finished int64   // when Finish was called, on Now's scale
	Outcome  Outcome // as given to Finish
	Refusal  *Reply  // the gateway's own error answer, if it gave one

	admission admission
	tracing   tracing
}

// Reset makes x ready for the next request, which goes by the configuration of this moment. It clears every field, and forgets an
// earlier Cancel: where the client may have left meanwhile, the engine asks for that again after Reset.
func (x *Exchange) Reset(d *Dispatcher) { x.begin(d, false) }

// UseMirror is Reset for a mirror copy of a request. The copy goes to p without being matched, by AdmitNow; it is never retried and
// its end is not told to the Observer.
func (x *Exchange) UseMirror(d *Dispatcher, p *Pool) {
	x.begin(d, true)
	x.Pool = p
}

// SentBody notes that a piece of the response's body, which was not empty, was sent at now. It runs for every piece of every stream, and
// so keeps the longest pause alone: two comparisons, where a histogram of all pauses would take atomic additions for each token.
func (x *Exchange) SentBody(now int64) {
	if x.FirstToken == 0 {
		x.FirstToken = now
	} else {
		x.LongestGap = max(x.LongestGap, now-x.LastToken)
	}
	x.LastToken = now
}

func (x *Exchange) begin(d *Dispatcher, mirror bool) {
	if x.Endpoint != nil {
		panic("BUG: an exchange that holds an endpoint was reset; Finish comes first")
	}
	x.Request, x.ClientIP, x.RequestID, x.Protocol, x.Secure, x.Started = route.Request{}, netip.Addr{}, nil, "", false, 0
	x.Route, x.Target, x.Pool, x.Mirror, x.Attempts = nil, nil, nil, nil, 0
	x.Prompt = openai.Prompt{}
	x.Status, x.Streamed, x.Busy, x.RequestBytes, x.ResponseBytes, x.Events = 0, false, false, 0, 0, 0
	x.Usage, x.FirstToken, x.LastToken, x.LongestGap, x.GRPCStatus = openai.Usage{}, 0, 0, 0, -1
	x.Queued, x.Finished, x.Outcome, x.Refusal = 0, 0, Completed, nil
	x.ClientTrace, x.Retried = [32]byte{}, Completed
	x.admission.begin(d, mirror)
	x.tracing.trace, x.tracing.told, x.tracing.asked, x.tracing.answered = nil, false, "", ""
}

func (a *admission) begin(d *Dispatcher, mirror bool) {
	a.dispatcher, a.table, a.open, a.mirror = d, d.table.Load(), true, mirror
	a.last, a.settings, a.cause, a.listed = nil, nil, nil, nil
	a.rand = rand.Uint64()
	clear(a.waiter.Tried)
	a.waiter.Request = balancer.Request{Rand: scramble(a.rand), Tried: a.tried[:0]}
	a.left.Store(false)
}

// scramble returns a random number that shows no relation to x: SplitMix64 (G. Steele, D. Lea, C. Flood: "Fast Splittable Pseudorandom
// Number Generators", OOPSLA 2014). Without it the half of a pool's endpoints that goes with a split's other target were never
// picked.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
