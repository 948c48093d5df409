package conformance

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// rawCodec passes messages through as they are: they are of type *[]byte.
type rawCodec struct{}

var _ encoding.CodecV2 = rawCodec{}

// Marshal returns the message.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T: want *[]byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*m)}, nil
}

// Unmarshal sets v to the message.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot receive into a %T: want *[]byte", v)
	}
	*m = data.Materialize()
	return nil
}

// Name is the content-subtype where a call sets no other.
func (rawCodec) Name() string { return "raw" }
