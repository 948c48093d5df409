package simulate

import "github.com/penstock/penstock/bench/engine"

// message is something underway between a gateway and a replica. All take equally long, so they arrive in the order in which they left.
type message struct {
	at     int64
	flight *flight
	kind   messageKind
}

type messageKind uint8

const (
	request    messageKind = iota
	firstToken             // the answer begins
	lastToken              // the answer has ended
	refused                // nobody is listening there
	broken                 // the replica has died over it
	rejected               // the replica cannot do what is asked
)

// fifo is messages in order of time.
type fifo struct {
	ring       []message
	head, size int
}

func (q *fifo) earliest() int64 {
	if q.size == 0 {
		return engine.Never
	}
	return q.ring[q.head].at
}

func (q *fifo) push(m message) {
	if q.size == len(q.ring) {
		grown := make([]message, max(64, 2*len(q.ring)))
		n := copy(grown, q.ring[q.head:])
		copy(grown[n:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.size)&(len(q.ring)-1)] = m
	q.size++
}

func (q *fifo) pop() message {
	m := q.ring[q.head]
	q.ring[q.head] = message{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.size--
	return m
}

// event is something that happens at a time, other than what engines and messages do.
type event struct {
	at       int64
	sequence uint64 // of events of the same time, the first that was made comes first
	do       func(w *world)
}

// eventHeap is events by time.
type eventHeap struct {
	heap     []event
	sequence uint64
}

func (h *eventHeap) earliest() int64 {
	if len(h.heap) == 0 {
		return engine.Never
	}
	return h.heap[0].at
}

func (e *event) before(f *event) bool {
	return e.at < f.at || e.at == f.at && e.sequence < f.sequence
}

func (h *eventHeap) push(at int64, do func(w *world)) {
	h.sequence++
	h.heap = append(h.heap, event{at, h.sequence, do})
	for i := len(h.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.heap[i].before(&h.heap[parent]) {
			break
		}
		h.heap[i], h.heap[parent] = h.heap[parent], h.heap[i]
		i = parent
	}
}

func (h *eventHeap) pop() event {
	top := h.heap[0]
	last := len(h.heap) - 1
	h.heap[0] = h.heap[last]
	h.heap[last] = event{}
	h.heap = h.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if h.heap[child].before(&h.heap[least]) {
				least = child
			}
		}
		if least == i {
			return top
		}
		h.heap[i], h.heap[least] = h.heap[least], h.heap[i]
		i = least
	}
}

// engineHeap is the replicas by the time of their engines' next step; those that are idle are not in it.
type engineHeap struct{ heap []*replica }

func (h *engineHeap) earliest() int64 {
	if len(h.heap) == 0 {
		return engine.Never
	}
	return h.heap[0].next
}

func (h *engineHeap) top() *replica { return h.heap[0] }

func (h *engineHeap) less(i, j int) bool {
	a, b := h.heap[i], h.heap[j]
	return a.next < b.next || a.next == b.next && a.number < b.number
}

// update puts r where its next step belongs.
func (h *engineHeap) update(r *replica, next int64) {
	r.next = next
	switch {
	case next == engine.Never:
		if r.place >= 0 {
			h.remove(r)
		}
		return
	case r.place < 0:
		r.place = len(h.heap)
		h.heap = append(h.heap, r)
	}
	h.down(h.up(r.place))
}

func (h *engineHeap) remove(r *replica) {
	i, last := r.place, len(h.heap)-1
	h.swap(i, last)
	h.heap[last] = nil
	h.heap = h.heap[:last]
	r.place = -1
	if i < last {
		h.down(h.up(i))
	}
}

func (h *engineHeap) swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].place, h.heap[j].place = i, j
}

func (h *engineHeap) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 4
		if !h.less(i, parent) {
			break
		}
		h.swap(i, parent)
		i = parent
	}
	return i
}

func (h *engineHeap) down(i int) {
	for {
		least := i
		for child := 4*i + 1; child <= 4*i+4 && child < len(h.heap); child++ {
			if h.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}
