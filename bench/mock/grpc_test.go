package mock

import (
	"io"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/penstock/penstock/bench/mock/inference"
)

func TestModelInfer(t *testing.T) {
	f := start(t, Options{})
	c := f.grpc()
	var header metadata.MD
	var out inference.ModelInferResponse
	c.must(inference.ModelInferMethod, inferRequest("Hello there", 5), &out, grpc.Header(&header))
	if got := header.Get("x-mock-replica"); len(got) != 1 || got[0] != f.Addr() {
		t.Errorf("x-mock-replica is %q, want %q", got, f.Addr())
	}
	if out.GetModelName() != "llama-3-8b" || out.GetModelVersion() != "1" || out.GetId() != "Hello there" || len(out.Text()) != 5*tokenBytes {
		t.Errorf("answer %v", &out)
	}
	f.awaitOutcome(inference.ModelInferMethod, finished)
	s := f.State()
	if want := (RequestCounts{Started: 1, Finished: 1}); s.Endpoints[inference.ModelInferMethod] != want || s.Requests != want {
		t.Errorf("counts %+v", s.Endpoints)
	}
	if s.Engine.GenerationTokens != 5 || s.Engine.PromptTokens != 3 || s.Engine.Finished != 1 {
		t.Errorf("engine %+v", s.Engine)
	}
	var overHTTP struct{ Outputs []struct{ Data []string } }
	f.post("/v2/models/llama-3-8b/infer", `{"inputs":[{"name":"text_input","datatype":"BYTES","shape":[1],"data":["Hello there"]},
		{"name":"max_tokens","datatype":"INT32","shape":[1],"data":[5]},{"name":"stream","datatype":"BOOL","shape":[1],"data":[false]}]}`, &overHTTP)
	if overHTTP.Outputs[0].Data[0] != out.Text() {
		t.Errorf("HTTP answers %q and gRPC %q", overHTTP.Outputs[0].Data[0], out.Text())
	}
}

func TestModelInferFormsOfRequests(t *testing.T) {
	f := start(t, Options{MaxTokens: 3})
	c := f.grpc()
	typed := inferRequest("Hello there", 7)
	raw := proto.CloneOf(typed)
	for _, in := range raw.Inputs {
		in.Contents = nil
	}
	raw.RawInputContents = [][]byte{inference.RawText([]byte("Hello there")), {7, 0, 0, 0}}
	parameter := proto.CloneOf(typed)
	parameter.Inputs = parameter.Inputs[:1]
	parameter.Parameters = map[string]*inference.InferParameter{"max_tokens": {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: 7}}}
	textParameter := proto.CloneOf(parameter)
	textParameter.Parameters["max_tokens"].ParameterChoice = &inference.InferParameter_StringParam{StringParam: "7"}
	unlimited := proto.CloneOf(typed)
	unlimited.Inputs = unlimited.Inputs[:1]
	for name, test := range map[string]struct {
		in     *inference.ModelInferRequest
		tokens int
		raw    bool
	}{
		"typed": {typed, 7, false}, "raw": {raw, 7, true}, "parameter": {parameter, 7, false}, "text parameter": {textParameter, 7, false},
		"default": {unlimited, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
				var out inference.ModelInferResponse
				c.must(inference.ModelInferMethod, test.in, &out, o...)
				if len(out.Text()) != test.tokens*tokenBytes || (len(out.GetRawOutputContents()) == 1) != test.raw {
					t.Errorf("answer %v", &out)
				}
			}
		})
	}
}

func TestModelInferErrors(t *testing.T) {
	f := start(t, Options{MaxBodyBytes: 4096})
	c := f.grpc()
	change := func(edit func(*inference.ModelInferRequest)) *inference.ModelInferRequest {
		r := inferRequest("Hello", 5)
		edit(r)
		return r
	}
	for name, test := range map[string]struct {
		in   *inference.ModelInferRequest
		code codes.Code
		text string
	}{
		"model":       {change(func(r *inference.ModelInferRequest) { r.ModelName = "gpt-9" }), codes.NotFound, "`gpt-9` does not exist"},
		"no inputs":   {change(func(r *inference.ModelInferRequest) { r.Inputs = nil }), codes.InvalidArgument, "at least one tensor"},
		"no shape":    {change(func(r *inference.ModelInferRequest) { r.Inputs[1].Shape = nil }), codes.InvalidArgument, "inputs[1] must have"},
		"raw count":   {change(func(r *inference.ModelInferRequest) { r.RawInputContents = [][]byte{{}} }), codes.InvalidArgument, "has 1 tensors and inputs has 2"},
		"raw text":    {change(func(r *inference.ModelInferRequest) { r.RawInputContents = [][]byte{{9, 0, 0, 0, 1}, {}} }), codes.InvalidArgument, "an element of 9 bytes with 1 bytes left"},
		"raw length":  {change(func(r *inference.ModelInferRequest) { r.RawInputContents = [][]byte{{9, 0}, {}} }), codes.InvalidArgument, "has 2 bytes where the length"},
		"max_tokens":  {change(func(r *inference.ModelInferRequest) { r.Inputs[1].Contents.IntContents = []int32{1, 2, 3} }), codes.InvalidArgument, "(max_tokens) has 12 bytes"},
		"no tokens":   {inferRequest("Hello", 0), codes.InvalidArgument, "at least 1, got 0"},
		"many tokens": {inferRequest("Hello", math.MaxInt32), codes.InvalidArgument, "maximum context length"},
		"parameter": {change(func(r *inference.ModelInferRequest) {
			r.Parameters = map[string]*inference.InferParameter{"max_tokens": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: "few"}}}
		}), codes.InvalidArgument, `parameter max_tokens is "few"`},
		"too large": {inferRequest(strings.Repeat("x", 5000), 5), codes.ResourceExhausted, "larger than 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.invoke(inference.ModelInferMethod, test.in, new(inference.ModelInferResponse))
			if wantCode(t, err, test.code); !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v does not say %q", err, test.text)
			}
			f.awaitOutcome(inference.ModelInferMethod, finished)
		})
	}
	err := c.invoke(inference.ModelInferMethod, inferRequest(strings.Repeat("x", 50_000), 5), new(inference.ModelInferResponse), grpc.UseCompressor(gzip.Name))
	wantCode(t, err, codes.ResourceExhausted)
	f.post(chatPath, hello, new(completionJSON))
}

func TestModelStreamInfer(t *testing.T) {
	f := start(t, Options{})
	c := f.grpc()
	var whole inference.ModelInferResponse
	c.must(inference.ModelInferMethod, inferRequest("Hello there", 5), &whole)
	f.ending()
	s := c.ask(c.ctx, inferRequest("Hello there", 5))
	var text string
	for i := range 5 {
		r := next(t, s)
		answer := r.GetInferResponse()
		text += answer.Text()
		if r.GetErrorMessage() != "" || answer.GetId() != "Hello there" || answer.Parameters["triton_final_response"].GetBoolParam() != (i == 4) {
			t.Errorf("response %d: %v", i, r)
		}
	}
	if text != whole.Text() {
		t.Errorf("streamed %q, whole %q", text, whole.Text())
	}
	if h, err := s.Header(); err != nil || h.Get("x-mock-replica")[0] != f.Addr() {
		t.Errorf("headers %v, %v", h, err)
	}
	// The stream takes more, also what cannot run.
	bad := inferRequest("Hello there", 5)
	bad.ModelName = "gpt-9"
	notStreamed := inferRequest("Hello", 6)
	notStreamed.Inputs = append(notStreamed.Inputs, &inference.ModelInferRequest_InferInputTensor{
		Name: "stream", Datatype: "BOOL", Shape: []int64{1}, Contents: &inference.InferTensorContents{BoolContents: []bool{false}},
	})
	for _, r := range []*inference.ModelInferRequest{bad, inferRequest("Hello", 0), {ModelName: "llama-3-8b"}} {
		if err := s.Send(r); err != nil {
			t.Fatal(err)
		}
		if m := next(t, s); m.GetErrorMessage() == "" || m.GetInferResponse().GetId() != r.GetId() {
			t.Errorf("response %v", m)
		}
	}
	s.Send(notStreamed)
	if m := next(t, s); len(m.GetInferResponse().Text()) != 6*tokenBytes {
		t.Errorf("response %v", m)
	}
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
	f.awaitOutcome(inference.ModelStreamInferMethod, finished)
	if s := f.State(); s.Endpoints[inference.ModelStreamInferMethod] != (RequestCounts{Started: 1, Finished: 1}) {
		t.Errorf("counts %+v", s.Endpoints)
	}
}

func TestRequestsOfAStreamRunTogether(t *testing.T) {
	f := start(t, Options{Speed: 1})
	c := f.grpc()
	s := c.ask(c.ctx, inferRequest("long", 10_000), inferRequest("short", 3))
	for short := 0; short < 3; { // one after the other, they would come after all of the long one
		if r := next(t, s).GetInferResponse(); r.GetId() == "short" {
			short++
		}
	}
	f.await("the short one has ended, and the long one runs", func(s State) bool { return s.Engine.Running == 1 && s.Engine.Finished == 1 })
}

func TestStreamBoundsWhatRunsAtOnce(t *testing.T) {
	f := start(t, Options{Speed: .01})
	c := f.grpc()
	s := c.stream(c.ctx)
	for range maxStreamed + 50 {
		if err := s.Send(inferRequest("x", 100)); err != nil {
			t.Fatal(err)
		}
	}
	f.await("as many run as may", func(s State) bool { return s.Engine.Arriving+s.Engine.Waiting+s.Engine.Running == maxStreamed })
	c.must("/"+inference.KServeName+"/ServerLive", &inference.ServerLiveRequest{}, new(inference.ServerLiveResponse)) // all that was sent has arrived
	if s := f.State(); s.Engine.Arriving+s.Engine.Waiting+s.Engine.Running != maxStreamed {
		t.Errorf("engine %+v", s.Engine)
	}
}

func TestPredict(t *testing.T) {
	f := start(t, Options{})
	c := f.grpc()
	var out inference.PredictResponse
	c.must(inference.PredictMethod, predictRequest(strings.Repeat("word ", 80)), &out)
	text := out.GetOutputs()["text_output"]
	if len(text.GetStringVal()) != 1 || len(text.GetStringVal()[0]) != tokenBytes || text.GetDtype() != inference.DataType_DT_STRING {
		t.Errorf("answer %v", &out)
	}
	if spec := out.GetModelSpec(); spec.GetName() != "llama-3-8b" || spec.GetVersion().GetValue() != 1 {
		t.Errorf("model %v", spec)
	}
	if s := f.State(); s.Engine.PromptTokens != 100 || s.Engine.GenerationTokens != 1 {
		t.Errorf("engine %+v", s.Engine)
	}
	f.awaitOutcome(inference.PredictMethod, finished)
	in := predictRequest("")
	in.Inputs = map[string]*inference.TensorProto{
		"max_tokens": inference.Int32Tensor(6), "image": {Dtype: inference.DataType_DT_FLOAT, FloatVal: make([]float32, 1000)},
		"mask": {Dtype: inference.DataType_DT_INT64, TensorContent: make([]byte, 400)},
	}
	c.must(inference.PredictMethod, in, &out)
	if s := f.State(); s.Engine.PromptTokens != 100+1000+100 || s.Engine.GenerationTokens != 1+6 {
		t.Errorf("engine %+v", s.Engine)
	}
	for want, in := range map[codes.Code]*inference.PredictRequest{
		codes.NotFound:        {ModelSpec: &inference.ModelSpec{Name: "resnet"}, Inputs: in.Inputs},
		codes.InvalidArgument: {ModelSpec: in.ModelSpec},
	} {
		wantCode(t, c.invoke(inference.PredictMethod, in, &out), want)
	}
	in.Inputs["max_tokens"] = inference.TextTensor([]byte("six"))
	wantCode(t, c.invoke(inference.PredictMethod, in, &out), codes.InvalidArgument)
}

func TestMetadataMethods(t *testing.T) {
	f := start(t, Options{Models: []string{"a", "b"}})
	c := f.grpc()
	kserve := func(name string) string { return "/" + inference.KServeName + "/" + name }
	var live inference.ServerLiveResponse
	c.must(kserve("ServerLive"), &inference.ServerLiveRequest{}, &live)
	var ready inference.ServerReadyResponse
	c.must(kserve("ServerReady"), &inference.ServerReadyRequest{}, &ready)
	var model inference.ModelReadyResponse
	c.must(kserve("ModelReady"), &inference.ModelReadyRequest{Name: "b"}, &model)
	var server inference.ServerMetadataResponse
	c.must(kserve("ServerMetadata"), &inference.ServerMetadataRequest{}, &server)
	if !live.GetLive() || !ready.GetReady() || !model.GetReady() || server.GetName() != "penstock-mock" {
		t.Errorf("%v %v %v %v", &live, &ready, &model, &server)
	}
	var about inference.ModelMetadataResponse
	c.must(kserve("ModelMetadata"), &inference.ModelMetadataRequest{Name: "b"}, &about)
	if about.GetName() != "b" || about.GetInputs()[0].GetName() != "text_input" || about.GetOutputs()[0].GetName() != "text_output" {
		t.Errorf("metadata %v", &about)
	}
	tfMetadata := "/" + inference.PredictName + "/GetModelMetadata"
	var tf inference.GetModelMetadataResponse
	c.must(tfMetadata, &inference.GetModelMetadataRequest{ModelSpec: &inference.ModelSpec{Name: "a"}, MetadataField: []string{"signature_def"}}, &tf)
	var signatures inference.SignatureDefMap
	if err := tf.GetMetadata()["signature_def"].UnmarshalTo(&signatures); err != nil {
		t.Fatal(err)
	}
	if in := signatures.GetSignatureDef()["serving_default"].GetInputs(); in["text_input"].GetDtype() != inference.DataType_DT_STRING {
		t.Errorf("signatures %v", &signatures)
	}
	for method, in := range map[string]proto.Message{
		kserve("ModelReady"): &inference.ModelReadyRequest{Name: "c"}, kserve("ModelMetadata"): &inference.ModelMetadataRequest{Name: "c"},
		tfMetadata: &inference.GetModelMetadataRequest{},
	} {
		wantCode(t, c.invoke(method, in, new(inference.ServerLiveResponse)), codes.NotFound)
	}
	if err := f.SetFaults([]Fault{{Kind: NotReady}}); err != nil {
		t.Fatal(err)
	}
	c.must(kserve("ServerReady"), &inference.ServerReadyRequest{}, &ready)
	c.must(kserve("ModelReady"), &inference.ModelReadyRequest{Name: "b"}, &model)
	if ready.GetReady() || model.GetReady() {
		t.Errorf("a replica that is not ready says %v, %v", &ready, &model)
	}
	for _, method := range []string{"/no.Service/M", "/" + inference.KServeName + "/ModelExplode", "/x"} {
		wantCode(t, c.invoke(method, &inference.ServerLiveRequest{}, &live), codes.Unimplemented)
	}
	if s := f.State(); s.Requests.Started != 0 {
		t.Errorf("what runs no model was counted: %+v", s)
	}
}

func TestReflection(t *testing.T) {
	f := start(t, Options{})
	c := f.grpc()
	s, err := reflectionpb.NewServerReflectionClient(c).ServerReflectionInfo(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(r *reflectionpb.ServerReflectionRequest) *reflectionpb.ServerReflectionResponse {
		t.Helper()
		if err := s.Send(r); err != nil {
			t.Fatal(err)
		}
		answer, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	var names []string
	list := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	for _, service := range list.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	for _, name := range []string{inference.KServeName, inference.PredictName, "grpc.health.v1.Health"} {
		if !strings.Contains(strings.Join(names, " "), name) {
			t.Errorf("services %v lack %s", names, name)
		}
		files := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name}})
		var found bool
		for _, b := range files.GetFileDescriptorResponse().GetFileDescriptorProto() {
			var file descriptorpb.FileDescriptorProto
			if err := proto.Unmarshal(b, &file); err != nil {
				t.Fatal(err)
			}
			for _, service := range file.GetService() {
				found = found || file.GetPackage()+"."+service.GetName() == name
			}
		}
		if !found {
			t.Errorf("no file describes %s: %v", name, files)
		}
	}
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
}
