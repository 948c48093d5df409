package main

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

// The backend and the load generator use sockets and epoll without Go's poller: what they spend per message must stay well
// below what a proxy spends, and a goroutine switch alone would cost as much as their whole work.

// now is nanoseconds since 1970. The wall clock is used throughout because the backend and the generator compare times.
func now() int64 {
	return time.Now().UnixNano()
}

// readSocket reads from a non-blocking socket, without telling Go's scheduler of the system call.
func readSocket(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

// writeSocket writes to a non-blocking socket, without telling Go's scheduler of the system call.
func writeSocket(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// dialSocket connects to an IPv4 address and returns a non-blocking socket.
func dialSocket(addr netip.AddrPort) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open a socket: %w", err)
	}
	// Bounds connect; on a non-blocking socket it has no effect later.
	err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &syscall.Timeval{Sec: 5})
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	}
	if err == nil {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	return fd, nil
}

// listenSocket listens on an IPv4 address, without blocking; port 0 lets the system choose one. It returns the socket and the
// address that it got.
func listenSocket(addr netip.AddrPort) (int, netip.AddrPort, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, addr, fmt.Errorf("cannot open a socket: %w", err)
	}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	}
	if err == nil {
		err = syscall.Listen(fd, 4096)
	}
	var name syscall.Sockaddr
	if err == nil {
		name, err = syscall.Getsockname(fd)
	}
	if err != nil {
		syscall.Close(fd)
		return -1, addr, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return fd, netip.AddrPortFrom(addr.Addr(), uint16(name.(*syscall.SockaddrInet4).Port)), nil
}

// closeReset closes a socket with a reset, which leaves no TIME_WAIT behind that would use up the port.
func closeReset(fd int) {
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	syscall.Close(fd)
}

// epoll waits for events on sockets; each socket is known by a number that its owner chose.
type epoll struct {
	fd     int
	events [256]syscall.EpollEvent
}

func newEpoll() (*epoll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot create an epoll set: %w", err)
	}
	return &epoll{fd: fd}, nil
}

func (e *epoll) close() {
	syscall.Close(e.fd)
}

// add reports fd's reads and hang-ups as key.
func (e *epoll) add(fd, key int) error {
	return e.control(syscall.EPOLL_CTL_ADD, fd, key, syscall.EPOLLIN)
}

// watchWrites turns reports that fd can be written on or off.
func (e *epoll) watchWrites(fd, key int, on bool) error {
	mask := uint32(syscall.EPOLLIN)
	if on {
		mask |= syscall.EPOLLOUT
	}
	return e.control(syscall.EPOLL_CTL_MOD, fd, key, mask)
}

func (e *epoll) control(op, fd, key int, mask uint32) error {
	if err := syscall.EpollCtl(e.fd, op, fd, &syscall.EpollEvent{Events: mask, Fd: int32(key)}); err != nil {
		return fmt.Errorf("cannot watch a socket: %w", err)
	}
	return nil
}

// sysEpollPwait2 has this number on every architecture; it is in Linux since 5.11 and, unlike epoll_wait, counts in nanoseconds.
const sysEpollPwait2 = 441

// wait returns the events that are there, after at most timeout. A signal ends it early with none.
func (e *epoll) wait(timeout time.Duration) ([]syscall.EpollEvent, error) {
	limit := syscall.NsecToTimespec(max(timeout, 0).Nanoseconds())
	wait := syscall.Syscall6
	if timeout <= 0 {
		wait = syscall.RawSyscall6
	}
	n, _, errno := wait(sysEpollPwait2, uintptr(e.fd), uintptr(unsafe.Pointer(&e.events)), uintptr(len(e.events)),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	switch errno {
	case 0:
		return e.events[:n], nil
	case syscall.EINTR:
		return nil, nil
	}
	return nil, fmt.Errorf("cannot wait for events: %w", errno)
}

// preciseTimers makes the calling thread's timeouts end within a microsecond of their time rather than within 50.
func preciseTimers() {
	const setTimerSlack = 29 // PR_SET_TIMERSLACK
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
}
