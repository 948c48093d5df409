package dispatch

import "github.com/penstock/penstock/gateway/openai"

// Tracer is told of requests, to trace those that are sampled. Its methods run on the request's goroutine and must not block.
type Tracer interface {
	// Begin is called once for each request, but never for mirror copies, when its head was read or could not be. It returns what follows the
	// request to its end, nil if nothing does, and says by x.SetTraceContext what others are to be told of the trace.
	Begin(x *Exchange) Trace
}

// Trace follows one request. Times are on Now's scale. No method may keep x.
type Trace interface {
	// Queued is told that the request waited in its pool's queue.
	Queued(from, to int64)
	// Attempt is told that x.Endpoint is to be tried, and says by x.SetTraceContext what the endpoint is to be told.
	Attempt(x *Exchange)
	// AttemptEnded is told what became of that.
	AttemptEnded(x *Exchange, e AttemptEnd)
	// Finished is told that the request is over, as Observer.Finished is.
	Finished(x *Exchange)
}

// AttemptEnd says how an attempt ended.
type AttemptEnd struct {
	Outcome    Outcome
	Cause      error // as the engine told it; may be nil
	At         int64
	FirstByte  int64 // when the head of the endpoint's response came; 0 if it did not
	FirstToken int64 // when the body of it began to come; 0 if it did not
}

// TraceContext is what a message says of its trace, in the two fields of W3C's Trace Context.
type TraceContext struct {
	// Parent is traceparent, in version 00.
	Parent [55]byte
	// State is tracestate, all its fields in one; empty for none.
	State string
}

// tracing is what an exchange keeps of its trace.
type tracing struct {
	trace Trace // nil: the request is not followed
	told  bool  // request and hop are set
	// request names the request as a whole, hop the attempt underway; they are the same until there is one.
	request, hop TraceContext
	// asked and answered are models; see TracedModels.
	asked, answered string
}

// BeginTrace is called by engines once for each Reset, when what the head says is set, or after it could not be read.
func (x *Exchange) BeginTrace() {
	if tracer := x.admission.dispatcher.options.Tracer; tracer != nil {
		x.tracing.trace = tracer.Begin(x)
		x.tracing.request = x.tracing.hop
	}
}

// SetTraceContext is for Tracer and Trace: it sets what endpoints are told instead of what the client said. Without it, that is passed on.
func (x *Exchange) SetTraceContext(c *TraceContext) { x.tracing.told, x.tracing.hop = true, *c }

// TraceContext is what the endpoint is told of the trace instead of the client's traceparent and tracestate; nil leaves these as they are. It
// is valid until the next Admit, Retry or Reset.
func (x *Exchange) TraceContext() *TraceContext {
	if !x.tracing.told {
		return nil
	}
	return &x.tracing.hop
}

// MirrorTraceContext is TraceContext for a copy of the request, which no attempt is the parent of.
func (x *Exchange) MirrorTraceContext() *TraceContext {
	if !x.tracing.told {
		return nil
	}
	return &x.tracing.request
}

// Traced returns the id of the request's trace in hexadecimal, nil where the request is not followed.
func (x *Exchange) Traced() []byte {
	if x.tracing.trace == nil || !x.tracing.told {
		return nil
	}
	return x.tracing.request.Parent[3:35]
}

// attemptEnded tells the trace how the present attempt ended.
func (x *Exchange) attemptEnded(o Outcome, now int64) {
	if t := x.tracing.trace; t != nil {
		a := &x.admission
		t.AttemptEnded(x, AttemptEnd{Outcome: o, Cause: a.cause, At: now, FirstByte: a.firstByte, FirstToken: a.firstToken})
	}
}

// mostOfRequest is how much of a request's body is looked at for its model for a trace alone, in bytes.
const mostOfRequest = 64 << 10

// TraceRequest shows a trace what has come of the request's body, which is plain, where no route had to look for its model there. It is called
// before Admit, and never has a request wait for more.
func (x *Exchange) TraceRequest(contentType, body []byte) {
	if x.tracing.trace == nil || x.Request.ModelKnown || len(body) == 0 {
		return
	}
	var scan openai.ModelScan
	scan.Reset(contentType)
	if body = body[:min(len(body), mostOfRequest)]; scan.Scan(body) == openai.Found {
		x.tracing.asked = string(scan.Model(body, nil))
	}
}

// TraceResponse shows a trace the first piece of a response's body that is plain JSON or a stream of it.
func (x *Exchange) TraceResponse(piece []byte) {
	if x.tracing.trace != nil {
		x.tracing.answered = string(openai.ResponseModel(piece))
	}
}

// TracedModels are the models that the request asked for and its response told of, as far as TraceRequest and TraceResponse saw them.
func (x *Exchange) TracedModels() (asked, answered string) {
	return x.tracing.asked, x.tracing.answered
}
