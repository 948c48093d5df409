package traffic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// tokenBytes is how long the text of every token of the mocks is.
const tokenBytes = 4

// completion is what of a chat completion, whole or a chunk, is verified.
type completion struct {
	Model   string `json:"model"`
	Choices []struct {
		Delta        struct{ Content string } `json:"delta"`
		Message      struct{ Content string } `json:"message"`
		FinishReason *string                  `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// checkUsage says what is wrong with the tokens that an answer counts.
func (c *completion) checkUsage(tokens int) error {
	if c.Usage == nil || c.Usage.Completion != tokens {
		return fmt.Errorf("the usage is %+v where %d tokens were asked for", c.Usage, tokens)
	}
	return nil
}

// checkWhole says what is wrong with the body of a whole answer.
func checkWhole(body []byte, model string, tokens int) error {
	var c completion
	if err := json.Unmarshal(body, &c); err != nil {
		return fmt.Errorf("the body is no answer: %w", err)
	}
	switch {
	case c.Model != model:
		return fmt.Errorf("the answer is of the model %q", c.Model)
	case len(c.Choices) != 1:
		return fmt.Errorf("the answer has %d choices", len(c.Choices))
	case c.Choices[0].FinishReason == nil || *c.Choices[0].FinishReason != "length":
		return fmt.Errorf("the answer does not say that it ended by its length")
	case len(c.Choices[0].Message.Content) != tokens*tokenBytes:
		return fmt.Errorf("the text has %d bytes, want %d for %d tokens", len(c.Choices[0].Message.Content), tokens*tokenBytes, tokens)
	}
	return c.checkUsage(tokens)
}

// events verifies a stream of server-sent events, line by line.
type events struct {
	model    string
	want     int // tokens
	tokens   int
	finished bool // a chunk gave the reason of the end
	usage    bool
	done     bool
	wrong    error  // what was wrong first
	refusal  string // an error that came as an event
}

// line takes a line without its end. It reports whether the line has a token.
func (v *events) line(line []byte) (token bool) {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		if len(line) > 0 && line[0] != ':' {
			v.fail("a line is %q", line)
		}
		return false
	}
	data = bytes.TrimSpace(data)
	switch {
	case v.done:
		v.fail("%q follows [DONE]", data)
		return false
	case string(data) == "[DONE]":
		v.done = true
		return false
	}
	var c completion
	if err := json.Unmarshal(data, &c); err != nil {
		v.fail("the event %q is no chunk: %v", data, err)
		return false
	}
	return v.chunk(&c)
}

func (v *events) chunk(c *completion) (token bool) {
	switch {
	case len(c.Error) > 0:
		v.refusal = string(c.Error)
		return false
	case c.Model != v.model:
		v.fail("a chunk is of the model %q", c.Model)
	case len(c.Choices) > 1 || len(c.Choices) == 0 && c.Usage == nil:
		v.fail("a chunk has %d choices", len(c.Choices))
	}
	if c.Usage != nil {
		v.usage = true
		if err := c.checkUsage(v.want); err != nil {
			v.fail("%v", err)
		}
	}
	if len(c.Choices) == 0 {
		return false
	}
	if n := len(c.Choices[0].Delta.Content); n > 0 {
		token = true
		if v.tokens++; n != tokenBytes || v.finished {
			v.fail("chunk %d has a text of %d bytes, after the end: %v", v.tokens, n, v.finished)
		}
	}
	v.finished = v.finished || c.Choices[0].FinishReason != nil
	return token
}

func (v *events) fail(format string, args ...any) {
	if v.wrong == nil {
		v.wrong = fmt.Errorf(format, args...)
	}
}

// check says what is wrong with a stream that has ended cleanly.
func (v *events) check() error {
	switch {
	case v.wrong != nil:
		return v.wrong
	case v.tokens != v.want:
		return fmt.Errorf("the stream has %d tokens where %d were asked for; [DONE]: %v", v.tokens, v.want, v.done)
	case !v.finished:
		return fmt.Errorf("no chunk says why the answer ended")
	case !v.usage:
		return fmt.Errorf("the stream has no usage")
	case !v.done:
		return fmt.Errorf("the stream ends without [DONE]")
	}
	return nil
}

// read feeds what was read to the verifier; rest is an unfinished line, which the next call's b begins with.
func (v *events) read(b []byte, e *exchange, now time.Time) (rest []byte) {
	for {
		line, after, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return b
		}
		if v.line(bytes.TrimSuffix(line, []byte("\r"))) {
			e.piece(now)
		}
		b = after
	}
}
