package http2

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/grpc"
)

// answerLocally gives an answer that may take seconds to make, such as the list of models.
func (s *stream) answerLocally() {
	reply := s.x.Local()
	b := getBatch()
	defer b.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.interrupted(b) {
		s.refuse(b, reply)
	}
}

// serveLocally lets one of the gateway's own gRPC services answer the call.
func (s *stream) serveLocally() {
	service := s.c.srv.services[string(s.x.Request.GRPCService)]
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.goOn(stageHanded, func() {
		defer cancel()
		call := &localCall{s: s}
		code, message := service.Serve(ctx, string(s.x.Request.GRPCMethod), call.recv, call.send)
		call.end(grpc.Code(code), message)
	})
}

// localCall is a call that one of the gateway's own services answers.
type localCall struct {
	s   *stream
	out []byte
}

// maxLocalMessage is the longest message that one of the gateway's own services takes, in bytes.
const maxLocalMessage = 64 << 10

const messagePrefix = 5 // bytes: whether the message is compressed, and its length

var errCompressed = errors.New("the message is compressed, which this service does not take")

// recv returns the next message of the client.
func (l *localCall) recv() ([]byte, error) {
	var prefix [messagePrefix]byte
	if err := l.fill(prefix[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(prefix[1:])
	switch {
	case prefix[0] != 0:
		return nil, errCompressed
	case n > maxLocalMessage:
		return nil, errors.New("the message is longer than this service takes")
	}
	message := make([]byte, n)
	if err := l.fill(message); err != nil && (err != io.EOF || n > 0) {
		return nil, io.ErrUnexpectedEOF
	}
	return message, nil
}

// fill reads until p is full. io.EOF means that the client sent nothing more at all.
func (l *localCall) fill(p []byte) error {
	for n := 0; n < len(p); {
		m, err := l.s.up.read(p[n:])
		if err == io.EOF && n > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		n += m
	}
	return nil
}

// send sends a message to the client.
func (l *localCall) send(message []byte) error {
	if !l.begin() {
		return errAbandoned
	}
	l.out = append(l.out[:0], 0)
	l.out = binary.BigEndian.AppendUint32(l.out, uint32(len(message)))
	l.out = append(l.out, message...)
	return l.s.down.write(l.out)
}

// begin sends the response's head, once. It reports false if the call is over: nothing may be sent without a head.
func (l *localCall) begin() bool {
	b := getBatch()
	defer b.release()
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.gone || l.s.verdict.reply != nil {
		return false
	}
	l.beginLocked(b)
	return true
}

func (l *localCall) beginLocked(b *batch) {
	s := l.s
	if s.headSent {
		return
	}
	s.headSent = true
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		mark := c.beginBlock()
		c.field(":status", "200")
		c.field("content-type", "application/grpc")
		c.secret("x-request-id", stringOf(s.x.RequestID))
		c.endBlock(b, mark, s.id, false)
	}
}

// end sends the call's status.
func (l *localCall) end(code grpc.Code, message string) {
	s := l.s
	trailers := []hpack.HeaderField{{Name: "grpc-status", Value: strconv.Itoa(int(code))}}
	if message != "" {
		trailers = append(trailers, hpack.HeaderField{Name: "grpc-message", Value: string(grpc.AppendMessage(nil, message))})
	}
	b := getBatch()
	defer b.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interrupted(b) {
		return
	}
	l.beginLocked(b)
	s.down.ended, s.down.trailers = true, append(s.down.trailers[:0], trailers...)
	s.down.pump(b)
	s.x.Status, s.x.GRPCStatus = grpc.HTTPStatus(code), int(code)
	s.answeredAll(b, dispatch.Refused)
}
