package engine

// none is the index of no sequence, no slot, no list entry.
const none int32 = -1

type state uint8

const (
	stateArriving state = iota
	stateWaiting
	statePrefill
	stateDecode
)

// sequence is a request on its way through the engine.
type sequence struct {
	request    Request
	state      state
	admitted   bool  // was admitted before, so its cache lookup was counted
	prev, next int32 // in the list of its state
	endPrev    int32 // in its bucket of the end wheel
	endNext    int32
	ready      int64 // when it leaves the front end

	// base is the context already computed (or being computed by the step in progress) while in prefill, and the context that
	// it joined decoding with after that.
	base int
	// joined is the decode clock when it joined decoding; its context has grown by the clock's advance since.
	joined int64
	// generated is how many tokens it had when it joined decoding, or when it was preempted.
	generated int
	cached    int     // prompt tokens found in the cache at its first admission
	named     int     // leading blocks that were offered to the prefix cache
	held      []int32 // cache slots that it references, in order of position
}

// target is how many tokens a (re)prefill computes.
func (s *sequence) target() int { return s.request.PromptTokens + s.generated }

func (e *Engine) newSequence() int32 {
	if n := len(e.free); n > 0 {
		i := e.free[n-1]
		e.free = e.free[:n-1]
		return i
	}
	e.sequences = append(e.sequences, sequence{prev: none, next: none, endPrev: none, endNext: none})
	return int32(len(e.sequences) - 1)
}

// dropSequence forgets a sequence that is in no list and holds no block.
func (e *Engine) dropSequence(i int32) {
	s := &e.sequences[i]
	delete(e.byID, s.request.ID)
	*s = sequence{prev: none, next: none, endPrev: none, endNext: none, held: s.held[:0]}
	e.free = append(e.free, i)
}

// list is a doubly linked list of sequences. A sequence is in one list at a time.
type list struct {
	head, tail int32
	len        int
}

var emptyList = list{head: none, tail: none}

func (l *list) pushBack(a []sequence, i int32) {
	a[i].prev, a[i].next = l.tail, none
	if l.tail == none {
		l.head = i
	} else {
		a[l.tail].next = i
	}
	l.tail = i
	l.len++
}

func (l *list) pushFront(a []sequence, i int32) {
	a[i].prev, a[i].next = none, l.head
	if l.head == none {
		l.tail = i
	} else {
		a[l.head].prev = i
	}
	l.head = i
	l.len++
}

func (l *list) remove(a []sequence, i int32) {
	prev, next := a[i].prev, a[i].next
	if prev == none {
		l.head = next
	} else {
		a[prev].next = next
	}
	if next == none {
		l.tail = prev
	} else {
		a[next].prev = prev
	}
	a[i].prev, a[i].next = none, none
	l.len--
}

// endWheel finds the decoding sequences that end at a decode step. It is a timing wheel: a bucket also holds sequences that end
// whole turns later, and a batch is small enough (at most Config.MaxSequences) that buckets stay short.
type endWheel struct {
	buckets [256]int32
}

func (w *endWheel) clear() {
	for b := range w.buckets {
		w.buckets[b] = none
	}
}

func (w *endWheel) add(a []sequence, i int32, step int64) {
	b := &w.buckets[step%int64(len(w.buckets))]
	a[i].endPrev, a[i].endNext = none, *b
	if *b != none {
		a[*b].endPrev = i
	}
	*b = i
}

func (w *endWheel) remove(a []sequence, i int32, step int64) {
	s := &a[i]
	if s.endPrev == none {
		w.buckets[step%int64(len(w.buckets))] = s.endNext
	} else {
		a[s.endPrev].endNext = s.endNext
	}
	if s.endNext != none {
		a[s.endNext].endPrev = s.endPrev
	}
	s.endPrev, s.endNext = none, none
}

// endStep is the decode clock at which a decoding sequence gets its last token.
func (s *sequence) endStep() int64 {
	return s.joined + int64(s.request.MaxTokens-s.generated)
}

// contextAt is a decoding sequence's computed context when the decode clock reads step.
func (s *sequence) contextAt(step int64) int { return s.base + int(step-s.joined) }

// tokensAt is how many tokens a decoding sequence has when the decode clock reads step.
func (s *sequence) tokensAt(step int64) int { return s.generated + int(step-s.joined) }
