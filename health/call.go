package health

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// call is a call with its messages decoded. Errors are gRPC statuses, with the codes that gRPC's own servers use.
type call struct {
	ctx  context.Context
	recv func() ([]byte, error)
	send func([]byte) error
}

// receive reads the one request message that each method takes, and the end behind it.
func (c *call) receive(m proto.Message) error {
	data, err := c.recv()
	switch {
	case errors.Is(err, io.EOF):
		return status.Error(codes.Internal, "the call has no request message: send one")
	case err != nil:
		return c.broken("receive the request", err)
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return status.Errorf(codes.Internal, "cannot decode the request, which must be a %s: %v", m.ProtoReflect().Descriptor().FullName(), err)
	}
	switch _, err := c.recv(); {
	case err == nil:
		return status.Error(codes.Internal, "the call has more than one request message: send only one")
	case !errors.Is(err, io.EOF):
		return c.broken("receive the request's end", err)
	}
	return nil
}

func (c *call) respond(m proto.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return status.Errorf(codes.Internal, "cannot encode the response: %v", err)
	}
	if err := c.send(data); err != nil {
		return c.broken("send the response", err)
	}
	return nil
}

// broken explains why a message could not be received or sent. Mostly the client has left.
func (c *call) broken(what string, err error) error {
	if ended := c.ctx.Err(); ended != nil {
		return status.FromContextError(ended).Err()
	}
	return status.Errorf(codes.Internal, "cannot %s: %v", what, err)
}
