package mock

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// responsesInput is the input of /v1/responses: a string, or a list of messages.
type responsesInput struct {
	messages []chatMessage
}

// UnmarshalJSON takes a string or a list of messages; null is as good as absent.
func (in *responsesInput) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(b, &text) == nil {
		in.messages = []chatMessage{{Role: "user", Content: content{text: []byte(text)}}}
		return nil
	}
	if err := json.Unmarshal(b, &in.messages); err != nil {
		return errors.New("input must be a string or a list of messages")
	}
	return nil
}

// responses answers /v1/responses.
func (s *Server) responses(c *call) {
	var r struct {
		Model           string         `json:"model"`
		Input           responsesInput `json:"input"`
		Instructions    string         `json:"instructions"`
		MaxOutputTokens *int           `json:"max_output_tokens"`
		Stream          bool           `json:"stream"`
	}
	if !c.decode(&r) || !c.knows(r.Model) {
		return
	}
	output, ok := c.outputTokens(r.MaxOutputTokens)
	if !ok {
		return
	}
	if len(r.Input.messages) == 0 {
		c.refuse(badRequest("input", "input must be a string or a list of at least one message."))
		return
	}
	var p prompt
	if r.Instructions != "" {
		p.addMessage("system", []byte(r.Instructions))
	}
	for _, m := range r.Input.messages {
		p.addMessage(m.Role, m.Content.text)
	}
	p.addRole("assistant")
	if g, ok := c.submit(r.Model, &p, output, r.Stream); ok {
		a := &responsesAnswer{id: strconv.FormatInt(s.ids.Add(1), 10), model: r.Model, created: time.Now().Unix()}
		c.respond(g, a, r.Stream)
	}
}

// responsesAnswer is the answer of /v1/responses: a response object, or the events that build one.
type responsesAnswer struct {
	id       string
	model    string
	created  int64
	sequence int
}

// appendEvent adds an event whose JSON has the given fields after its type and number.
func (a *responsesAnswer) appendEvent(b []byte, kind, format string, args ...any) []byte {
	b = fmt.Appendf(b, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%d,", kind, kind, a.sequence)
	a.sequence++
	b = fmt.Appendf(b, format, args...)
	return append(b, "}\n\n"...)
}

// item is the output item's JSON with the text that it has so far; it has no part before its first token.
func (a *responsesAnswer) item(status string, part []byte) []byte {
	return fmt.Appendf(nil, `{"id":"msg_%s","type":"message","role":"assistant","status":"%s","content":[%s]}`, a.id, status, part)
}

func textPart(text []byte) []byte {
	return fmt.Appendf(nil, `{"type":"output_text","text":"%s","annotations":[]}`, text)
}

// response is the response object. An answer ends because its limit is reached, so a complete one is called incomplete.
func (a *responsesAnswer) response(status string, output []byte, usage string) []byte {
	reason := "null"
	if status == "incomplete" {
		reason = `{"reason":"max_output_tokens"}`
	}
	return fmt.Appendf(nil, `{"id":"resp_%s","object":"response","created_at":%d,"status":"%s","error":null,"incomplete_details":%s,"model":%s,"output":[%s],"usage":%s}`,
		a.id, a.created, status, reason, mustJSON(a.model), output, usage)
}

func (a *responsesAnswer) appendOpen(b []byte) []byte {
	started := a.response("in_progress", nil, "null")
	b = a.appendEvent(b, "response.created", `"response":%s`, started)
	b = a.appendEvent(b, "response.in_progress", `"response":%s`, started)
	b = a.appendEvent(b, "response.output_item.added", `"output_index":0,"item":%s`, a.item("in_progress", nil))
	return a.appendEvent(b, "response.content_part.added", `"item_id":"msg_%s","output_index":0,"content_index":0,"part":%s`, a.id, textPart(nil))
}

func (a *responsesAnswer) appendToken(b []byte, text []byte, _ bool) []byte {
	return a.appendEvent(b, "response.output_text.delta", `"item_id":"msg_%s","output_index":0,"content_index":0,"delta":"%s"`, a.id, text)
}

func (a *responsesAnswer) appendClose(b []byte, text []byte, u usage) []byte {
	part := textPart(text)
	item := a.item("incomplete", part)
	b = a.appendEvent(b, "response.output_text.done", `"item_id":"msg_%s","output_index":0,"content_index":0,"text":"%s"`, a.id, text)
	b = a.appendEvent(b, "response.content_part.done", `"item_id":"msg_%s","output_index":0,"content_index":0,"part":%s`, a.id, part)
	b = a.appendEvent(b, "response.output_item.done", `"output_index":0,"item":%s`, item)
	return a.appendEvent(b, "response.incomplete", `"response":%s`, a.response("incomplete", item, u.responsesJSON()))
}

func (a *responsesAnswer) whole(text []byte, u usage) []byte {
	return a.response("incomplete", a.item("incomplete", textPart(text)), u.responsesJSON())
}

func (u usage) responsesJSON() string {
	return fmt.Sprintf(`{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}`,
		u.prompt, u.cached, u.completion, u.prompt+u.completion)
}
