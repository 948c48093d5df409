//go:build unix && !linux

package connwatch

import (
	"syscall"
	"time"
)

// pollEvery is how often the fallback looks at the connections.
const pollEvery = 25 * time.Millisecond

// Watcher watches connections until it is closed. This fallback peeks at each connection in turn: it is slower than the Linux one,
// and blind while bytes that nobody has read yet are waiting.
type Watcher struct {
	table      table
	stop, done chan struct{}
}

// New starts a watcher.
func New() (*Watcher, error) {
	w := &Watcher{stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w, nil
}

// Close stops the watcher and waits for its goroutine to end.
func (w *Watcher) Close() error {
	close(w.stop)
	<-w.done
	return nil
}

// Watch tells p when the peer of the connection with this descriptor goes away.
func (w *Watcher) Watch(fd uintptr, p Peer) (Token, error) { return w.table.add(fd, p), nil }

func (w *Watcher) run() {
	defer close(w.done)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.look()
		}
	}
}

func (w *Watcher) look() {
	type gone struct {
		peer  Peer
		reset bool
	}
	var all []gone
	w.table.mu.Lock()
	// A descriptor is forgotten under this lock before it is closed, so the peek cannot hit a reused one.
	for i := range w.table.slots {
		s := &w.table.slots[i]
		if s.peer == nil {
			continue
		}
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(s.fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err == nil && n == 0 || err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
			all = append(all, gone{s.peer, err != nil})
		}
	}
	w.table.mu.Unlock()
	for _, g := range all {
		g.peer.PeerGone(g.reset)
	}
}
