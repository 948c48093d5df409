package rpc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // registers itself
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Stream is one call. It is a grpc.ServerStream: one goroutine may send while another receives.
type Stream struct {
	// Halfway, if set, is called when half of a message has been written and sent.
	Halfway func()

	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	limit   int64 // bytes of a message
	decode  encoding.Compressor
	headers bool // were written
	trailer metadata.MD
	broken  atomic.Bool
	stop    sync.Once // closes the body
}

var _ grpc.ServerStream = (*Stream)(nil)

// Method is the full name of the method, with its leading slash.
func (s *Stream) Method() string { return s.r.URL.Path }

// Request is the request that carries the call. Its context has no deadline.
func (s *Stream) Request() *http.Request { return s.r }

// Context ends when the client leaves or its deadline passes.
func (s *Stream) Context() context.Context { return s.ctx }

// SetContext replaces the context, for methods that are to find values in it.
func (s *Stream) SetContext(ctx context.Context) { s.ctx = ctx }

// Header is the response's header; what is set in it once the headers were sent is lost.
func (s *Stream) Header() http.Header { return s.w.Header() }

// Broken says whether the client cannot be answered any more: sending to it or reading from it has failed.
func (s *Stream) Broken() bool { return s.broken.Load() }

// StopReading makes RecvMsg fail, also one that waits in another goroutine.
func (s *Stream) StopReading() { s.stop.Do(func() { s.r.Body.Close() }) }

// SetHeader adds to the headers; it fails once they were sent.
func (s *Stream) SetHeader(md metadata.MD) error {
	if s.headers {
		return errors.New("cannot set headers: they were sent")
	}
	addMetadata(s.w.Header(), "", md)
	return nil
}

// SendHeader adds to the headers and sends them.
func (s *Stream) SendHeader(md metadata.MD) error {
	if err := s.SetHeader(md); err != nil {
		return err
	}
	return s.flush()
}

// SetTrailer adds to the trailers.
func (s *Stream) SetTrailer(md metadata.MD) { s.trailer = metadata.Join(s.trailer, md) }

// addMetadata adds metadata to a response's header; keys that end in -bin have values in base64.
func addMetadata(h http.Header, prefix string, md metadata.MD) {
	for key, values := range md {
		for _, v := range values {
			if strings.HasSuffix(key, "-bin") {
				v = base64.RawStdEncoding.EncodeToString([]byte(v))
			}
			h.Add(prefix+key, v)
		}
	}
}

// flush sends the headers and what was written.
func (s *Stream) flush() error {
	if !s.headers {
		s.headers = true
		s.w.WriteHeader(http.StatusOK)
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil {
		return s.sendError(err)
	}
	return nil
}

func (s *Stream) sendError(err error) error {
	s.broken.Store(true)
	return status.Errorf(codes.Canceled, "cannot send: %v", err)
}

// prefixSize is the length of what stands before each message: whether it is compressed, and its length.
const prefixSize = 5

// SendMsg sends a message at once.
func (s *Stream) SendMsg(m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		panic(fmt.Sprintf("BUG: a %T is no message", m))
	}
	b := make([]byte, prefixSize, prefixSize+proto.Size(message))
	b, err := proto.MarshalOptions{}.MarshalAppend(b, message)
	if err != nil {
		return status.Errorf(codes.Internal, "cannot encode a %T: %v", m, err)
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-prefixSize))
	if s.Halfway == nil {
		return s.send(b)
	}
	if err := s.send(b[:len(b)/2]); err != nil {
		return err
	}
	s.Halfway()
	return s.send(b[len(b)/2:])
}

func (s *Stream) send(b []byte) error {
	s.headers = true
	if _, err := s.w.Write(b); err != nil {
		return s.sendError(err)
	}
	return s.flush()
}

// RecvMsg reads the next message. The error is io.EOF when the client has sent all of them.
func (s *Stream) RecvMsg(m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		panic(fmt.Sprintf("BUG: a %T is no message", m))
	}
	b, err := s.read()
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(b, message); err != nil {
		return status.Errorf(codes.Internal, "cannot decode a %T: %v", m, err)
	}
	return nil
}

// read reads the bytes of a message.
func (s *Stream) read() ([]byte, error) {
	var prefix [prefixSize]byte
	if _, err := io.ReadFull(s.r.Body, prefix[:]); err == io.EOF {
		return nil, io.EOF
	} else if err != nil {
		return nil, s.readError(err)
	}
	n := int64(binary.BigEndian.Uint32(prefix[1:]))
	if n > s.limit {
		return nil, s.tooLarge()
	}
	b, err := io.ReadAll(io.LimitReader(s.r.Body, n)) // grows as bytes come, whatever the prefix promises
	if err == nil && int64(len(b)) < n {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case err != nil:
		return nil, s.readError(err)
	case prefix[0] == 0:
		return b, nil
	case prefix[0] > 1:
		return nil, status.Errorf(codes.Internal, "cannot read a message: its compressed flag is %d, it must be 0 or 1", prefix[0])
	case s.decode == nil:
		return nil, status.Error(codes.Internal, "cannot read a compressed message: the request has no grpc-encoding")
	}
	return s.decompress(b)
}

func (s *Stream) decompress(b []byte) ([]byte, error) {
	r, err := s.decode.Decompress(bytes.NewReader(b))
	if err == nil {
		b, err = io.ReadAll(io.LimitReader(r, s.limit+1))
	}
	if err != nil {
		return nil, status.Errorf(codes.Internal, "cannot decompress a message: %v", err)
	}
	if int64(len(b)) > s.limit {
		return nil, s.tooLarge()
	}
	return b, nil
}

func (s *Stream) tooLarge() error {
	return status.Errorf(codes.ResourceExhausted, "cannot read a message: it is larger than %d bytes", s.limit)
}

// readError says why a message is not whole: the client left or its time is over, or it ended its side within a message.
func (s *Stream) readError(err error) error {
	if ctx := s.ctx.Err(); ctx != nil {
		return status.FromContextError(ctx).Err()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return status.Error(codes.Internal, "cannot read a message: the request ends within it")
	}
	s.broken.Store(true)
	return status.Errorf(codes.Canceled, "cannot read a message: %v", err)
}

// unary runs a method that takes one message and gives one.
func (s *Stream) unary(handler grpc.MethodHandler, impl any) error {
	decode := func(m any) error {
		err := s.RecvMsg(m)
		if err == nil {
			if _, err = s.read(); err == nil {
				return status.Errorf(codes.Internal, "cannot call %s with more than one message", s.Method())
			} else if err == io.EOF {
				return nil
			}
		} else if err == io.EOF {
			return status.Errorf(codes.Internal, "cannot call %s without a message", s.Method())
		}
		return err
	}
	out, err := handler(impl, s.ctx, decode, nil)
	if err != nil {
		return err
	}
	return s.SendMsg(out)
}

// checkEncoding refuses compressions that it does not know.
func (s *Stream) checkEncoding() error {
	name := s.r.Header.Get("Grpc-Encoding")
	if name == "" || name == encoding.Identity {
		return nil
	}
	if s.decode = encoding.GetCompressor(name); s.decode == nil {
		s.w.Header().Set("Grpc-Accept-Encoding", "identity,gzip")
		return status.Errorf(codes.Unimplemented, "cannot read messages with grpc-encoding %q: it must be identity or gzip", name)
	}
	return nil
}

// end writes the status that ends the call: as trailers, or with the headers if nothing was sent yet.
func (s *Stream) end(err error) {
	st := statusOf(err)
	prefix := http.TrailerPrefix
	if !s.headers {
		if st.Code() == codes.OK {
			s.flush() // a client may want to see that headers and trailers differ
		} else {
			prefix = ""
		}
	}
	h := s.w.Header()
	addMetadata(h, prefix, s.trailer)
	h.Set(prefix+"Grpc-Status", strconv.Itoa(int(st.Code())))
	if m := st.Message(); m != "" {
		h.Set(prefix+"Grpc-Message", escape(m))
	}
	if len(st.Proto().GetDetails()) > 0 {
		if b, err := proto.Marshal(st.Proto()); err == nil {
			h.Set(prefix+"Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(b))
		}
	}
}
