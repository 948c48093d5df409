package inference

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

func text(name, value string) *ModelInferRequest_InferInputTensor {
	return &ModelInferRequest_InferInputTensor{
		Name: name, Datatype: "BYTES", Shape: []int64{1}, Contents: &InferTensorContents{BytesContents: [][]byte{[]byte(value)}},
	}
}

func number(name, datatype string, c *InferTensorContents) *ModelInferRequest_InferInputTensor {
	return &ModelInferRequest_InferInputTensor{Name: name, Datatype: datatype, Shape: []int64{1}, Contents: c}
}

func TestTypedAndRawTensorsAskTheSame(t *testing.T) {
	typed := &ModelInferRequest{Inputs: []*ModelInferRequest_InferInputTensor{
		text("a", "Hello"), number("b", "INT32", &InferTensorContents{IntContents: []int32{-2}}), number("c", "FP64", &InferTensorContents{Fp64Contents: []float64{1}}),
		number("d", "UINT64", &InferTensorContents{Uint64Contents: []uint64{3}}), number("e", "FP32", &InferTensorContents{Fp32Contents: []float32{1}}),
		number("max_tokens", "INT64", &InferTensorContents{Int64Contents: []int64{9}}), number("stream", "BOOL", &InferTensorContents{BoolContents: []bool{false}}),
	}}
	raw := proto.CloneOf(typed)
	for _, in := range raw.Inputs {
		in.Contents = nil
	}
	raw.RawInputContents = [][]byte{
		[]byte("\x05\x00\x00\x00Hello"), []byte("\xfe\xff\xff\xff"), []byte("\x00\x00\x00\x00\x00\x00\xf0\x3f"), []byte("\x03\x00\x00\x00\x00\x00\x00\x00"),
		[]byte("\x00\x00\x80\x3f"), []byte("\x09\x00\x00\x00\x00\x00\x00\x00"), {0},
	}
	a, err := typed.Ask()
	if err != nil {
		t.Fatal(err)
	}
	b, err := raw.Ask()
	if err != nil {
		t.Fatal(err)
	}
	if string(a.Prompt) != string(b.Prompt) || len(a.Prompt) != 5+4+8+8+4 || *a.MaxTokens != 9 || *b.MaxTokens != 9 || !a.Whole || !b.Whole || a.Raw || !b.Raw {
		t.Errorf("typed %+v, raw %+v", a, b)
	}
}

func TestAnswersHaveTheRequestsForm(t *testing.T) {
	r := &ModelInferRequest{ModelName: "m", Id: "7"}
	for _, raw := range []bool{false, true} {
		answer := r.Answer([]byte("the end "), raw)
		if answer.Text() != "the end " || answer.GetId() != "7" || (len(answer.GetRawOutputContents()) == 1) != raw {
			t.Errorf("answer %v", answer)
		}
	}
	if got := (&ModelInferResponse{}).Text(); got != "" {
		t.Errorf("a response without outputs has the text %q", got)
	}
}

// Whatever the tensors hold, they are read or refused, and the prompt is no larger than they are.
func FuzzAsk(f *testing.F) {
	seed, err := proto.Marshal(&ModelInferRequest{Inputs: []*ModelInferRequest_InferInputTensor{text("text_input", "Hello")}, RawInputContents: [][]byte{RawText([]byte("Hello"))}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r ModelInferRequest
		if proto.Unmarshal(b, &r) == nil {
			if a, err := r.Ask(); err == nil && len(a.Prompt) > 8*len(b) {
				t.Errorf("%d bytes became a prompt of %d", len(b), len(a.Prompt))
			}
		}
		var p PredictRequest
		if proto.Unmarshal(b, &p) == nil {
			if a, err := p.Ask(); err == nil && len(a.Prompt) > 8*len(b) {
				t.Errorf("%d bytes became a prompt of %d", len(b), len(a.Prompt))
			}
		}
	})
}
