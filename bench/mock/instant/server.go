// Package instant answers requests at once, for measurements of what stands in front of it: it reads a request with as little work
// as possible and writes an answer whose length the request chose. It speaks HTTP/1.1 by itself, without allocating for a request,
// one goroutine and one write each, so that it is not the bottleneck. Connections that begin as HTTP/2 are served by grpc-go, with
// the gRPC services of package inference and health checks.
//
//	POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v2/models/NAME/infer
//
// A request with "stream": true gets as many token chunks as its max_tokens says, all at once, or at the interval that its header
// x-mock-interval gives (a duration such as 10ms; the first chunk comes at once). Bodies are scanned, not parsed.
package instant

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/penstock/penstock/bench/mock/lifecycle"
)

// Server answers at once. Its exported fields are set before Serve and not changed after.
type Server struct {
	// Replica is the value of the x-mock-replica header of every answer; empty is the address that the client connected to.
	Replica string
	// Label is the value of the x-mock-label header of every answer; empty sends none.
	Label string
	// Life says whether the replica is ready, and whether it loads or drains.
	Life *lifecycle.Life
	// Model is the model that answers name.
	Model string
	// Models are the models that gRPC health checks know.
	Models []string
	// MaxTokens is how many tokens an answer has where the request does not say.
	MaxTokens int
	// MaxBodyBytes is the largest request body; beyond it the answer is 413.
	MaxBodyBytes int
	// Page answers GET requests: a status, a content type and a body.
	Page func(path string) (status int, contentType string, body []byte)

	started, finished, cancelled atomic.Int64

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
	quit   chan struct{} // closed by Close
	work   sync.WaitGroup

	templates *templates
	grpc      []*grpc.Server // the last one takes connections
	http2     *handed        // its listener
}

// Counts are the requests that ran a model, so to speak.
type Counts struct {
	// Started counts those that were read to their end.
	Started int64
	// Finished counts those that were answered, Cancelled those whose client left before.
	Finished, Cancelled int64
}

// Counts returns the counts; the ends are read before the starts.
func (s *Server) Counts() Counts {
	c := Counts{Finished: s.finished.Load(), Cancelled: s.cancelled.Load()}
	c.Started = s.started.Load()
	return c
}

// ErrClosed is what Serve returns after Close.
var ErrClosed = errors.New("the instant server was closed")

// Serve accepts connections until the listener fails, and closes it.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.open = make(map[net.Conn]struct{})
	s.quit = make(chan struct{})
	s.templates = newTemplates(s.Model)
	s.serveHTTP2(newHanded(l))
	s.mu.Unlock()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if !s.enter(c) {
			c.Close()
			return ErrClosed
		}
		go s.serve(c)
	}
}

func (s *Server) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[c] = struct{}{}
	s.work.Add(1)
	return true
}

func (s *Server) serve(c net.Conn) {
	served := newConn(s, c)
	if served.speaksHTTP2() {
		s.handOver(&handedConn{Conn: c, rest: served.in, done: func() { s.leave(c) }})
		return
	}
	defer s.leave(c)
	defer c.Close()
	served.serve()
}

// leave undoes enter.
func (s *Server) leave(c net.Conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	s.work.Done()
}

// Close cuts every connection and waits until none is served any more. The listener is its owner's to close.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.quit != nil {
			close(s.quit)
		}
		for c := range s.open {
			c.Close()
		}
	}
	servers := s.grpc
	s.mu.Unlock()
	for _, g := range servers {
		g.Stop()
	}
	s.work.Wait()
}
