// Package mock is a model server without a model: the HTTP interface of vLLM and its kin, and the gRPC interfaces of Triton and
// TensorFlow Serving, over an engine that takes as long as a GPU would (package engine). It streams a chunk for each token, shares
// prefixes, fills up, preempts and reports its load under the metric names of the server that it mimics, and it breaks on demand:
// see Fault.
//
// A replica serves HTTP/1.1, cleartext HTTP/2 and gRPC on one port:
//
//	POST /v1/chat/completions, /v1/completions, /v1/responses, /v1/embeddings
//	POST /tokenize, /v2/models/NAME/infer
//	GET  /v1/models, /health, /metrics and /prometheus/metrics (the same), /v2, /v2/health/live, /v2/health/ready, /v2/models/NAME, /v2/models/NAME/ready
//	GET  /mock/state, /mock/faults; POST /mock/faults
//	gRPC inference.GRPCInferenceService: ModelInfer, ModelStreamInfer, ServerLive, ServerReady, ModelReady, ServerMetadata, ModelMetadata
//	gRPC tensorflow.serving.PredictionService: Predict, GetModelMetadata
//	gRPC grpc.health.v1.Health, and reflection
//
// Prompts count a token for every four bytes of text and one for each message. Every answer carries x-mock-replica, the address
// of the replica: where it listens, or what the client connected to where it listens on every address.
package mock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/bench/mock/instant"
	"github.com/penstock/penstock/bench/mock/lifecycle"
)

// Server is one replica.
type Server struct {
	options Options
	log     *slog.Logger
	replica *replica // nil for an instant server
	http    *http.Server
	instant *instant.Server // nil but for an instant server
	faults  *faultSet
	counts  map[string]*counts // by endpoint; fixed after New
	conns   connections
	life    lifecycle.Life
	stop    context.CancelFunc // ends the context of every request
	lives   atomic.Int64       // counts lives that ended, so that a request knows whether its replica's life ended
	ids     atomic.Int64       // numbers answers

	ended func(endpoint string, o outcome) // observes the end of requests in tests; may be nil

	mu       sync.Mutex
	address  string
	name     string // the address, where it names one host; written before the first request
	listener net.Listener
	dead     bool
	deaths   int64
	closed   bool
	revival  *time.Timer
	work     sync.WaitGroup // requests and serving goroutines
}

// New makes a replica that serves nothing yet.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.fill()
	s := &Server{options: o, log: o.Log, counts: make(map[string]*counts)}
	if o.Instant {
		s.instant = &instant.Server{MaxBodyBytes: int(o.MaxBodyBytes), MaxTokens: o.MaxTokens, Model: o.Models[0], Models: o.Models, Label: o.Label, Life: &s.life}
		s.instant.Page = s.instantPage
		return s, nil
	}
	config, err := o.engineConfig()
	if err != nil {
		return nil, err
	}
	if s.replica, err = newReplica(config, o.Speed); err != nil {
		return nil, err
	}
	s.faults = newFaultSet(o.Seed, &s.life)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           s.routes(),
		Protocols:         &protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       max(0, o.IdleTimeout),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:          log.New(io.Discard, "", 0), // clients that break off are what a mock is for
	}
	return s, nil
}

// Start serves on the listener until Close, which also closes it. It does not block.
func (s *Server) Start(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errors.New("cannot start a mock server that was closed")
	case s.address != "":
		return fmt.Errorf("cannot start a mock server twice: it serves on %s", s.address)
	}
	s.address = l.Addr().String()
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsUnspecified() {
		s.name = s.address
	}
	if s.instant != nil {
		s.instant.Replica = s.name
	}
	s.life.Load(s.options.LoadTime)
	s.serve(l)
	return nil
}

// replicaName is what answers on a connection name this replica.
func (s *Server) replicaName(r *http.Request) string {
	if s.name != "" {
		return s.name
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return local.String()
}

// serve accepts on l in a goroutine. The caller holds the lock.
func (s *Server) serve(l net.Listener) {
	s.listener = l
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		var err error
		if s.instant != nil {
			err = s.instant.Serve(l)
		} else {
			err = s.http.Serve(trackedListener{l, &s.conns})
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed && !s.dead {
			s.log.Error("mock server stopped accepting", "address", s.address, "error", err)
		}
	}()
}

// Addr is the address that the server listens on, as host:port; empty before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Close stops the server, cuts every connection and waits until nothing of it runs any more.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.revival != nil {
		s.revival.Stop()
	}
	l := s.listener
	s.mu.Unlock()

	if l != nil {
		l.Close()
	}
	if s.instant != nil {
		s.instant.Close()
		s.work.Wait()
		return nil
	}
	s.lives.Add(1)
	s.stop()
	s.http.Close()
	s.replica.stop()
	s.work.Wait()
	return nil
}

// enter counts a request in, so that Close waits for it; it fails once the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// die ends the replica as a crash would: the port refuses connections, open ones are reset, what ran is lost and so are caches
// and engine counters. The connection keep survives, for the answer to who asked for this. It comes back after the time given,
// on the same port.
func (s *Server) die(back time.Duration, keep net.Conn) {
	s.mu.Lock()
	if s.closed || s.dead || s.listener == nil {
		s.mu.Unlock()
		return
	}
	s.dead = true
	s.deaths++
	s.lives.Add(1)
	l := s.listener
	s.revival = time.AfterFunc(back, s.revive)
	s.mu.Unlock()

	l.Close()
	s.conns.kill(keep)
	s.replica.restart()
}

// revive listens again where the dead replica did.
func (s *Server) revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		const again = 50 * time.Millisecond // someone else may hold the port for a moment
		s.log.Warn("mock server cannot listen again yet", "address", s.address, "error", err)
		s.revival.Reset(again)
		return
	}
	s.dead = false
	s.conns.revive()
	s.life.Load(s.options.LoadTime)
	s.serve(l)
}
