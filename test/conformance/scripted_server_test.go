package conformance

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// startGRPC runs a gRPC server until the test's end and returns its address.
func startGRPC(t testing.TB, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-ended
	})
	return l.Addr().String()
}

// scriptedServer does in each call what the call's plan says, and records what it saw.
type scriptedServer struct {
	mu    sync.Mutex
	calls map[string]*served
}

// served is what the server saw of a call. It may be read when done is closed.
type served struct {
	done     chan struct{}
	method   string
	metadata metadata.MD
	deadline bool
	encoding string // of the requests
	lengths  []int  // of the requests as they came, in bytes
	messages []string
	gone     bool // the call was over before the server ended it
}

func startScripted(t testing.TB) (s *scriptedServer, addr string) {
	s = &scriptedServer{calls: make(map[string]*served)}
	return s, startGRPC(t, grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(s.serve), grpc.StatsHandler(statistics{}), grpc.MaxRecvMsgSize(16<<20)))
}

// call returns the record of a call, which is made by who asks first.
func (s *scriptedServer) call(name string) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[name]
	if c == nil {
		c = &served{done: make(chan struct{})}
		s.calls[name] = c
	}
	return c
}

// await returns what the server saw of a call that has reached it, once it has ended there.
func (s *scriptedServer) await(name string) (*served, error) {
	c := s.call(name)
	select {
	case <-c.done:
		return c, nil
	case <-time.After(patience):
		return nil, fmt.Errorf("the call %q has not ended at the server", name)
	}
}

func (s *scriptedServer) serve(_ any, stream grpc.ServerStream) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	names := md[callField]
	if len(names) != 1 {
		return status.Errorf(codes.InvalidArgument, "the field %s is there %d times, want once", callField, len(names))
	}
	_, id, err := parseCall(names[0])
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	c := s.call(names[0])
	defer close(c.done)
	c.metadata = md
	c.method, _ = grpc.Method(ctx)
	_, c.deadline = ctx.Deadline()
	p := newPlan(id)
	err = p.serve(ctx, stream, c)
	c.encoding, c.lengths = receivedBy(ctx).get()
	c.lengths = c.lengths[:min(len(c.lengths), len(c.messages))]
	if ctx.Err() != nil {
		c.gone = true
	}
	return err
}

// serve does the server's part.
func (p *plan) serve(ctx context.Context, stream grpc.ServerStream, c *served) error {
	if err := answerIn(ctx, zipped(p.answersZipped)); err != nil {
		return err
	}
	if err := stream.SetHeader(p.header); err != nil {
		return err
	}
	stream.SetTrailer(p.trailer)
	sent := 0
	for _, s := range p.steps {
		var err error
		switch s.do {
		case receive, drain:
			err = c.receive(stream, s.do == drain)
		case sendHead:
			err = stream.SendHeader(nil)
		case send:
			message := p.message(response, sent, s.size)
			err = stream.SendMsg(&message)
			sent++
		case hang:
			<-ctx.Done()
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return status.FromProto(p.status).Err()
}

// receive records a message, or all that are to come.
func (c *served) receive(stream grpc.ServerStream, all bool) error {
	for {
		var message []byte
		switch err := stream.RecvMsg(&message); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		c.messages = append(c.messages, digest(message))
		if !all {
			return nil
		}
	}
}

// digest tells messages apart and is short enough to be printed.
func digest(message []byte) string {
	return fmt.Sprintf("%d:%.6x", len(message), sha256.Sum256(message))
}
