package mock

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/penstock/penstock/bench/mock/inference"
)

// infer answers POST /v2/models/NAME/infer of the KServe v2 protocol: whatever the inputs hold is the prompt, and the output is a
// tensor of one text. The parameter or the input max_tokens limits it; an input stream is ignored, as this is no stream.
func (s *Server) infer(c *call) {
	model := c.r.PathValue("model")
	if !c.knows(model) {
		return
	}
	var r struct {
		ID         string `json:"id"`
		Parameters struct {
			MaxTokens *int `json:"max_tokens"`
		} `json:"parameters"`
		Inputs []struct {
			Name     string            `json:"name"`
			Shape    []int64           `json:"shape"`
			Datatype string            `json:"datatype"`
			Data     []json.RawMessage `json:"data"`
		} `json:"inputs"`
	}
	if !c.decode(&r) {
		return
	}
	limit := r.Parameters.MaxTokens
	var p prompt
	for i, in := range r.Inputs {
		if in.Name == "" || in.Datatype == "" || len(in.Shape) == 0 {
			c.refuse(badRequest("inputs", "inputs[%d] must have a name, a shape and a datatype.", i))
			return
		}
		switch in.Name {
		case inference.StreamInput:
			continue
		case inference.MaxTokensInput:
			limit = new(int)
			if len(in.Data) != 1 || json.Unmarshal(in.Data[0], limit) != nil {
				c.refuse(badRequest("inputs", "inputs[%d] (max_tokens) must be one integer.", i))
				return
			}
			continue
		}
		for _, value := range in.Data {
			var text string
			if json.Unmarshal(value, &text) == nil {
				p.text = append(p.text, text...)
			} else {
				p.text = append(p.text, value...)
				p.pad() // a number is a token or more of its own
			}
		}
	}
	if len(r.Inputs) == 0 {
		c.refuse(badRequest("inputs", "inputs must be a list of at least one tensor."))
		return
	}
	output, ok := c.outputTokens(limit)
	if !ok {
		return
	}
	if g, ok := c.submit(model, &p, output, false); ok {
		defer c.end(g)
		c.await(g, 0)
		c.whole(fmt.Appendf(nil, `{"model_name":%s,"model_version":"1","id":%s,"outputs":[{"name":"text_output","datatype":"BYTES","shape":[1],"data":["%s"]}]}`,
			mustJSON(model), mustJSON(r.ID), g.text))
	}
}

// modelMetadata answers GET /v2/models/NAME.
func (s *Server) modelMetadata(w http.ResponseWriter, r *http.Request) {
	model := r.PathValue("model")
	if !s.serves(model) {
		unknownModel(model).write(w)
		return
	}
	writeJSON(w, http.StatusOK, fmt.Appendf(nil, `{"name":%s,"versions":["1"],"platform":"mock","inputs":[{"name":"text_input","datatype":"BYTES","shape":[1]},{"name":"max_tokens","datatype":"INT32","shape":[1]},{"name":"stream","datatype":"BOOL","shape":[1]}],"outputs":[{"name":"text_output","datatype":"BYTES","shape":[1]}]}`,
		mustJSON(model)))
}

// modelReady answers GET /v2/models/NAME/ready.
func (s *Server) modelReady(w http.ResponseWriter, r *http.Request) {
	if model := r.PathValue("model"); !s.serves(model) {
		unknownModel(model).write(w)
		return
	}
	s.health(w, r)
}

// serverMetadata answers GET /v2.
func (s *Server) serverMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, []byte(`{"name":"penstock-mock","version":"1","extensions":[]}`))
}

// live answers GET /v2/health/live.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
