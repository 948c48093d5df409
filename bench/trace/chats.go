package trace

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// Chats generates conversations. The trace begins amid the load, as a recording would: conversations that began earlier go on in it, so the
// rate is the same from the beginning on. Blocks of one conversation's requests share memory. The error says which option makes no sense.
func Chats(o ChatOptions) (*Trace, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	g := newChats(o)
	t := &Trace{
		Name:        fmt.Sprintf("chats, %.4g/s", o.Rate),
		BlockTokens: o.BlockTokens,
		Requests:    make([]Request, 0, o.Requests),
	}
	g.resume()
	start := g.untilNext()
	for len(t.Requests) < o.Requests {
		if len(g.ongoing) == 0 || start <= g.ongoing[0].at {
			g.add(g.converse(g.turns()), start)
			start += g.untilNext()
			continue
		}
		t.Requests = append(t.Requests, g.send())
	}
	return t, nil
}

// chats is the state of the generator.
type chats struct {
	o         ChatOptions
	random    *rand.Rand
	documents []int     // lengths
	popular   []float64 // popular[i] is the chance of the documents up to i, not normalised
	count     uint64    // conversations so far
	ongoing   queue
}

func newChats(o ChatOptions) *chats {
	g := &chats{o: o, random: rand.New(rand.NewPCG(o.Seed, 0))}
	room := o.MaxPromptTokens - o.SystemTokens - 1
	sum := 0.0
	for i := range o.Documents {
		g.documents = append(g.documents, min(o.DocumentTokens.draw(g.random), room))
		sum += math.Pow(float64(i+1), -o.DocumentSkew)
		g.popular = append(g.popular, sum)
	}
	return g
}

// resume adds the conversations that go on when the trace begins. A geometric number of turns has no memory: what lies behind them and
// what lies ahead have the distribution of whole conversations.
func (g *chats) resume() {
	for range int(math.Round(g.o.ongoing())) {
		past := g.turns()
		c := g.converse(past + g.turns())
		if past >= len(c.turns) {
			continue // ended by MaxPromptTokens
		}
		c.next = past
		g.add(c, g.remaining())
	}
}

// remaining is the rest of a pause that is seen at a random moment: of the answer and what follows, or of the user's thinking only, which
// has no memory.
func (g *chats) remaining() time.Duration {
	answer := time.Duration(g.o.OutputTokens.Mean) * answerTime
	seen := time.Duration(g.random.Float64() * float64(g.o.pause()))
	return max(0, answer-seen) + g.think()
}

func (g *chats) think() time.Duration {
	return time.Duration(g.random.ExpFloat64() * float64(g.o.Think))
}

// untilNext is the time until the next conversation begins.
func (g *chats) untilNext() time.Duration {
	return time.Duration(g.random.ExpFloat64() * g.o.Turns / g.o.Rate * 1e9)
}

// turns draws from the geometric distribution with the mean Turns.
func (g *chats) turns() int {
	if g.o.Turns == 1 {
		return 1
	}
	more := math.Log(1-g.random.Float64()) / math.Log(1-1/g.o.Turns)
	return 1 + int(more)
}

func (g *chats) document() int {
	x := g.random.Float64() * g.popular[len(g.popular)-1]
	return min(sort.SearchFloat64s(g.popular, x), len(g.popular)-1)
}

func (g *chats) add(c *conversation, at time.Duration) {
	c.at = at
	heap.Push(&g.ongoing, c)
}

// send takes the next request of the conversation that is the first to have one.
func (g *chats) send() Request {
	c := g.ongoing[0]
	r := c.send(&g.o)
	if c.next < len(c.turns) {
		heap.Fix(&g.ongoing, 0)
	} else {
		heap.Pop(&g.ongoing)
	}
	return r
}
