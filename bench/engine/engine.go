// Package engine models a GPU replica that serves a language model: continuous batching, chunked prefill, a paged KV cache
// with prefix reuse, and preemption with recompute, scheduled as vLLM V1 does, with step times from a calibrated equation
// (see Profile.StepTime).
//
// It is pure and event-driven. It has no clock, no goroutine and no randomness: time is an int64 of nanoseconds on a scale of
// the caller's choice, and the same calls give the same events on every run. A discrete-event simulator calls Step at the times
// that Step asked for; a real-time driver does the same with a timer.
//
// A step's cost does not grow with the number of decoding sequences, as these are counted together and visited only when one
// joins, ends or reports a token.
package engine

import (
	"fmt"
	"math"
)

// Never is the time of a step that will not come until something is submitted.
const Never int64 = math.MaxInt64

// Request is one generation.
type Request struct {
	// ID names the request in events and to Cancel. It is unique among the requests that have not ended.
	ID uint64
	// PromptTokens is the prompt's length, at least 1.
	PromptTokens int
	// MaxTokens is how many tokens are generated, at least 1; a generation always runs to it.
	MaxTokens int
	// Blocks identifies full blocks of the prompt for the prefix cache, from the first on: Blocks[i] stands for all tokens up to
	// the end of block i, so equal values mean equal prefixes. Entries past the prompt's full blocks identify blocks of the
	// output, which become reusable when the request ends, as the next turn of a conversation needs. It may be shorter than the
	// prompt; what it does not name is not shared. The engine keeps the slice until the request ends and never writes to it.
	Blocks []uint64
}

// Event reports that a sequence got a token.
type Event struct {
	// At is the end of the step that made the token.
	At int64
	// ID is the request's.
	ID uint64
	// Tokens counts the request's tokens so far, this one included.
	Tokens int
	// CachedTokens is how many of the prompt's tokens the prefix cache held when the request was first admitted.
	CachedTokens int
	// First and Last mark the request's first and last token.
	First, Last bool
}

// Stats is what a model server's gauges and counters say. Counters only grow.
type Stats struct {
	// Arriving is how many requests are still in the server's front end (see Profile.Overhead).
	Arriving int
	// Waiting is how many requests are in the scheduler's queue. As in vLLM, the scheduler takes requests in between steps.
	Waiting int
	// Running is how many sequences are in the batch.
	Running int
	// KVUsage is the share of KV blocks that running sequences hold, 0 to 1. Cached blocks that nobody holds count as free.
	KVUsage float64
	// PrefixQueries and PrefixHits count prompt tokens looked up in the prefix cache and found, once for each request.
	PrefixQueries, PrefixHits int64
	// Preemptions counts sequences that lost their blocks and were computed again.
	Preemptions int64
	// PromptTokens counts the prompt tokens of requests that got their first token, cached ones included.
	PromptTokens int64
	// GenerationTokens counts generated tokens.
	GenerationTokens int64
	// Steps counts completed engine steps.
	Steps int64
	// Finished and Cancelled count requests by how they ended.
	Finished, Cancelled int64
}

// Engine is one replica. Its methods are not safe for concurrent use.
type Engine struct {
	config Config

	sequences []sequence // arena; a sequence is named by its index
	free      []int32    // indices of the arena that are not in use
	byID      map[uint64]int32

	arriving list // in the front end, by ready time
	waiting  list // in the scheduler's queue
	running  list // in the batch, in order of admission
	lastNow  int64

	decoders int       // running sequences past their prefill
	context  int64     // sum of their contexts
	phases   []int32   // how many of them need a block, by decode step modulo the block size
	ends     endWheel  // when each of them ends
	decoded  int64     // completed steps, the clock of phases and ends
	partial  int32     // the running sequence whose prefill is not complete, always the newest; none if there is none
	prefills []prefill // prefill chunks of the step in progress

	busy bool  // a step is in progress
	end  int64 // its end

	cache  prefixCache
	events []Event
	stats  Stats
}

// New returns an idle engine, or an error that names the field that cannot work.
func New(config Config) (*Engine, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		config:   config,
		byID:     make(map[uint64]int32),
		arriving: emptyList,
		waiting:  emptyList,
		running:  emptyList,
		phases:   make([]int32, config.BlockTokens),
		partial:  none,
		cache:    newPrefixCache(config.KVTokens / config.BlockTokens),
		lastNow:  math.MinInt64,
	}
	e.ends.clear()
	return e, nil
}

// TooLongError says that a request could not run even on an empty engine.
type TooLongError struct {
	// Tokens is what the request needs, prompt and output together.
	Tokens int
	// Limit is the most that the KV cache can hold.
	Limit int
}

// Error says what was asked and what is possible.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("cannot hold a sequence of %d tokens: the KV cache has room for %d", e.Tokens, e.Limit)
}

// Submit hands the engine a request that arrives at now, which must not be before the last Submit's. It returns a
// *TooLongError if the request can never fit. The time of the next step may have become earlier: see Next.
func (e *Engine) Submit(now int64, r Request) error {
	if r.PromptTokens < 1 || r.MaxTokens < 1 {
		return fmt.Errorf("cannot submit request %d: it has %d prompt tokens and %d to generate, want at least 1 of each", r.ID, r.PromptTokens, r.MaxTokens)
	}
	if _, known := e.byID[r.ID]; known {
		return fmt.Errorf("cannot submit request %d: a request with this id has not ended", r.ID)
	}
	if limit := e.config.KVTokens / e.config.BlockTokens * e.config.BlockTokens; r.PromptTokens > limit-r.MaxTokens {
		return &TooLongError{Tokens: r.PromptTokens + r.MaxTokens, Limit: limit}
	}
	if now < e.lastNow {
		panic("BUG: a request was submitted before an earlier one")
	}
	e.lastNow = now
	i := e.newSequence()
	s := &e.sequences[i]
	s.request = r
	s.ready = now + int64(e.config.Overhead)
	e.byID[r.ID] = i
	e.arriving.pushBack(e.sequences, i)
	return nil
}

// Cancel ends a request and frees its blocks at once; a step in progress keeps its length. It reports whether the request had
// not ended before.
func (e *Engine) Cancel(id uint64) bool {
	i, known := e.byID[id]
	if !known {
		return false
	}
	switch e.sequences[i].state {
	case stateArriving:
		e.arriving.remove(e.sequences, i)
	case stateWaiting:
		e.waiting.remove(e.sequences, i)
	default:
		e.leaveBatch(i)
	}
	e.stats.Cancelled++
	e.dropSequence(i)
	return true
}

// Next is when Step has something to do: the end of the step in progress, or the arrival that starts one; Never when idle.
func (e *Engine) Next() int64 {
	switch {
	case e.busy:
		return e.end
	case e.arriving.head != none:
		return e.sequences[e.arriving.head].ready
	}
	return Never
}

// Step completes every step that ends at or before now, and starts the ones that follow them without a gap. It returns Next
// and the events of the completed steps in order of time; the slice is valid until the next call.
func (e *Engine) Step(now int64) (next int64, events []Event) {
	e.events = e.events[:0]
	for {
		at := e.Next()
		if at > now || at == Never {
			return at, e.events
		}
		if e.busy {
			e.complete()
		}
		e.schedule(at)
	}
}

// Stats returns the gauges and counters as of the last call of any method.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Arriving = e.arriving.len
	s.Waiting = e.waiting.len
	s.Running = e.running.len
	s.KVUsage = float64(e.cache.inUse()) / float64(e.cache.total)
	return s
}

// PrefixLength is how many of the leading blocks, named as in Request.Blocks, the prefix cache holds.
func (e *Engine) PrefixLength(blocks []uint64) int {
	for i, name := range blocks {
		if e.cache.find(name) == none {
			return i
		}
	}
	return len(blocks)
}

// Config returns what the engine was made with.
func (e *Engine) Config() Config { return e.config }
