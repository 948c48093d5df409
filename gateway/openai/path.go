package openai

import "bytes"

// ModelFromPath returns the model that a request target names, as it stands there: percent-encoding is kept, so a name that is
// encoded in the path equals a configured one only if that is encoded likewise. ok is false if the path is of another kind.
//
//	/v2/models/NAME, /v2/models/NAME/infer, /v2/models/NAME/versions/1/infer    KServe and Triton: NAME is one segment
//	/v1/models/NAME                                                             OpenAI: NAME may have slashes
//	/v1/models/NAME:predict, /v1/models/NAME/versions/1:predict, .../metadata   TensorFlow Serving
func ModelFromPath(path []byte) (model []byte, ok bool) {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if rest, is := bytes.CutPrefix(path, []byte("/v2/models/")); is {
		model, _, more := bytes.Cut(rest, []byte{'/'})
		// Triton's statistics of all models look like a model called stats.
		return model, len(model) > 0 && (more || string(model) != "stats")
	}
	if rest, is := bytes.CutPrefix(path, []byte("/v1/models/")); is {
		model = servingName(rest)
		return model, len(model) > 0
	}
	return nil, false
}

// servingVerbs are TensorFlow Serving's (its REST API, "Classify and Regress", "Predict") and KServe v1's. Other colons belong to
// the name: fine-tuned models have them.
var servingVerbs = [][]byte{[]byte(":predict"), []byte(":classify"), []byte(":regress"), []byte(":explain")}

// servingName cuts from what follows /v1/models/ whatever TensorFlow Serving puts after a name.
func servingName(rest []byte) []byte {
	for _, verb := range servingVerbs {
		if name, is := bytes.CutSuffix(rest, verb); is {
			rest = name
			break
		}
	}
	rest, _ = bytes.CutSuffix(rest, []byte("/metadata"))
	for _, selector := range [...]string{"/versions/", "/labels/"} {
		if i := bytes.LastIndex(rest, []byte(selector)); i > 0 && bytes.IndexByte(rest[i+len(selector):], '/') < 0 {
			return rest[:i]
		}
	}
	return rest
}
