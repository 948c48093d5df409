package inference

import (
	"fmt"
	"maps"
	"slices"
)

// Ask reads the request's tensors, in the order of their names.
func (r *PredictRequest) Ask() (a Ask, err error) {
	if len(r.GetInputs()) == 0 {
		return a, fmt.Errorf("inputs must have at least one tensor")
	}
	for _, name := range slices.Sorted(maps.Keys(r.GetInputs())) {
		b := r.GetInputs()[name].bytes()
		if name != MaxTokensInput {
			a.Prompt = append(a.Prompt, b...)
			continue
		}
		n, err := littleEndian(b)
		if err != nil {
			return a, fmt.Errorf("inputs[%q] %w", name, err)
		}
		a.MaxTokens = &n
	}
	return a, nil
}

// bytes are what the tensor holds, in whatever form it was sent.
func (t *TensorProto) bytes() []byte {
	b := slices.Clone(t.GetTensorContent())
	for _, v := range t.GetStringVal() {
		b = append(b, v...)
	}
	for _, v := range t.GetBoolVal() {
		b = appendBool(b, v)
	}
	b = append32(b, t.GetIntVal())
	b = append32(b, t.GetHalfVal())
	b = append32(b, t.GetUint32Val())
	b = append64(b, t.GetInt64Val())
	b = append64(b, t.GetUint64Val())
	b = appendFloats(b, t.GetFloatVal())
	return appendDoubles(b, t.GetDoubleVal())
}

// TextTensor is a tensor of one text.
func TextTensor(text []byte) *TensorProto {
	return &TensorProto{Dtype: DataType_DT_STRING, TensorShape: shape(1), StringVal: [][]byte{text}}
}

// Int32Tensor is a tensor of one number.
func Int32Tensor(n int32) *TensorProto {
	return &TensorProto{Dtype: DataType_DT_INT32, TensorShape: shape(1), IntVal: []int32{n}}
}

func shape(size int64) *TensorShapeProto {
	return &TensorShapeProto{Dim: []*TensorShapeProto_Dim{{Size: size}}}
}
