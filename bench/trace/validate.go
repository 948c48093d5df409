package trace

import "fmt"

// Validate checks that the trace can be played: requests in order of time, lengths of at least 1, no more system prompt than prompt, and
// no more blocks than prompt and answer have. The error names the first request that is wrong, counted from 0.
func (t *Trace) Validate() error {
	if t.BlockTokens < 1 {
		return fmt.Errorf("cannot use blocks of %d tokens: they must have at least 1", t.BlockTokens)
	}
	for i := range t.Requests {
		r := &t.Requests[i]
		if err := r.validate(t.BlockTokens); err != nil {
			return fmt.Errorf("cannot use request %d: %w", i, err)
		}
		if i > 0 && r.At < t.Requests[i-1].At {
			return fmt.Errorf("cannot use request %d: it comes at %v, before the previous one at %v", i, r.At, t.Requests[i-1].At)
		}
	}
	return nil
}

func (r *Request) validate(blockTokens int) error {
	switch {
	case r.At < 0:
		return fmt.Errorf("it comes at %v, which is before the trace begins", r.At)
	case r.PromptTokens < 1 || r.PromptTokens > maxNumber:
		return fmt.Errorf("its prompt has %d tokens, want 1 to %d", r.PromptTokens, maxNumber)
	case r.OutputTokens < 1 || r.OutputTokens > maxNumber:
		return fmt.Errorf("its answer has %d tokens, want 1 to %d", r.OutputTokens, maxNumber)
	case r.SystemTokens < 0 || r.SystemTokens > r.PromptTokens:
		return fmt.Errorf("its system prompt has %d tokens, want 0 to %d, the prompt's length", r.SystemTokens, r.PromptTokens)
	}
	if most := (r.PromptTokens + r.OutputTokens) / blockTokens; len(r.Blocks) > most {
		return fmt.Errorf("it has %d blocks, want at most %d of %d tokens for prompt and answer", len(r.Blocks), most, blockTokens)
	}
	return nil
}
