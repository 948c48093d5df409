package http2

import "sync"

// batch is the connections whose output has grown while a goroutine handled what it had read. It writes each of them once, at the end: a
// read that brings many frames costs one system call for each connection that they concern.
type batch struct{ conns []*conn }

var batches = sync.Pool{New: func() any { return new(batch) }}

func getBatch() *batch { return batches.Get().(*batch) }

// release writes what is due and gives the batch back.
func (b *batch) release() {
	b.flush()
	batches.Put(b)
}

// flush writes what is due. Writing makes room, so held data may follow and make more of it due.
func (b *batch) flush() {
	for len(b.conns) > 0 {
		last := len(b.conns) - 1
		c := b.conns[last]
		b.conns[last] = nil
		b.conns = b.conns[:last]
		c.flush(b)
	}
}
