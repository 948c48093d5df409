package grpc

import "testing"

func TestModelField(t *testing.T) {
	for _, c := range []struct {
		path string
		want Field
		ok   bool
	}{
		{"/inference.GRPCInferenceService/ModelInfer", Field{1}, true},
		{"/inference.GRPCInferenceService/RepositoryModelLoad", Field{2}, true},
		{"/inference.GRPCInferenceService/ServerLive", Field{}, false},
		{"/inference.GRPCInferenceService/RepositoryIndex", Field{}, false},
		{"/tensorflow.serving.PredictionService/Predict", Field{1, 1}, true},
		{"/tensorflow.serving.PredictionService/MultiInference", Field{1, 1, 1}, true},
		{"/tensorflow.serving.ModelService/Predict", Field{}, false},
		{"/fmaas.GenerationService/Generate", Field{1}, true},
		{"/grpc.health.v1.Health/Check", Field{}, false},
	} {
		service, method, _ := SplitPath(c.path)
		if f, ok := ModelField(service, method); f != c.want || ok != c.ok {
			t.Errorf("ModelField of %s = %v, %v", c.path, f, ok)
		}
	}
}

// TestModelFieldsArePaths: a path begins with a number, and nothing follows its end.
func TestModelFieldsArePaths(t *testing.T) {
	for c, f := range modelFields {
		for depth := range f {
			if f[depth] > maxFieldNumber || f[depth] == 0 && (depth == 0 || depth+1 < maxPath && f[depth+1] != 0) {
				t.Errorf("%s/%s has the path %v", c.service, c.method, f)
			}
		}
	}
}
