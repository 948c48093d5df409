package mock

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/bench/mock/rpc"
)

// outcome is how a request ended.
type outcome uint8

const (
	finished  outcome = iota // answered, whatever the status
	cancelled                // the client left before the answer's end
	failed                   // a fault, a death or Close cut it
)

// counts counts the requests of one endpoint.
type counts struct {
	started, finished, cancelled, failed atomic.Int64
}

// call is one request that runs a model, in the hands of its handler.
type call struct {
	server  *Server
	w       http.ResponseWriter // nil over gRPC
	r       *http.Request
	ctx     context.Context // ends when the client leaves, or the deadline of gRPC passes
	header  http.Header     // of the response
	refuse  func(*refusal)  // answers an error
	body    []byte
	faults  []Fault
	life    int64 // the replica's life that it arrived in
	outcome outcome

	rpc     *rpc.Stream // nil but over gRPC
	refused error       // the status of what was refused over gRPC
}

// calls wraps the handler of an endpoint that runs a model: it counts, reads the body, and applies the faults that come before an
// answer.
func (s *Server) calls(endpoint string, handle func(*call)) http.HandlerFunc {
	s.counts[endpoint] = &counts{}
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{server: s, w: w, r: r, ctx: r.Context(), header: w.Header(), life: s.lives.Load()}
		c.refuse = func(e *refusal) { e.write(w) }
		defer c.count(endpoint)()
		c.arrive()
		if c.readBody() && c.begin() {
			handle(c)
		}
	}
}

// count counts a call in, and out by its outcome when the function that it returns is called.
func (c *call) count(endpoint string) (end func()) {
	s := c.server
	n := s.counts[endpoint]
	n.started.Add(1)
	return func() {
		switch c.outcome {
		case finished:
			n.finished.Add(1)
		case cancelled:
			n.cancelled.Add(1)
		case failed:
			n.failed.Add(1)
		}
		if s.ended != nil {
			s.ended(endpoint, c.outcome)
		}
	}
}

// readBody reads the whole body, within the limit. Only then does net/http notice a client that leaves. MaxBytesReader is not
// given the response, so a body that is a little too large does not cost the connection.
func (c *call) readBody() bool {
	limit := c.server.options.MaxBodyBytes
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		c.refuse(bodyTooLarge(limit))
		return false
	case err != nil:
		c.abandon()
		return false
	}
	c.body = body
	return true
}

// arrive draws the faults that hit the call, and applies those that come before it is read.
func (c *call) arrive() {
	c.faults = c.server.faults.plan(c.r.URL.Path)
	for _, f := range c.faults {
		if f.Kind == RefuseStream {
			c.refuseStream()
		}
	}
}

// begin applies the faults that come before headers, in their order, and reports whether the request goes on. Before the model is loaded,
// none does.
func (c *call) begin() bool {
	if c.server.life.Loading() {
		c.refuse(stillLoading())
		return false
	}
	for _, f := range c.faults {
		switch f.Kind {
		case SlowStart:
			c.pause(time.Duration(f.Delay))
		case StallBeforeHeaders:
			c.stall(f)
		case ResetBeforeHeaders, CloseBeforeHeaders:
			c.cut(f.Kind == ResetBeforeHeaders)
		case StatusAnswer:
			c.refuse(&refusal{
				status: f.Status, kind: "server_error", code: "mock_fault", retryAfter: f.RetryAfter,
				message: "This mock replica was told to answer " + strconv.Itoa(f.Status) + ".",
			})
			return false
		case GoAway:
			c.header.Set("Connection", "close") // which net/http turns into GOAWAY for HTTP/2
		}
	}
	return true
}

// within applies the faults that come in an answer after that many token chunks.
func (c *call) within(chunks int) {
	for _, f := range c.faults {
		if f.AfterChunks == chunks {
			c.interrupt(f)
		}
	}
}

// halfway applies the faults that come in the middle of a whole body.
func (c *call) halfway() {
	for _, f := range c.faults {
		c.interrupt(f)
	}
}

func (c *call) interrupt(f Fault) {
	switch f.Kind {
	case StallMidStream:
		c.stall(f)
	case ResetMidStream, CloseMidStream:
		c.cut(f.Kind == ResetMidStream)
	}
}

// interrupted says whether some fault comes within the answer.
func (c *call) interrupted() bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool {
		return f.Kind == StallMidStream || f.Kind == ResetMidStream || f.Kind == CloseMidStream
	})
}

func (c *call) stall(f Fault) {
	d := time.Duration(f.For)
	if d == 0 {
		d = forever
	}
	c.pause(d)
}

// pause waits, and ends the call if the client leaves meanwhile.
func (c *call) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		panic(c.leave())
	}
}

// cut ends the call by breaking its connection, or its stream of HTTP/2.
func (c *call) cut(rst bool) {
	c.outcome = failed
	if conn, ok := c.r.Context().Value(connKey{}).(*trackedConn); ok && rst && c.r.ProtoMajor == 1 {
		if tcp, ok := conn.Conn.(*net.TCPConn); ok {
			tcp.SetLinger(0) // the close that follows sends RST
		}
	}
	panic(http.ErrAbortHandler)
}

// refuseStream ends the call with REFUSED_STREAM, which says that nothing was done; HTTP/1.1 knows only a connection that closes.
func (c *call) refuseStream() {
	if conn, ok := c.r.Context().Value(connKey{}).(*trackedConn); ok && c.r.ProtoMajor == 2 {
		ids := c.r.Header.Values(streamField)
		id, err := strconv.ParseUint(ids[len(ids)-1], 10, 32)
		if err != nil {
			panic("BUG: a request does not say its stream: " + err.Error())
		}
		conn.frames.refuse(uint32(id))
	}
	c.cut(false)
}

// leave notes that the call's context has ended, and returns what ends it as a panic: a deadline that passed still gets an answer.
func (c *call) leave() error {
	c.abandon()
	if errors.Is(c.ctx.Err(), context.DeadlineExceeded) {
		return errDeadline
	}
	return http.ErrAbortHandler
}

// errDeadline is the panic of a call of gRPC whose deadline passed.
var errDeadline = errors.New("the call's deadline has passed")

// abandon notes that the call cannot be answered any more: its client left, or its replica died under it.
func (c *call) abandon() {
	c.outcome = cancelled
	if c.server.lives.Load() != c.life {
		c.outcome = failed
	}
}

// decode reads the body's JSON and answers 400 where it cannot.
func (c *call) decode(into any) bool {
	if err := json.Unmarshal(c.body, into); err != nil {
		c.refuse(badRequest("", "cannot read the body's JSON: %v", err))
		return false
	}
	return true
}

// knows answers 404 for a model that the replica does not serve.
func (c *call) knows(model string) bool {
	if slices.Contains(c.server.options.Models, model) {
		return true
	}
	c.refuse(unknownModel(model))
	return false
}

// outputTokens is the first limit that the request gave, or the default, and answers 400 if it is not positive.
func (c *call) outputTokens(limits ...*int) (int, bool) {
	for _, limit := range limits {
		if limit == nil {
			continue
		}
		if *limit < 1 {
			c.refuse(badRequest("max_tokens", "max_tokens must be at least 1, got %d.", *limit))
			return 0, false
		}
		return *limit, true
	}
	return c.server.options.MaxTokens, true
}

// submit starts a generation and answers 400 if it is longer than the model's context. The caller ends it.
func (c *call) submit(model string, p *prompt, output int, each bool) (*generation, bool) {
	return c.submitTo(model, p, output, each, make(chan struct{}, 1))
}

// submitTo is submit with the channel that gets a wake-up, of which it holds one.
func (c *call) submitTo(model string, p *prompt, output int, each bool, more chan struct{}) (*generation, bool) {
	p.close()
	limit := c.server.contextTokens()
	if prompt := p.tokens(); prompt > limit-output {
		c.refuse(tooLong(limit, prompt, output))
		return nil, false
	}
	request, text := p.request(model, output)
	g, err := c.server.replica.submitTo(request, each, more)
	if err != nil {
		panic("BUG: a request within the model's context was refused: " + err.Error())
	}
	g.prompt, g.text = request.PromptTokens, text
	return g, true
}

// maxContextTokens is the context of Llama 3.1.
const maxContextTokens = 131072

// contextTokens is the longest sequence, prompt and output, that the replica takes.
func (s *Server) contextTokens() int {
	c := s.replica.config
	return min(maxContextTokens, c.KVTokens/c.BlockTokens*c.BlockTokens)
}

// end gives up a generation if it has not ended.
func (c *call) end(g *generation) { c.server.replica.end(g) }

// usage is what an answer says about its tokens.
type usage struct{ prompt, completion, cached int }

func (g *generation) usage() usage {
	return usage{prompt: g.prompt, completion: g.want, cached: int(g.cached.Load())}
}
