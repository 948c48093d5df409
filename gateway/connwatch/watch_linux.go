package connwatch

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Watcher watches connections until it is closed.
type Watcher struct {
	table table
	file  *os.File // the epoll set, itself parked on the runtime's poller
	fd    int
	done  chan struct{}
}

// New starts a watcher.
func New() (*Watcher, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot create an epoll set: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("cannot make the epoll set non-blocking: %w", err)
	}
	w := &Watcher{file: os.NewFile(uintptr(fd), "connwatch"), fd: fd, done: make(chan struct{})}
	raw, err := w.file.SyscallConn()
	if err != nil {
		w.file.Close()
		return nil, fmt.Errorf("cannot poll the epoll set: %w", err)
	}
	go func() {
		defer close(w.done)
		events := make([]syscall.EpollEvent, 128)
		raw.Read(func(fd uintptr) bool {
			for w.dispatch(fd, events) {
			}
			return false
		})
	}()
	return w, nil
}

// Close stops the watcher and waits for its goroutine to end.
func (w *Watcher) Close() error {
	err := w.file.Close()
	<-w.done
	return err
}

// Watch tells p when the peer of the connection with this descriptor goes away. A peer that has gone already is told of too.
func (w *Watcher) Watch(fd uintptr, p Peer) (Token, error) {
	k := w.table.add(fd, p)
	ev := syscall.EpollEvent{Events: syscall.EPOLLRDHUP | syscall.EPOLLET&0xffffffff, Fd: k.index, Pad: k.generation}
	if err := syscall.EpollCtl(w.fd, syscall.EPOLL_CTL_ADD, int(fd), &ev); err != nil {
		w.table.remove(k)
		return Token{}, fmt.Errorf("cannot watch descriptor %d: %w", fd, err)
	}
	return k, nil
}

// dispatch tells the peers of the events that are there and reports whether there may be more.
func (w *Watcher) dispatch(fd uintptr, events []syscall.EpollEvent) (more bool) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno == syscall.EINTR {
		return true
	}
	if errno != 0 {
		return false
	}
	for _, ev := range events[:n] {
		if p := w.table.get(Token{ev.Fd, ev.Pad}); p != nil {
			p.PeerGone(ev.Events&syscall.EPOLLERR != 0) // EPOLLHUP alone is a FIN from both sides
		}
	}
	return int(n) == len(events)
}
