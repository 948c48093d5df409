// Package connwatch tells at once when the peer of a connection has gone away, for all connections of the process together and
// without a goroutine, a timer or a system call per request.
//
// On Linux every connection is registered once with one epoll set that asks for nothing but hang-ups (EPOLLRDHUP, edge-triggered), so
// bytes that arrive cost nothing here, and bytes that nobody has read yet do not hide a hang-up. Elsewhere a fallback looks
// at every connection a few times a second.
package connwatch

import "sync"

// Peer is told when the other side of its connection has gone away.
type Peer interface {
	// PeerGone is called at most a few times, from the watcher's goroutine, and must not block. reset is false when the peer only
	// half-closed (FIN), true when the connection is broken in both directions. A call may still be under way when Forget returns.
	PeerGone(reset bool)
}

// Token names a watched connection. The zero Token names none.
type Token struct{ index, generation int32 }

// table maps the numbers that travel through the kernel to peers. A generation keeps a late event for a forgotten connection from
// reaching the next one in its place.
type table struct {
	mu    sync.Mutex
	slots []slot
	free  []int32
}

type slot struct {
	peer       Peer
	fd         uintptr
	generation int32
}

func (t *table) add(fd uintptr, p Peer) Token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.free) == 0 {
		t.slots = append(t.slots, slot{})
		t.free = append(t.free, int32(len(t.slots)-1))
	}
	i := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	s := &t.slots[i]
	s.generation++
	s.peer, s.fd = p, fd
	return Token{i, s.generation}
}

func (t *table) remove(k Token) {
	if k.generation == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := &t.slots[k.index]; s.generation == k.generation && s.peer != nil {
		s.peer = nil
		t.free = append(t.free, k.index)
	}
}

func (t *table) get(k Token) Peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.index < 0 || int(k.index) >= len(t.slots) {
		return nil
	}
	if s := &t.slots[k.index]; s.generation == k.generation {
		return s.peer
	}
	return nil
}

// Watching returns how many connections are watched.
func (w *Watcher) Watching() int {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	return len(w.table.slots) - len(w.table.free)
}

// Forget stops watching a connection. Call it before the descriptor is closed.
func (w *Watcher) Forget(k Token) { w.table.remove(k) }
