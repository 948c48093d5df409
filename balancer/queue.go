package balancer

// Waiter is a request in a Balancer's queue. Its owner allocates it once and reuses it, but changes nothing in it from
// Enqueue until Cancel has answered true or Notify was called.
type Waiter struct {
	// Request is what the pick looks at when the waiter's turn comes.
	Request
	// Deadline is when Expire refuses the waiter, in monotonic ns; 0 is never. Only Expire looks at it.
	Deadline int64
	// Notify tells the outcome, once: the endpoint that was acquired for the waiter and that its owner must Release, with Request, or
	// nil if the deadline passed. It is called without locks held, by whichever goroutine made room, within Enqueue at the earliest. It
	// must not block; it may call the Balancer.
	Notify func(w *Waiter, e *Endpoint)
	// Owner is whose the waiter is, for those who find it in the queue. The balancer does not look at it.
	Owner any

	queued             bool
	previous, next     *Waiter // by arrival
	dueBefore, dueNext *Waiter // by deadline; not linked without one
}

// queue holds waiters in two doubly linked lists: by arrival, and by deadline. Every operation but push takes constant time.
// push searches the deadline's place from the latest deadline backwards: waiters with the same timeout come in the order of
// their deadlines or nearly so, which makes that constant too; mixed timeouts cost at most a walk over the queue.
type queue struct {
	head, tail        *Waiter
	dueFirst, dueLast *Waiter
}

func (q *queue) push(w *Waiter) {
	if w.queued {
		panic("BUG: a waiter was enqueued twice")
	}
	w.queued = true
	w.previous, w.next = q.tail, nil
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
	if w.Deadline != 0 {
		q.pushDue(w)
	}
}

func (q *queue) pushDue(w *Waiter) {
	before := q.dueLast
	for before != nil && before.Deadline > w.Deadline {
		before = before.dueBefore
	}
	w.dueBefore = before
	if before == nil {
		w.dueNext, q.dueFirst = q.dueFirst, w
	} else {
		w.dueNext, before.dueNext = before.dueNext, w
	}
	if w.dueNext == nil {
		q.dueLast = w
	} else {
		w.dueNext.dueBefore = w
	}
}

func (q *queue) remove(w *Waiter) {
	w.queued = false
	if w.previous == nil {
		q.head = w.next
	} else {
		w.previous.next = w.next
	}
	if w.next == nil {
		q.tail = w.previous
	} else {
		w.next.previous = w.previous
	}
	w.previous, w.next = nil, nil
	if w.Deadline != 0 {
		q.removeDue(w)
	}
}

func (q *queue) removeDue(w *Waiter) {
	if w.dueBefore == nil {
		q.dueFirst = w.dueNext
	} else {
		w.dueBefore.dueNext = w.dueNext
	}
	if w.dueNext == nil {
		q.dueLast = w.dueBefore
	} else {
		w.dueNext.dueBefore = w.dueBefore
	}
	w.dueBefore, w.dueNext = nil, nil
}
