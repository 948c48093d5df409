package trace

import "time"

// PrefixHeavy is a load in which most of each prompt was seen before: chats about 200 documents, a few of them popular, with prompts of
// about 7,000 tokens. It panics where rate (requests a second) or requests make no sense (ChatOptions).
func PrefixHeavy(rate float64, requests int, seed uint64) *Trace {
	t, err := Chats(ChatOptions{
		Rate: rate, Requests: requests, Seed: seed,
		SystemPrompts: 4, SystemTokens: 512,
		Documents: 200, DocumentTokens: Lengths{Mean: 6000, Spread: .6}, DocumentSkew: 1,
		Turns: 4, Think: 20 * time.Second,
		UserTokens: Lengths{Mean: 80, Spread: .8}, OutputTokens: Lengths{Mean: 220, Spread: .7},
		BlockTokens: 64,
	})
	return must(t, err, "prefix-heavy")
}

// NoReuse is a load in which no prompt has anything in common with another: prompts of 2,000 tokens on average and answers of 250, both
// with long tails. It panics where rate (requests a second) or requests make no sense (IndependentOptions).
func NoReuse(rate float64, requests int, seed uint64) *Trace {
	t, err := Independent(IndependentOptions{
		Rate: rate, Requests: requests, Seed: seed,
		PromptTokens: Lengths{Mean: 2000, Spread: 1, Max: 30_000}, OutputTokens: Lengths{Mean: 250, Spread: .7, Max: 2000},
	})
	return must(t, err, "no-reuse")
}

func must(t *Trace, err error, name string) *Trace {
	if err != nil {
		panic("BUG: " + err.Error())
	}
	t.Name = name
	return t
}
