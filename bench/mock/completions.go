package mock

import (
	"encoding/json"
	"errors"
)

// textInput is what completions and embeddings take: a string, a list of strings, a list of token ids, or a list of such lists.
type textInput struct {
	prompts []prompt
}

// UnmarshalJSON takes the four forms; null is as good as absent.
func (t *textInput) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(b, &text) == nil {
		t.prompts = []prompt{{text: []byte(text)}}
		return nil
	}
	var texts []string
	if json.Unmarshal(b, &texts) == nil && len(texts) > 0 {
		for _, text := range texts {
			t.prompts = append(t.prompts, prompt{text: []byte(text)})
		}
		return nil
	}
	var ids []uint32
	if json.Unmarshal(b, &ids) == nil && len(ids) > 0 {
		t.prompts = make([]prompt, 1)
		t.prompts[0].addTokens(ids)
		return nil
	}
	var lists [][]uint32
	if json.Unmarshal(b, &lists) == nil && len(lists) > 0 {
		t.prompts = make([]prompt, len(lists))
		for i, ids := range lists {
			t.prompts[i].addTokens(ids)
		}
		return nil
	}
	return errors.New("the text must be a string, a list of strings, a list of token ids or a list of lists of token ids, and not empty")
}

// completions answers /v1/completions.
func (s *Server) completions(c *call) {
	var r struct {
		generationRequest
		Prompt textInput `json:"prompt"`
	}
	if !c.decode(&r) {
		return
	}
	output, ok := c.check(&r.generationRequest)
	if !ok {
		return
	}
	if len(r.Prompt.prompts) != 1 {
		c.refuse(badRequest("prompt", "prompt must be given, and be one prompt; got %d.", len(r.Prompt.prompts)))
		return
	}
	if g, ok := c.submit(r.Model, &r.Prompt.prompts[0], output, r.Stream); ok {
		c.respond(g, s.newCompletionAnswer(textShape, r.Model, r.includeUsage()), r.Stream)
	}
}
