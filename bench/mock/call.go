package mock

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
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
	w       http.ResponseWriter
	r       *http.Request
	body    []byte
	faults  []Fault
	life    int64 // the replica's life that it arrived in
	outcome outcome
}

// calls wraps the handler of an endpoint that runs a model: it counts, reads the body, and applies the faults that come before an
// answer.
func (s *Server) calls(endpoint string, handle func(*call)) http.HandlerFunc {
	n := &counts{}
	s.counts[endpoint] = n
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{server: s, w: w, r: r, life: s.lives.Load()}
		n.started.Add(1)
		defer func() {
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
		}()
		if c.readBody() && c.begin() {
			handle(c)
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
		bodyTooLarge(limit).write(c.w)
		return false
	case err != nil:
		c.abandon()
		return false
	}
	c.body = body
	return true
}

// begin applies the faults that come before headers, in their order, and reports whether the request goes on.
func (c *call) begin() bool {
	c.faults = c.server.faults.plan(c.r.URL.Path)
	for _, f := range c.faults {
		switch f.Kind {
		case SlowStart:
			c.pause(time.Duration(f.Delay))
		case StallBeforeHeaders:
			c.stall(f)
		case ResetBeforeHeaders, CloseBeforeHeaders:
			c.cut(f.Kind == ResetBeforeHeaders)
		case StatusAnswer:
			if f.RetryAfter > 0 {
				c.w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
			}
			e := &refusal{status: f.Status, kind: "server_error", code: "mock_fault", message: "This mock replica was told to answer " + strconv.Itoa(f.Status) + "."}
			e.write(c.w)
			return false
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
	case <-c.r.Context().Done():
		c.abandon()
		panic(http.ErrAbortHandler)
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
		badRequest("", "cannot read the body's JSON: %v", err).write(c.w)
		return false
	}
	return true
}

// knows answers 404 for a model that the replica does not serve.
func (c *call) knows(model string) bool {
	if slices.Contains(c.server.options.Models, model) {
		return true
	}
	unknownModel(model).write(c.w)
	return false
}

// outputTokens is the first limit that the request gave, or the default, and answers 400 if it is not positive.
func (c *call) outputTokens(limits ...*int) (int, bool) {
	for _, limit := range limits {
		if limit == nil {
			continue
		}
		if *limit < 1 {
			badRequest("max_tokens", "max_tokens must be at least 1, got %d.", *limit).write(c.w)
			return 0, false
		}
		return *limit, true
	}
	return c.server.options.MaxTokens, true
}

// submit starts a generation and answers 400 if it is longer than the model's context. The caller ends it.
func (c *call) submit(model string, p *prompt, output int, each bool) (*generation, bool) {
	p.close()
	limit := c.server.contextTokens()
	if prompt := p.tokens(); prompt > limit-output {
		tooLong(limit, prompt, output).write(c.w)
		return nil, false
	}
	request, text := p.request(model, output)
	g, err := c.server.replica.submit(request, each)
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
