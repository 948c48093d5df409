// Package trace holds recorded and synthetic loads for model servers: when each request comes, how long its prompt and its answer are, and
// which beginnings prompts share. Readers take the formats in which Azure's and Mooncake's traces are published; generators make loads
// from a seed. The load generator and the simulator play them.
package trace

import "time"

// Request is one arrival.
type Request struct {
	// At is when it comes, since the trace's beginning.
	At time.Duration
	// PromptTokens and OutputTokens are the lengths of the prompt and of the answer, at least 1.
	PromptTokens, OutputTokens int
	// SystemTokens is how many of the prompt's first tokens are a system prompt, which many conversations share; 0 is none or not known.
	SystemTokens int
	// Blocks identifies the prompt's full blocks of Trace.BlockTokens tokens, from the first on: Blocks[i] stands for all tokens up to the end
	// of block i, so equal values mean equal beginnings. Entries past the prompt's full blocks identify blocks of the answer, as the
	// next turn of a conversation will send them. It may be shorter than the prompt; what it does not name is shared with nobody.
	Blocks []uint64
	// Session identifies the conversation; 0 where it is not known.
	Session uint64
}

// Trace is a load: requests in order of time.
type Trace struct {
	// Name says what it is, in a few words.
	Name string
	// BlockTokens is the size of the blocks that Request.Blocks identifies, in tokens.
	BlockTokens int
	// Requests are in order of At.
	Requests []Request
}

// Duration is when the last request comes.
func (t *Trace) Duration() time.Duration {
	if len(t.Requests) == 0 {
		return 0
	}
	return t.Requests[len(t.Requests)-1].At
}
