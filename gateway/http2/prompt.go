package http2

import (
	"sync"

	"github.com/penstock/penstock/gateway/openai"
)

// promptBytes is how much of a body is read for its prompt, and so waited for where the pool's policy wants to know that, in bytes. What is
// mixed into a prompt's keys may come last (see openai.PromptScan), so it is all of a body or, the same for each request of a conversation,
// so much.
const promptBytes = openai.PromptBodyBytes

var promptScans = sync.Pool{New: func() any { return new(openai.PromptScan) }}

// readPrompt reads the prompt, as far as it has come, where the pool's policy wants to know it. It reports false if more is to be waited
// for.
func (s *stream) readPrompt(b *batch) (read bool) {
	h, x := &s.head, &s.x
	if s.prompted {
		return true
	}
	if s.prompt == nil {
		if h.grpc || h.encoded || h.method != "POST" || h.length == 0 || !x.Pool.WantsPrompt() {
			s.prompted = true
			return true
		}
		s.prompt = promptScans.Get().(*openai.PromptScan)
		if !s.prompt.Reset(x.Request.Path) {
			s.endPrompt()
			return true
		}
	}
	body, limit := s.up.held[s.up.start:], min(promptBytes, s.opts.Limits.HeldBodyBytes)
	switch {
	case s.up.ended && len(body) <= limit:
		s.prompt.Finish(body)
	case !s.prompt.Scan(body[:min(len(body), limit)]) && len(body) < limit:
		s.needMore(b)
		return false
	}
	x.Prompt = s.prompt.Prompt(h.length)
	s.endPrompt()
	return true
}

func (s *stream) endPrompt() {
	promptScans.Put(s.prompt)
	s.prompt, s.prompted = nil, true
}
