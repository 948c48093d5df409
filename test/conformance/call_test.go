package conformance

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
)

// outcome is what a client saw of a call.
type outcome struct {
	header, trailer metadata.MD
	messages        []string
	code            codes.Code
	status          string // all of it, details too
	encoding        string // of the responses
	lengths         []int  // of the responses as they came, in bytes
}

// run makes the call and sees it to its end.
func (p *plan) run(conn *grpc.ClientConn, way string) *outcome {
	md := p.metadata.Copy()
	md.Set(callField, p.id.via(way))
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(context.Background(), md))
	defer cancel()
	if p.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, p.timeout)
		defer stop()
	}
	if p.cancelsIn > 0 {
		defer time.AfterFunc(p.cancelsIn, cancel).Stop()
	}
	ctx, r := receiving(ctx)
	options := []grpc.CallOption{grpc.ForceCodecV2(rawCodec{}), grpc.CallContentSubtype(p.subtype)}
	if p.zipped {
		options = append(options, grpc.UseCompressor(zipped(true)))
	}
	o := new(outcome)
	var err error
	if p.unary {
		err = p.runUnary(ctx, conn, options, o)
	} else {
		err = p.runStream(ctx, cancel, conn, options, o)
	}
	o.setStatus(err)
	o.encoding, o.lengths = r.get()
	return o
}

func (o *outcome) setStatus(err error) {
	s := status.Convert(err)
	o.code, o.status = s.Code(), prototext.MarshalOptions{AllowPartial: true}.Format(s.Proto())
}

const method = "/conformance.Scripted/Call"

func (p *plan) runUnary(ctx context.Context, conn *grpc.ClientConn, options []grpc.CallOption, o *outcome) error {
	var answer []byte
	message := p.message(request, 0, p.requests[0])
	err := conn.Invoke(ctx, method, &message, &answer, append(options, grpc.Header(&o.header), grpc.Trailer(&o.trailer))...)
	if err == nil {
		o.messages = []string{digest(answer)}
	}
	return err
}

func (p *plan) runStream(ctx context.Context, cancel func(), conn *grpc.ClientConn, options []grpc.CallOption, o *outcome) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, options...)
	if err != nil {
		return err
	}
	turn, sent := make(chan struct{}, len(p.requests)+len(p.steps)), make(chan struct{})
	go func() {
		defer close(sent)
		p.sendRequests(stream, turn)
	}()
	defer func() { <-sent }()
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			o.header, _ = stream.Header()
			o.trailer = stream.Trailer()
			if err == io.EOF {
				return nil
			}
			return err
		}
		o.messages = append(o.messages, digest(message))
		turn <- struct{}{}
		if len(o.messages) == p.cancelAt {
			cancel()
		}
	}
}

// sendRequests sends what the client has to say, in lockstep a message for each turn after the first, until the call is over.
func (p *plan) sendRequests(stream grpc.ClientStream, turn <-chan struct{}) {
	for i, size := range p.requests {
		if p.lockstep && i > 0 {
			select {
			case <-turn:
			case <-stream.Context().Done():
				return
			}
		}
		message := p.message(request, i, size)
		if stream.SendMsg(&message) != nil {
			return
		}
	}
	stream.CloseSend()
}
