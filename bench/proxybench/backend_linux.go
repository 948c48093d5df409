package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// backend is the model server behind the proxies: one thread that answers every request with bytes made beforehand.
type backend struct {
	poll      *epoll
	server    server
	listeners []int
	addrs     []netip.AddrPort
	conns     []peer // by file descriptor
	wakeRead  int
	wakeWrite int
}

// server is what the backend does for one protocol.
type server interface {
	// accepted is a new connection.
	accepted(fd int) peer
	// patience is how long there is nothing to write.
	patience() time.Duration
	// work writes what is due.
	work()
}

// peer is the backend's end of one connection.
type peer interface {
	// ready handles the connection's epoll events.
	ready(events uint32)
}

// newBackend listens on the addresses, for one protocol.
func newBackend(speaks protocol, addrs []netip.AddrPort) (*backend, error) {
	poll, err := newEpoll()
	if err != nil {
		return nil, err
	}
	b := &backend{poll: poll}
	switch speaks {
	case protocolHTTP:
		b.server = newHTTPServer(b)
	case protocolGRPC:
		b.server = &grpcServer{backend: b}
	default:
		return nil, fmt.Errorf("the protocol %q is neither %s nor %s", speaks, protocolHTTP, protocolGRPC)
	}
	for _, addr := range addrs {
		fd, got, err := listenSocket(addr)
		if err != nil {
			b.close()
			return nil, err
		}
		b.listeners, b.addrs = append(b.listeners, fd), append(b.addrs, got)
		if err := poll.add(fd, fd); err != nil {
			b.close()
			return nil, err
		}
	}
	var wake [2]int
	if err := syscall.Pipe2(wake[:], syscall.O_CLOEXEC); err != nil {
		b.close()
		return nil, fmt.Errorf("cannot open a pipe: %w", err)
	}
	b.wakeRead, b.wakeWrite = wake[0], wake[1]
	return b, poll.add(b.wakeRead, b.wakeRead)
}

// stop makes serve return; it may be called from any goroutine, once.
func (b *backend) stop() {
	syscall.Close(b.wakeWrite)
}

func (b *backend) close() {
	for _, fd := range b.listeners {
		syscall.Close(fd)
	}
	for fd, c := range b.conns {
		if c != nil {
			syscall.Close(fd)
		}
	}
	if b.wakeRead > 0 {
		syscall.Close(b.wakeRead)
	}
	b.poll.close()
}

// serve answers requests until stop and then closes everything.
func (b *backend) serve() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	preciseTimers()
	defer b.close()
	for {
		events, err := b.poll.wait(b.server.patience())
		if err != nil {
			return err
		}
		for i := range events {
			fd := int(events[i].Fd)
			switch {
			case fd == b.wakeRead:
				return nil
			case slices.Contains(b.listeners, fd):
				b.accept(fd)
			case b.conns[fd] != nil: // otherwise the event is left over from a connection that an earlier one closed
				b.conns[fd].ready(events[i].Events)
			}
		}
		b.server.work()
	}
}

func (b *backend) accept(listener int) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		if syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1) != nil || b.poll.add(fd, fd) != nil {
			syscall.Close(fd)
			continue
		}
		for len(b.conns) <= fd {
			b.conns = append(b.conns, nil)
		}
		b.conns[fd] = b.server.accepted(fd)
	}
}

// drop closes a connection.
func (b *backend) drop(fd int) {
	b.conns[fd] = nil
	syscall.Close(fd)
}
