package grpc

// maxPath is the length of the longest path in a Field.
const maxPath = 3

// Field is the way to a field of a message: the number of a field in the message, that of a field in the submessage found there, and
// so on; 0 ends it. The zero value leads nowhere.
type Field [maxPath]uint32

// last reports whether the field at depth is the one that the path leads to.
func (f *Field) last(depth int) bool { return depth == maxPath-1 || f[depth+1] == 0 }

type call struct{ service, method string }

const (
	// tritonService is KServe's version 2 protocol, with Triton's extensions: grpc_service.proto in triton-inference-server/common.
	tritonService = "inference.GRPCInferenceService"
	// predictionService and modelService are TensorFlow Serving's: tensorflow_serving/apis in tensorflow/serving. Models are named in a
	// ModelSpec, in its field 1.
	predictionService = "tensorflow.serving.PredictionService"
	modelService      = "tensorflow.serving.ModelService"
	// generationService is that of text-generation-inference in IBM's version, which vLLM has an adapter for: proto/generation.proto in
	// IBM/text-generation-inference.
	generationService = "fmaas.GenerationService"
)

// modelFields says where in its request a call names the model. A call that is not listed names none.
var modelFields = map[call]Field{
	{tritonService, "ModelInfer"}:            {1},
	{tritonService, "ModelStreamInfer"}:      {1},
	{tritonService, "ModelReady"}:            {1},
	{tritonService, "ModelMetadata"}:         {1},
	{tritonService, "ModelConfig"}:           {1},
	{tritonService, "ModelStatistics"}:       {1},
	{tritonService, "RepositoryModelLoad"}:   {2},
	{tritonService, "RepositoryModelUnload"}: {2},
	{tritonService, "TraceSetting"}:          {2},

	{predictionService, "Predict"}:          {1, 1},
	{predictionService, "Classify"}:         {1, 1},
	{predictionService, "Regress"}:          {1, 1},
	{predictionService, "GetModelMetadata"}: {1, 1},
	{predictionService, "MultiInference"}:   {1, 1, 1}, // of its first task; all have to name the same model
	{modelService, "GetModelStatus"}:        {1, 1},

	{generationService, "Generate"}:       {1},
	{generationService, "GenerateStream"}: {1},
	{generationService, "Tokenize"}:       {1},
	{generationService, "ModelInfo"}:      {1},
}

// ModelField returns where the requests of a method, as SplitPath returns it, name their model. ok is false if they name none, as far as
// is known here.
func ModelField(service, method string) (f Field, ok bool) {
	f, ok = modelFields[call{service, method}]
	return f, ok
}
