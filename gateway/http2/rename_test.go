package http2

import (
	"bytes"
	"encoding/binary"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/penstock/penstock/gateway/grpc"
)

// inferRequest is a message of a call that names a model, behind some other fields and before a long one.
func inferRequest(model string, tensor int) []byte {
	m := protowire.AppendTag(nil, 9, protowire.VarintType)
	m = protowire.AppendVarint(m, 300)
	m = protowire.AppendTag(m, 1, protowire.BytesType)
	m = protowire.AppendString(m, model)
	m = protowire.AppendTag(m, 7, protowire.BytesType)
	m = protowire.AppendBytes(m, bytes.Repeat([]byte{7}, tensor))
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...)
}

// Every message of a stream that names the model has its name replaced, however the bytes are cut up; others pass as they are.
func TestRenamerRenamesEveryMessage(t *testing.T) {
	field, ok := grpc.ModelField("inference.GRPCInferenceService", "ModelStreamInfer")
	if !ok {
		t.Fatal("ModelStreamInfer has no model")
	}
	compressed := append([]byte{1, 0, 0, 0, 3}, "abc"...)
	empty := []byte{0, 0, 0, 0, 0}
	in := bytes.Join([][]byte{inferRequest("old", 10), empty, inferRequest("other", 3), compressed, inferRequest("old", 5000), inferRequest("old", 0)}, nil)
	want := bytes.Join([][]byte{inferRequest("a-new-one", 10), empty, inferRequest("other", 3), compressed, inferRequest("a-new-one", 5000), inferRequest("a-new-one", 0)}, nil)
	for _, size := range []int{1, 2, 3, 5, 7, 64, 1000, len(in)} {
		r := newRenamer(field, "old", "a-new-one", 1<<20)
		var got []byte
		for at := 0; at < len(in); at += size {
			end := min(at+size, len(in))
			out, ok := r.feed(in[at:end], end == len(in))
			if !ok {
				t.Fatalf("pieces of %d: refused", size)
			}
			got = append(got, out...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("pieces of %d: got %d bytes, want %d", size, len(got), len(want))
		}
	}
}

// What is held is bounded: a message whose model does not come goes on.
func TestRenamerHoldsNoMoreThanIsAllowed(t *testing.T) {
	field, _ := grpc.ModelField("inference.GRPCInferenceService", "ModelInfer")
	m := protowire.AppendTag(nil, 2, protowire.BytesType)
	m = protowire.AppendBytes(m, make([]byte, 10_000))
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m)+100)), m...)
	r := newRenamer(field, "old", "new", 4096)
	passed := 0
	for at := 0; at < len(body); at += 100 {
		out, _ := r.feed(body[at:min(at+100, len(body))], false)
		passed += len(out)
		if held := min(at+100, len(body)) - passed; held > 4096+100 {
			t.Fatalf("%d bytes are held", held)
		}
	}
}
