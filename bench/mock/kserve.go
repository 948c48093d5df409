package mock

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// infer answers POST /v2/models/NAME/infer of the KServe v2 protocol: whatever the inputs hold is the prompt, and the output is a
// tensor of one text. The parameter max_tokens limits it.
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
	output, ok := c.outputTokens(r.Parameters.MaxTokens)
	if !ok {
		return
	}
	var p prompt
	for i, in := range r.Inputs {
		if in.Name == "" || in.Datatype == "" || len(in.Shape) == 0 {
			badRequest("inputs", "inputs[%d] must have a name, a shape and a datatype.", i).write(c.w)
			return
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
		badRequest("inputs", "inputs must be a list of at least one tensor.").write(c.w)
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
	writeJSON(w, http.StatusOK, fmt.Appendf(nil, `{"name":%s,"versions":["1"],"platform":"mock","inputs":[{"name":"text_input","datatype":"BYTES","shape":[1]}],"outputs":[{"name":"text_output","datatype":"BYTES","shape":[1]}]}`,
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
