package openai

import (
	"bytes"
	"testing"
)

func TestModelFromPath(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/models/resnet/infer": "resnet", "/v2/models/resnet": "resnet", "/v2/models/resnet/versions/1/infer": "resnet",
		"/v2/models/resnet/generate_stream?x=/": "resnet", "/v2/models/a%2Fb/ready": "a%2Fb", "/v2/models/stats/infer": "stats",
		"/v2/models/stats": "", "/v2/models/": "", "/v2/models//infer": "", "/v2/models": "", "/v2/health/ready": "", "/x/v2/models/a": "",
		"/v1/models/llama": "llama", "/v1/models/meta-llama/Llama-3-8B": "meta-llama/Llama-3-8B", "/v1/models/ft:gpt:org::x?y": "ft:gpt:org::x",
		"/v1/models/a%3Ab": "a%3Ab", "/v1/models/half:predict": "half", "/v1/models/a:explain": "a", "/v1/models/a/versions/1:classify": "a",
		"/v1/models/a/labels/canary:regress": "a", "/v1/models/a/versions/1": "a", "/v1/models/a/versions/1/metadata": "a", "/v1/models/a/metadata": "a",
		"/v1/models/org/versions/b/c": "org/versions/b/c", "/v1/models/": "", "/v1/models": "", "/v1/models?x": "", "/v1/chat/completions": "", "": "",
	} {
		got, ok := ModelFromPath([]byte(path))
		if ok != (want != "") || ok && string(got) != want {
			t.Errorf("%q: got %q, %v; want %q", path, got, ok, want)
		}
	}
}

// FuzzModelFromPath checks that a name is a part of the path that is never empty nor reaches into the query.
func FuzzModelFromPath(f *testing.F) {
	for _, p := range []string{"/v2/models/a/infer", "/v1/models/a/b:predict", "/v1/models/a/versions/1/metadata?x", "/v1/models/:predict", "/v2/models/stats"} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		model, ok := ModelFromPath(path)
		if !ok {
			return
		}
		if len(model) == 0 || bytes.IndexByte(model, '?') >= 0 || !bytes.HasPrefix(path[len("/v1/models/"):], model) {
			t.Fatalf("%q: got %q", path, model)
		}
	})
}
