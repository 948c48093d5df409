// Package rpc serves gRPC on top of net/http, in the goroutine of the request: a panic with http.ErrAbortHandler resets the stream,
// a message is read when it is asked for and not before, and the handler of a method can reach the response that it writes. That is
// what a mock needs to break streams in the middle, and what grpc-go's own handler for net/http does not give.
//
// It knows the identity and gzip encodings of requests, answers without compression, and enforces grpc-timeout.
package rpc

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Server is an http.Handler of gRPC services. Services are registered before the first request.
type Server struct {
	// MaxMessageBytes is the largest message that is read, as it is when decompressed; beyond it the call ends with RESOURCE_EXHAUSTED.
	MaxMessageBytes int64
	// Around, if set, is called around every method that exists. It may end the call without calling the method.
	Around func(s *Stream, method func() error) error

	methods  map[string]method // by full name
	services map[string]grpc.ServiceInfo
}

// method runs one method on a stream.
type method func(*Stream) error

// RegisterService registers a service with what implements it, as grpc.Server does. It panics if there is one of that name.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if _, known := s.services[desc.ServiceName]; known {
		panic("BUG: the service " + desc.ServiceName + " was registered twice")
	}
	if s.methods == nil {
		s.methods, s.services = make(map[string]method), make(map[string]grpc.ServiceInfo)
	}
	info := grpc.ServiceInfo{Metadata: desc.Metadata}
	for _, m := range desc.Methods {
		s.methods["/"+desc.ServiceName+"/"+m.MethodName] = func(st *Stream) error { return st.unary(m.Handler, impl) }
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.MethodName})
	}
	for _, m := range desc.Streams {
		s.methods["/"+desc.ServiceName+"/"+m.StreamName] = func(st *Stream) error { return m.Handler(impl, st) }
		info.Methods = append(info.Methods, grpc.MethodInfo{Name: m.StreamName, IsClientStream: m.ClientStreams, IsServerStream: m.ServerStreams})
	}
	s.services[desc.ServiceName] = info
}

// GetServiceInfo tells the reflection service what is registered.
func (s *Server) GetServiceInfo() map[string]grpc.ServiceInfo { return s.services }

// Wants says whether a request is one of gRPC.
func Wants(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Content-Type"), contentType)
	return ok && r.ProtoMajor == 2 && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

const contentType = "application/grpc"

// ServeHTTP answers a request that Wants said yes to. Panics of methods pass through.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	st := &Stream{w: w, r: r, ctx: r.Context(), limit: s.MaxMessageBytes}
	w.Header().Set("Content-Type", contentType)
	if timeout, ok, err := timeoutOf(r); err != nil {
		st.end(err)
		return
	} else if ok {
		ctx, cancel := context.WithTimeout(st.ctx, timeout)
		defer cancel()
		defer context.AfterFunc(ctx, st.StopReading)() // reads of the body know nothing of the deadline
		st.ctx = ctx
	}
	st.end(s.run(st))
}

// run runs the method that the request names.
func (s *Server) run(st *Stream) error {
	if err := st.checkEncoding(); err != nil {
		return err
	}
	m, known := s.methods[st.r.URL.Path]
	switch {
	case st.r.Method != http.MethodPost:
		return status.Errorf(codes.Internal, "cannot call a method with %s: it must be POST", st.r.Method)
	case !known:
		return s.unknown(st.r.URL.Path)
	case s.Around != nil:
		return s.Around(st, func() error { return m(st) })
	}
	return m(st)
}

func (s *Server) unknown(path string) error {
	service, name, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok {
		return status.Errorf(codes.Unimplemented, "malformed method name: %q", path)
	}
	if _, known := s.services[service]; !known {
		return status.Errorf(codes.Unimplemented, "unknown service %s", service)
	}
	return status.Errorf(codes.Unimplemented, "unknown method %s for service %s", name, service)
}

// statusOf is the status that an error of a method stands for.
func statusOf(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	if st := status.FromContextError(err); st.Code() != codes.Unknown {
		return st
	}
	return status.New(codes.Unknown, fmt.Sprint(err))
}
