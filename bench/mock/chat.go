package mock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// generationRequest is what chat completions and completions share.
type generationRequest struct {
	Model               string         `json:"model"`
	MaxTokens           *int           `json:"max_tokens"`
	MaxCompletionTokens *int           `json:"max_completion_tokens"`
	N                   *int           `json:"n"`
	Stream              bool           `json:"stream"`
	StreamOptions       *streamOptions `json:"stream_options"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

func (r *generationRequest) includeUsage() bool {
	return r.StreamOptions != nil && r.StreamOptions.IncludeUsage
}

// check answers what the fields that both APIs share do not allow.
func (c *call) check(r *generationRequest) (output int, ok bool) {
	switch {
	case !c.knows(r.Model):
		return 0, false
	case r.N != nil && *r.N != 1:
		c.refuse(badRequest("n", "n must be 1, got %d.", *r.N))
		return 0, false
	case r.StreamOptions != nil && !r.Stream:
		c.refuse(badRequest("stream_options", "stream_options is only allowed when stream is true."))
		return 0, false
	}
	return c.outputTokens(r.MaxCompletionTokens, r.MaxTokens)
}

type chatMessage struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is the text of a message, whether it was sent as a string or in parts; a part that is no text counts with its JSON.
type content struct {
	text []byte
}

// UnmarshalJSON takes a string, null, or a list of parts.
func (c *content) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil { // null too
		c.text = []byte(text)
		return nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return fmt.Errorf("a message's content must be a string or a list of parts")
	}
	c.text = nil
	for _, raw := range parts {
		var part struct {
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(raw, &part); err != nil {
			return fmt.Errorf("a part of a message's content must be an object with a type")
		}
		if part.Text != nil {
			c.text = append(c.text, *part.Text...)
		} else {
			c.text = append(c.text, raw...)
		}
	}
	return nil
}

// chat answers /v1/chat/completions.
func (s *Server) chat(c *call) {
	var r struct {
		generationRequest
		Messages []chatMessage `json:"messages"`
	}
	if !c.decode(&r) {
		return
	}
	output, ok := c.check(&r.generationRequest)
	if !ok {
		return
	}
	if len(r.Messages) == 0 {
		c.refuse(badRequest("messages", "messages must be a list of at least one message."))
		return
	}
	var p prompt
	for _, m := range r.Messages {
		p.addMessage(m.Role, m.Content.text)
	}
	p.addRole("assistant")
	if g, ok := c.submit(r.Model, &p, output, r.Stream); ok {
		a := s.newCompletionAnswer(chatShape, r.Model, r.includeUsage())
		c.respond(g, a, r.Stream)
	}
}

// completionShape is what chat completions and completions write differently.
type completionShape struct {
	idPrefix, chunkObject, object string
	role                          string // JSON of the first chunk's choice; empty if there is no such chunk
	open, close                   string // JSON around a token's text
	wholeOpen, wholeClose         string // JSON around the whole text
}

var chatShape = &completionShape{
	idPrefix: "chatcmpl-", chunkObject: "chat.completion.chunk", object: "chat.completion",
	role:      `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`,
	open:      `{"index":0,"delta":{"content":"`,
	close:     `"},"logprobs":null,"finish_reason":`,
	wholeOpen: `{"index":0,"message":{"role":"assistant","content":"`, wholeClose: `","refusal":null},"logprobs":null,"finish_reason":"length"}`,
}

var textShape = &completionShape{
	idPrefix: "cmpl-", chunkObject: "text_completion", object: "text_completion",
	open:      `{"index":0,"text":"`,
	close:     `","logprobs":null,"finish_reason":`,
	wholeOpen: `{"index":0,"text":"`, wholeClose: `","logprobs":null,"finish_reason":"length"}`,
}

// completionAnswer is the answer of /v1/chat/completions and /v1/completions. Its texts are made of words, so nothing in them
// needs escaping.
type completionAnswer struct {
	shape        *completionShape
	head         []byte // JSON of a chunk up to its choices
	wholeHead    []byte // JSON of the whole body up to its choices
	includeUsage bool
}

func (s *Server) newCompletionAnswer(shape *completionShape, model string, includeUsage bool) *completionAnswer {
	id := shape.idPrefix + strconv.FormatInt(s.ids.Add(1), 10)
	created := time.Now().Unix()
	quoted := mustJSON(model)
	head := func(object string) []byte {
		return fmt.Appendf(nil, `{"id":"%s","object":"%s","created":%d,"model":%s,"choices":[`, id, object, created, quoted)
	}
	return &completionAnswer{shape: shape, head: head(shape.chunkObject), wholeHead: head(shape.object), includeUsage: includeUsage}
}

func (a *completionAnswer) appendOpen(b []byte) []byte {
	if a.shape.role == "" {
		return b
	}
	b = append(b, "data: "...)
	b = append(b, a.head...)
	b = append(b, a.shape.role...)
	return append(b, "]}\n\n"...)
}

func (a *completionAnswer) appendToken(b []byte, text []byte, last bool) []byte {
	reason := "null}"
	if last {
		reason = `"length"}`
	}
	b = append(b, "data: "...)
	b = append(b, a.head...)
	b = append(b, a.shape.open...)
	b = append(b, text...)
	b = append(b, a.shape.close...)
	b = append(b, reason...)
	return append(b, "]}\n\n"...)
}

func (a *completionAnswer) appendClose(b []byte, _ []byte, u usage) []byte {
	if a.includeUsage {
		b = append(b, "data: "...)
		b = append(b, a.head...)
		b = append(b, `],"usage":`...)
		b = u.appendJSON(b)
		b = append(b, "}\n\n"...)
	}
	return append(b, "data: [DONE]\n\n"...)
}

func (a *completionAnswer) whole(text []byte, u usage) []byte {
	b := bytes.Clone(a.wholeHead)
	b = append(b, a.shape.wholeOpen...)
	b = append(b, text...)
	b = append(b, a.shape.wholeClose...)
	b = append(b, `],"usage":`...)
	b = u.appendJSON(b)
	return append(b, '}')
}

func (u usage) appendJSON(b []byte) []byte {
	return fmt.Appendf(b, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}`,
		u.prompt, u.completion, u.prompt+u.completion, u.cached)
}
