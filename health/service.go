package health

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// maxWatches is the most Watch calls at once. Each keeps a stream and its goroutine for as long as the client likes.
	maxWatches = 4096
	// maxList is the longest answer to List, in bytes: gRPC clients take no longer message unless they are told to.
	maxList = 4 << 20
)

// Service answers the calls of gRPC's health protocol, grpc.health.v1.Health, about the process that it runs in. It makes no
// connections and no goroutines: whoever has a call serves it. Its methods may be called from any goroutine.
type Service struct {
	state func() map[string]bool

	reading sync.Mutex
	known   map[string]bool // what state said last; reading guards it

	mu      sync.Mutex
	stale   bool          // known may no longer hold
	changed chan struct{} // closed while stale is true
	watches int
	closed  bool
	closing chan struct{} // closed with closed
}

// NewService returns a service that answers with what state returns: whether each of the services that it names is serving. The empty
// name is the whole process. The map must not be changed any more; state is asked after Changed was called, and may call it.
func NewService(state func() map[string]bool) *Service {
	changed := make(chan struct{})
	close(changed)
	return &Service{state: state, stale: true, changed: changed, closing: make(chan struct{})}
}

// Changed makes the service ask for the state before it answers anything more, and Watch calls tell what has changed in it. It is cheap, so
// that it may be called whenever something may have changed, and under locks, as it waits for nothing. Changes that come before anybody
// has looked are told as one.
func (s *Service) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stale {
		s.stale = true
		close(s.changed)
	}
}

// current returns the state, and a channel that is closed when it may have changed.
func (s *Service) current() (known map[string]bool, changed <-chan struct{}) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	stale := s.stale
	if stale {
		// Before the state is read, so that what changes meanwhile makes it stale once more.
		s.stale, s.changed = false, make(chan struct{})
	}
	changed = s.changed
	s.mu.Unlock()
	if stale {
		s.known = s.state()
	}
	return s.known, changed
}

// Close ends all Watch calls with UNAVAILABLE, and those that come later at once. It does not wait for them: one whose send or recv waits
// ends when that returns. Check and List go on to answer.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
}

// Serve serves one call of a method of grpc.health.v1.Health: Check, List or Watch. recv returns the next request message, as serialised
// protobuf, and io.EOF where the client has ended its side; send sends a response message, and waits while the client takes no more.
// Both must fail when ctx ends. The call's gRPC status is returned, with a message unless it is 0, OK.
func (s *Service) Serve(ctx context.Context, method string, recv func() ([]byte, error), send func([]byte) error) (code uint32, message string) {
	c := &call{ctx: ctx, recv: recv, send: send}
	var err error
	switch method {
	case "Check":
		err = s.check(c)
	case "List":
		err = s.list(c)
	case "Watch":
		err = s.watch(c)
	default:
		err = status.Errorf(codes.Unimplemented, "unknown method %.128q of grpc.health.v1.Health: it has Check, List and Watch", method)
	}
	outcome := status.Convert(err)
	return uint32(outcome.Code()), outcome.Message()
}

func (s *Service) check(c *call) error {
	var request grpc_health_v1.HealthCheckRequest
	if err := c.receive(&request); err != nil {
		return err
	}
	known, _ := s.current()
	serving, ok := known[request.Service]
	if !ok {
		return status.Errorf(codes.NotFound, "unknown service %.128q: List names those that there are", request.Service)
	}
	return c.respond(&grpc_health_v1.HealthCheckResponse{Status: statusOf(serving)})
}

func (s *Service) list(c *call) error {
	if err := c.receive(&grpc_health_v1.HealthListRequest{}); err != nil {
		return err
	}
	known, _ := s.current()
	response := &grpc_health_v1.HealthListResponse{Statuses: make(map[string]*grpc_health_v1.HealthCheckResponse, len(known))}
	for name, serving := range known {
		response.Statuses[name] = &grpc_health_v1.HealthCheckResponse{Status: statusOf(serving)}
	}
	if size := proto.Size(response); size > maxList {
		return status.Errorf(codes.ResourceExhausted, "the list of %d services has %d bytes, and at most %d are sent: Check them by name", len(known), size, maxList)
	}
	return c.respond(response)
}

// watch sends a service's status at once, and again whenever it is another one. A name that is not known yet, or no longer, is a status too.
func (s *Service) watch(c *call) error {
	if err := s.admitWatch(); err != nil {
		return err
	}
	defer s.releaseWatch()
	var request grpc_health_v1.HealthCheckRequest
	if err := c.receive(&request); err != nil {
		return err
	}
	const nothing grpc_health_v1.HealthCheckResponse_ServingStatus = -1
	for sent := nothing; ; {
		known, changed := s.current()
		now := grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		if serving, ok := known[request.Service]; ok {
			now = statusOf(serving)
		}
		if now != sent {
			if err := c.respond(&grpc_health_v1.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			sent = now
		}
		select {
		case <-changed:
		case <-s.closing:
			return errClosing
		case <-c.ctx.Done():
			return status.FromContextError(c.ctx.Err()).Err()
		}
	}
}

var errClosing = status.Error(codes.Unavailable, "the server is closing: watch another one")

// admitWatch counts a Watch call, if there may be one more.
func (s *Service) admitWatch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosing
	case s.watches >= maxWatches:
		return status.Errorf(codes.ResourceExhausted, "%d Watch calls are open, which is the most: use Check, or come back later", s.watches)
	}
	s.watches++
	return nil
}

func (s *Service) releaseWatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches--
}

func statusOf(serving bool) grpc_health_v1.HealthCheckResponse_ServingStatus {
	if serving {
		return grpc_health_v1.HealthCheckResponse_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_NOT_SERVING
}
