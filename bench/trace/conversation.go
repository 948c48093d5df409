package trace

import "time"

// conversation is planned as a whole, so that its blocks fit one array.
type conversation struct {
	number   uint64
	session  uint64
	system   uint64 // which system prompt
	document uint64 // which document
	shared   int    // tokens of both
	turns    []turn
	blocks   []uint64 // of all turns, from the first request on

	next int           // turn
	at   time.Duration // when it comes
}

// turn is one request of a conversation.
type turn struct {
	prompt, output int           // tokens
	pause          time.Duration // until the next turn
}

// converse plans a conversation of so many turns, or of fewer where prompts become too long.
func (g *chats) converse(turns int) *conversation {
	g.count++
	c := &conversation{number: g.count, session: session(g.o.Seed, g.count), shared: g.o.SystemTokens}
	if g.o.SystemPrompts > 0 {
		c.system = g.random.Uint64N(uint64(g.o.SystemPrompts))
	}
	if g.o.Documents > 0 {
		i := g.document()
		c.document = uint64(i)
		c.shared += g.documents[i]
	}
	history := c.shared
	for i := range turns {
		prompt := history + g.o.UserTokens.draw(g.random)
		if i == 0 {
			prompt = min(prompt, g.o.MaxPromptTokens)
		}
		if prompt > g.o.MaxPromptTokens {
			break
		}
		output := g.o.OutputTokens.draw(g.random)
		c.turns = append(c.turns, turn{prompt, output, time.Duration(output)*answerTime + g.think()})
		history = prompt + output
	}
	return c
}

// send returns the next request and moves on to the one after it.
func (c *conversation) send(o *ChatOptions) Request {
	if c.blocks == nil {
		c.blocks = c.name(o)
	}
	turn := c.turns[c.next]
	n := (turn.prompt + turn.output) / o.BlockTokens
	r := Request{
		At:           c.at,
		PromptTokens: turn.prompt,
		OutputTokens: turn.output,
		SystemTokens: o.SystemTokens,
		Blocks:       c.blocks[:n:n],
		Session:      c.session,
	}
	c.next++
	c.at += turn.pause
	return r
}

// name names the blocks of all turns. A block that has any of what was said in the conversation is the conversation's own, one that has any
// of the document is the document's; as each name covers all before it, the document's blocks also depend on the system prompt.
func (c *conversation) name(o *ChatOptions) []uint64 {
	last := c.turns[len(c.turns)-1]
	blocks := make([]uint64, (last.prompt+last.output)/o.BlockTokens)
	name := chain(o.Seed, c.system)
	for i := range blocks {
		switch end := (i + 1) * o.BlockTokens; {
		case end <= o.SystemTokens:
			name = chain(name, 0)
		case end <= c.shared:
			name = chain(name, 1+c.document)
		default:
			name = chain(name, c.session)
		}
		blocks[i] = name
	}
	return blocks
}

// queue is a heap of conversations in order of their next request.
type queue []*conversation

func (q queue) Len() int { return len(q) }

// Less settles ties by number, so that the order does not depend on the heap.
func (q queue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].number < q[j].number
}

func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(c any)   { *q = append(*q, c.(*conversation)) }

func (q *queue) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return c
}
