package inference

import (
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TextOutput is the name of the one output, a text.
const TextOutput = "text_output"

// version is the version of every model.
const version = 1

// Answer is a response to the request with a text, in raw form where the request was.
func (r *ModelInferRequest) Answer(text []byte, raw bool) *ModelInferResponse {
	out := &ModelInferResponse_InferOutputTensor{Name: TextOutput, Datatype: "BYTES", Shape: []int64{1}}
	answer := &ModelInferResponse{
		ModelName: r.GetModelName(), ModelVersion: "1", Id: r.GetId(), Outputs: []*ModelInferResponse_InferOutputTensor{out},
	}
	if raw {
		answer.RawOutputContents = [][]byte{RawText(text)}
	} else {
		out.Contents = &InferTensorContents{BytesContents: [][]byte{text}}
	}
	return answer
}

// StreamAnswer is a response of a stream of them, with the parameter by which Triton marks the last one.
func (r *ModelInferRequest) StreamAnswer(text []byte, raw, last bool) *ModelStreamInferResponse {
	answer := r.Answer(text, raw)
	answer.Parameters = map[string]*InferParameter{"triton_final_response": {ParameterChoice: &InferParameter_BoolParam{BoolParam: last}}}
	return &ModelStreamInferResponse{InferResponse: answer}
}

// Text is the response's text.
func (r *ModelInferResponse) Text() string {
	if raw := r.GetRawOutputContents(); len(raw) > 0 {
		text, err := joinElements(raw[0])
		if err != nil {
			return ""
		}
		return string(text)
	}
	for _, out := range r.GetOutputs() {
		return string(out.GetContents().bytes())
	}
	return ""
}

// Metadata describes a model of one text in and one text out.
func Metadata(model string) *ModelMetadataResponse {
	tensor := func(name, datatype string) *ModelMetadataResponse_TensorMetadata {
		return &ModelMetadataResponse_TensorMetadata{Name: name, Datatype: datatype, Shape: []int64{1}}
	}
	return &ModelMetadataResponse{
		Name: model, Versions: []string{"1"}, Platform: "mock",
		Inputs: []*ModelMetadataResponse_TensorMetadata{
			tensor("text_input", "BYTES"), tensor(MaxTokensInput, "INT32"), tensor(StreamInput, "BOOL"),
		},
		Outputs: []*ModelMetadataResponse_TensorMetadata{tensor(TextOutput, "BYTES")},
	}
}

// Answer is a response to the request with a text.
func (r *PredictRequest) Answer(text []byte) *PredictResponse {
	return &PredictResponse{ModelSpec: r.GetModelSpec().served(), Outputs: map[string]*TensorProto{TextOutput: TextTensor(text)}}
}

// Answer describes a model of one text in and one text out. A signature map can always be packed, so there is no error.
func (r *GetModelMetadataRequest) Answer() *GetModelMetadataResponse {
	tensor := func(name string, t DataType) *TensorInfo {
		return &TensorInfo{Encoding: &TensorInfo_Name{Name: name + ":0"}, Dtype: t, TensorShape: shape(1)}
	}
	packed, err := anypb.New(&SignatureDefMap{SignatureDef: map[string]*SignatureDef{"serving_default": {
		Inputs:     map[string]*TensorInfo{"text_input": tensor("text_input", DataType_DT_STRING), MaxTokensInput: tensor(MaxTokensInput, DataType_DT_INT32)},
		Outputs:    map[string]*TensorInfo{TextOutput: tensor(TextOutput, DataType_DT_STRING)},
		MethodName: "tensorflow/serving/predict",
	}}})
	if err != nil {
		panic("BUG: cannot pack a signature map: " + err.Error())
	}
	return &GetModelMetadataResponse{ModelSpec: r.GetModelSpec().served(), Metadata: map[string]*anypb.Any{"signature_def": packed}}
}

// served is the specification of what answered.
func (s *ModelSpec) served() *ModelSpec {
	return &ModelSpec{Name: s.GetName(), VersionChoice: &ModelSpec_Version{Version: wrapperspb.Int64(version)}, SignatureName: "serving_default"}
}
