package trace

import (
	"fmt"
	"time"
)

// ChatOptions describe conversations of several turns, whose prompts share beginnings: system prompts, documents that are asked about,
// and all that was said before.
type ChatOptions struct {
	// Rate is the mean number of requests (not conversations) a second. Where MaxPromptTokens ends many conversations it is less.
	Rate float64
	// Requests is how many there are, at most 10 million.
	Requests int
	// Seed decides everything that is random: equal options with equal seeds give equal traces.
	Seed uint64

	// SystemPrompts is how many system prompts there are, each of SystemTokens tokens. Conversations choose among them evenly. Both are 0
	// where there is no system prompt.
	SystemPrompts, SystemTokens int
	// Documents is how many documents there are; 0 is none. A conversation is about one of them, which follows the system prompt.
	Documents int
	// DocumentTokens are the lengths of documents. Those that leave no room for a question within MaxPromptTokens are shortened.
	DocumentTokens Lengths
	// DocumentSkew is the Zipf exponent of the documents' popularity, from 0 to 10: the k-th is chosen in proportion to 1/k^DocumentSkew. 0
	// is evenly.
	DocumentSkew float64

	// Turns is the mean number of requests of a conversation, geometrically distributed, from 1 to 1,000.
	Turns float64
	// Think is the mean pause between an answer and the next request, exponentially distributed, at most a day. An answer is assumed to
	// take 20 ms a token.
	Think time.Duration
	// UserTokens are the lengths of the user's messages, and OutputTokens those of the answers.
	UserTokens, OutputTokens Lengths

	// MaxPromptTokens ends a conversation whose next prompt would be longer. 0 is DefaultMaxPromptTokens.
	MaxPromptTokens int
	// BlockTokens is the size of the blocks that Request.Blocks names. 0 is 16; larger blocks take less memory.
	BlockTokens int
}

// DefaultMaxPromptTokens is the longest prompt of a generated conversation.
const DefaultMaxPromptTokens = 32768

// defaultBlockTokens is the block size of traces that are not told theirs; it is vLLM's.
const defaultBlockTokens = 16

// answerTime is what a token of an answer is assumed to take.
const answerTime = 20 * time.Millisecond

// Limits on what is held in memory while conversations are generated.
const (
	maxShared  = 1_000_000 // system prompts, documents
	maxPrompt  = 10_000_000
	maxOngoing = 1_000_000 // conversations at a time
)

// Validate fills defaults in and checks that the options make sense.
func (o *ChatOptions) Validate() error {
	if o.MaxPromptTokens == 0 {
		o.MaxPromptTokens = DefaultMaxPromptTokens
	}
	if o.BlockTokens == 0 {
		o.BlockTokens = defaultBlockTokens
	}
	for _, check := range []func() error{o.validateSizes, o.validateShared, o.validateTurns} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (o *ChatOptions) validateSizes() error {
	switch {
	case o.MaxPromptTokens < 2 || o.MaxPromptTokens > maxPrompt:
		return fmt.Errorf("cannot use MaxPromptTokens = %d: it must be between 2 and %d", o.MaxPromptTokens, maxPrompt)
	case o.BlockTokens < 1 || o.BlockTokens > 1<<16:
		return fmt.Errorf("cannot use BlockTokens = %d: it must be between 1 and 65536", o.BlockTokens)
	}
	return validateArrivals(o.Rate, o.Requests)
}

func (o *ChatOptions) validateShared() error {
	switch {
	case o.SystemPrompts < 0 || o.SystemPrompts > maxShared:
		return fmt.Errorf("cannot use SystemPrompts = %d: it must be between 0 and %d", o.SystemPrompts, maxShared)
	case (o.SystemPrompts == 0) != (o.SystemTokens == 0):
		return fmt.Errorf("cannot use SystemPrompts = %d with SystemTokens = %d: either both or none must be 0", o.SystemPrompts, o.SystemTokens)
	case o.SystemTokens < 0 || o.SystemTokens > o.MaxPromptTokens-2:
		return fmt.Errorf("cannot use SystemTokens = %d: it must be between 0 and %d, so that a document and a message fit after it",
			o.SystemTokens, o.MaxPromptTokens-2)
	case o.Documents < 0 || o.Documents > maxShared:
		return fmt.Errorf("cannot use Documents = %d: it must be between 0 and %d", o.Documents, maxShared)
	case !(o.DocumentSkew >= 0 && o.DocumentSkew <= 10):
		return fmt.Errorf("cannot use DocumentSkew = %v: it must be between 0 and 10", o.DocumentSkew)
	case o.Documents > 0:
		return o.DocumentTokens.validate("DocumentTokens")
	}
	return nil
}

func (o *ChatOptions) validateTurns() error {
	if !(o.Turns >= 1 && o.Turns <= 1000) {
		return fmt.Errorf("cannot use Turns = %v: it must be between 1 and 1000", o.Turns)
	}
	if o.Think < 0 || o.Think > 24*time.Hour {
		return fmt.Errorf("cannot use Think = %v: it must be between 0 and 24h", o.Think)
	}
	if err := o.UserTokens.validate("UserTokens"); err != nil {
		return err
	}
	if err := o.OutputTokens.validate("OutputTokens"); err != nil {
		return err
	}
	if n := o.ongoing(); n > maxOngoing {
		return fmt.Errorf("cannot use Rate = %v with a pause of %v between requests: %.0f conversations go on at a time, at most %d may",
			o.Rate, o.pause(), n, maxOngoing)
	}
	return nil
}

// pause is the mean time between two requests of a conversation.
func (o *ChatOptions) pause() time.Duration {
	return o.Think + time.Duration(o.OutputTokens.Mean)*answerTime
}

// ongoing is the mean number of conversations that have had a request and will have another (Little's law).
func (o *ChatOptions) ongoing() float64 {
	return o.Rate * (1 - 1/o.Turns) * o.pause().Seconds()
}
