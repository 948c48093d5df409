package http2

import (
	"sync"

	"github.com/penstock/penstock/gateway/openai"
)

// promptBytes is how much of a body is waited for, while the pool's policy wants to know more of its prompt, in bytes.
const promptBytes = 256 << 10

var promptScans = sync.Pool{New: func() any { return new(openai.PromptScan) }}

// readPrompt reads the prompt, as far as it has come, where the pool's policy wants to know it. It reports false if more is to be waited for.
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
	body := s.up.held[s.up.start:]
	final := s.up.ended
	if final {
		s.prompt.Finish(body)
	} else {
		final = s.prompt.Scan(body)
	}
	x.Prompt = s.prompt.Prompt(h.length)
	if !final && x.Prompt.KeyCount < openai.PromptKeys && len(body) < min(promptBytes, s.opts.Limits.HeldBodyBytes) {
		s.needMore(b)
		return false
	}
	s.endPrompt()
	return true
}

func (s *stream) endPrompt() {
	promptScans.Put(s.prompt)
	s.prompt, s.prompted = nil, true
}
