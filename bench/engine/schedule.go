package engine

// prefill is one prefill chunk of the step in progress.
type prefill struct {
	sequence int32
	tokens   int  // new tokens of the chunk
	computed int  // context before it
	last     bool // it completes the prefill, so the step yields a token
}

// schedule starts a step at the given time, in vLLM V1's order: running sequences first, each with one decode token or its next
// prefill chunk, the newest giving way when KV blocks run out; then waiting ones in order while they fit. Without work it leaves
// the engine idle.
func (e *Engine) schedule(at int64) {
	e.takeArrivals(at)
	e.prefills = e.prefills[:0]
	preempted := e.growDecoders()
	budget := e.config.MaxBatchedTokens - e.decoders
	if e.partial != none {
		if n := e.continuePrefill(budget); n > 0 {
			budget -= n
		} else {
			preempted = true
		}
	}
	if !preempted {
		e.admit(budget)
	}
	if e.decoders == 0 && len(e.prefills) == 0 {
		return
	}
	e.busy = true
	e.end = at + int64(e.config.StepTime(e.load()))
}

// takeArrivals moves requests that have left the front end into the scheduler's queue.
func (e *Engine) takeArrivals(at int64) {
	for i := e.arriving.head; i != none && e.sequences[i].ready <= at; i = e.arriving.head {
		e.arriving.remove(e.sequences, i)
		e.sequences[i].state = stateWaiting
		e.waiting.pushBack(e.sequences, i)
	}
}

// growDecoders gives a block to every decoding sequence whose next token starts one, and preempts the newest sequences until
// that is possible. It reports whether it preempted any.
func (e *Engine) growDecoders() (preempted bool) {
	phase := &e.phases[e.decoded%int64(e.config.BlockTokens)]
	for int(*phase) > e.cache.available() {
		e.preempt(e.running.tail)
		preempted = true
	}
	e.cache.take(int(*phase))
	return preempted
}

// continuePrefill schedules the next chunk of the prefill that an earlier step began, and returns its tokens, or 0 if it had no
// blocks and was preempted.
func (e *Engine) continuePrefill(budget int) int {
	i := e.partial
	s := &e.sequences[i]
	n := min(s.target()-s.base, budget)
	need := e.blocks(s.base+n) - e.blocks(s.base)
	if need > e.cache.available() {
		e.preempt(i)
		return 0
	}
	e.cache.take(need)
	e.addChunk(i, n)
	return n
}

// admit moves waiting sequences into the batch in order, until one does not fit.
func (e *Engine) admit(budget int) {
	for e.waiting.head != none && e.running.len < e.config.MaxSequences && budget > 0 && e.cache.available() > 0 {
		i := e.waiting.head
		s := &e.sequences[i]
		// The last token is always computed, as its logits are what the prefill is for.
		var idle int
		s.held, idle = e.cache.lookup(s.held, s.request.Blocks, (s.target()-1)/e.config.BlockTokens)
		hit := len(s.held) * e.config.BlockTokens
		n := min(s.target()-hit, budget)
		need := e.blocks(hit+n) - len(s.held)
		if need+idle > e.cache.available() {
			s.held = s.held[:0]
			return
		}
		e.cache.acquire(s.held)
		e.cache.take(need)
		e.waiting.remove(e.sequences, i)
		e.running.pushBack(e.sequences, i)
		s.state = statePrefill
		s.base = hit
		s.named = len(s.held)
		e.countLookup(s, hit)
		e.addChunk(i, n)
		budget -= n
	}
}

func (e *Engine) countLookup(s *sequence, hit int) {
	if s.admitted {
		return
	}
	s.admitted = true
	s.cached = hit
	e.stats.PrefixQueries += int64(s.request.PromptTokens)
	e.stats.PrefixHits += int64(hit)
}

// addChunk puts n prefill tokens of a sequence into the step, and names the blocks that they fill, so that sequences of the same
// step can share them already.
func (e *Engine) addChunk(i int32, n int) {
	s := &e.sequences[i]
	c := prefill{sequence: i, tokens: n, computed: s.base, last: s.base+n == s.target()}
	s.base += n
	full := min(s.base/e.config.BlockTokens, len(s.request.Blocks))
	for ; s.named < full; s.named++ {
		if slot := e.cache.name(s.request.Blocks[s.named]); slot != none {
			s.held = append(s.held, slot)
		}
	}
	e.partial = none
	if !c.last {
		e.partial = i
	}
	e.prefills = append(e.prefills, c)
}

// load sums up the step that was just scheduled.
func (e *Engine) load() Load {
	l := Load{
		Tokens:        e.decoders,
		Sequences:     e.decoders + len(e.prefills),
		DecodeContext: e.context,
		HalfPairs:     2*e.context + int64(e.decoders),
	}
	for _, c := range e.prefills {
		l.Tokens += c.tokens
		l.HalfPairs += int64(c.tokens) * int64(2*c.computed+c.tokens)
	}
	return l
}

// preempt takes a sequence's blocks and puts it at the head of the queue, to be computed again with the tokens it has.
func (e *Engine) preempt(i int32) {
	s := &e.sequences[i]
	if s.state == stateDecode {
		// leaveBatch reads generated as of joined, so it is written after.
		generated := s.tokensAt(e.decoded)
		e.leaveBatch(i)
		s.generated = generated
	} else {
		e.leaveBatch(i)
	}
	s.state = stateWaiting
	e.waiting.pushFront(e.sequences, i)
	e.stats.Preemptions++
}

// leaveBatch takes a running sequence out of the batch and gives up its blocks.
func (e *Engine) leaveBatch(i int32) {
	s := &e.sequences[i]
	e.running.remove(e.sequences, i)
	computed, slots := s.base, s.base // slots are tokens that have a place in the KV cache
	if s.state == stateDecode {
		computed = s.contextAt(e.decoded)
		slots = computed
		if e.busy {
			slots++
		}
		e.decoders--
		e.context -= int64(computed)
		e.phases[e.phase(s)]--
		e.ends.remove(e.sequences, i, s.endStep())
	} else {
		e.dropChunk(i)
	}
	e.giveBlocks(s, slots, computed)
	s.base, s.named = 0, 0
}

// dropChunk takes a sequence in prefill out of the step in progress.
func (e *Engine) dropChunk(i int32) {
	if e.partial == i {
		e.partial = none
	}
	for j, c := range e.prefills {
		if c.sequence == i {
			e.prefills = append(e.prefills[:j], e.prefills[j+1:]...)
			return
		}
	}
}

// giveBlocks returns a sequence's blocks, the deepest first so that they are the first to be evicted, and leaves the full blocks
// of its output in the cache where Request.Blocks names them.
func (e *Engine) giveBlocks(s *sequence, slots, computed int) {
	private := e.blocks(slots) - len(s.held)
	for b := min(computed/e.config.BlockTokens, len(s.request.Blocks)) - 1; b >= s.named; b-- {
		if slot := e.cache.name(s.request.Blocks[b]); slot != none {
			e.cache.releaseSlot(slot)
			private--
		}
	}
	e.cache.release(s.held)
	s.held = s.held[:0]
	e.cache.give(private)
}

// complete ends the step in progress: every decoding sequence and every completed prefill gets a token.
func (e *Engine) complete() {
	e.busy = false
	e.stats.Steps++
	e.decoded++
	e.context += int64(e.decoders)
	e.stats.GenerationTokens += int64(e.decoders)
	if e.config.EveryToken {
		e.reportDecoders()
	}
	e.endDecoders()
	for _, c := range e.prefills {
		if c.last {
			e.endPrefill(c.sequence)
		}
	}
	e.prefills = e.prefills[:0]
}

// reportDecoders adds an event for every decoding sequence, in order of admission, but for those that end with this step.
func (e *Engine) reportDecoders() {
	for i := e.running.head; i != none; i = e.sequences[i].next {
		s := &e.sequences[i]
		if s.state == stateDecode && s.endStep() != e.decoded {
			e.events = append(e.events, Event{At: e.end, ID: s.request.ID, Tokens: s.tokensAt(e.decoded), CachedTokens: s.cached})
		}
	}
}

// endDecoders finishes the decoding sequences that got their last token.
func (e *Engine) endDecoders() {
	for i := e.ends.buckets[e.decoded%int64(len(e.ends.buckets))]; i != none; {
		next := e.sequences[i].endNext
		if e.sequences[i].endStep() == e.decoded {
			e.finish(i, false)
		}
		i = next
	}
}

// endPrefill gives a sequence the token that its prefill yields, and lets it decode if it wants more.
func (e *Engine) endPrefill(i int32) {
	s := &e.sequences[i]
	e.stats.GenerationTokens++
	first := s.generated == 0
	if first {
		e.stats.PromptTokens += int64(s.request.PromptTokens)
	}
	s.generated++
	s.joined = e.decoded
	s.state = stateDecode
	e.decoders++
	e.context += int64(s.base)
	e.phases[e.phase(s)]++
	e.ends.add(e.sequences, i, s.endStep())
	if s.generated == s.request.MaxTokens {
		e.finish(i, first)
		return
	}
	if first || e.config.EveryToken {
		e.events = append(e.events, Event{At: e.end, ID: s.request.ID, Tokens: s.generated, CachedTokens: s.cached, First: first})
	}
}

// finish ends a sequence that has all its tokens.
func (e *Engine) finish(i int32, first bool) {
	s := &e.sequences[i]
	e.events = append(e.events, Event{
		At: e.end, ID: s.request.ID, Tokens: s.request.MaxTokens, CachedTokens: s.cached, First: first, Last: true,
	})
	e.leaveBatch(i)
	e.stats.Finished++
	e.dropSequence(i)
}

// phase is the decode clock, modulo the block size, at which a decoding sequence needs another block: when its context fills
// whole blocks.
func (e *Engine) phase(s *sequence) int64 {
	size := int64(e.config.BlockTokens)
	return ((s.joined-int64(s.base))%size + size) % size
}

// blocks is how many blocks hold the given tokens.
func (e *Engine) blocks(tokens int) int {
	return (tokens + e.config.BlockTokens - 1) / e.config.BlockTokens
}
