package mock

import (
	"encoding/base64"
	"encoding/binary"
	"math"
)

// defaultDimensions is how long an embedding is where the request does not say, maxDimensions how long it may be.
const (
	defaultDimensions = 256
	maxDimensions     = 4096
)

// embeddings answers /v1/embeddings. Each text costs the engine a prefill.
func (s *Server) embeddings(c *call) {
	var r struct {
		Model      string    `json:"model"`
		Input      textInput `json:"input"`
		Format     string    `json:"encoding_format"`
		Dimensions *int      `json:"dimensions"`
	}
	if !c.decode(&r) || !c.knows(r.Model) {
		return
	}
	dimensions := defaultDimensions
	if r.Dimensions != nil {
		dimensions = *r.Dimensions
	}
	switch {
	case len(r.Input.prompts) == 0:
		c.refuse(badRequest("input", "input must be given."))
		return
	case r.Format != "" && r.Format != "float" && r.Format != "base64":
		c.refuse(badRequest("encoding_format", "encoding_format must be float or base64, got %q.", r.Format))
		return
	case dimensions < 1 || dimensions > maxDimensions:
		c.refuse(badRequest("dimensions", "dimensions must be 1 to %d, got %d.", maxDimensions, dimensions))
		return
	}
	generations, ok := c.submitAll(r.Model, r.Input.prompts)
	defer func() {
		for _, g := range generations {
			c.end(g)
		}
	}()
	if !ok {
		return
	}
	type item struct {
		Object    string `json:"object"`
		Index     int    `json:"index"`
		Embedding any    `json:"embedding"`
	}
	type tokens struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	}
	body := struct {
		Object string `json:"object"`
		Data   []item `json:"data"`
		Model  string `json:"model"`
		Usage  tokens `json:"usage"`
	}{Object: "list", Model: r.Model}
	for i, g := range generations {
		c.await(g, 0)
		v := embedding(r.Input.prompts[i].text, dimensions)
		var value any = v
		if r.Format == "base64" {
			value = encodeFloats(v)
		}
		body.Data = append(body.Data, item{Object: "embedding", Index: i, Embedding: value})
		body.Usage.Prompt += g.prompt
		body.Usage.Total += g.prompt
	}
	c.whole(mustJSON(body))
}

// submitAll starts a prefill for each text. What it started must be ended also where it fails.
func (c *call) submitAll(model string, prompts []prompt) (generations []*generation, ok bool) {
	for i := range prompts {
		g, ok := c.submit(model, &prompts[i], 1, false)
		if !ok {
			return generations, false
		}
		generations = append(generations, g)
	}
	return generations, true
}

// embedding makes a unit vector out of a text; equal texts have equal vectors.
func embedding(text []byte, dimensions int) []float32 {
	v := make([]float32, dimensions)
	seed := mix(0, text)
	var sum float64
	for i := range v {
		seed += 0x9e3779b97f4a7c15
		x := float64(int64(fold(seed))) / (1 << 63)
		v[i] = float32(x)
		sum += x * x
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
	return v
}

// encodeFloats is OpenAI's base64 format: little-endian 32-bit floats.
func encodeFloats(v []float32) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}
