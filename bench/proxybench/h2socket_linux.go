package main

import (
	"fmt"
	"syscall"
)

// h2read is how much is read at once, in bytes.
const h2read = 128 << 10

// h2socket moves an HTTP/2 connection's bytes over its socket.
type h2socket struct {
	*h2conn
	poll    *epoll
	fd, key int
	in      []byte
	held    int  // bytes in in
	blocked bool // waits until the socket takes bytes again
}

func newH2socket(conn *h2conn, poll *epoll, fd, key int) *h2socket {
	return &h2socket{h2conn: conn, poll: poll, fd: fd, key: key, in: make([]byte, h2read)}
}

// read reads once and feeds what came.
func (s *h2socket) read() error {
	n, errno := readSocket(s.fd, s.in[s.held:])
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return nil
	case errno != 0:
		return fmt.Errorf("cannot read from an HTTP/2 connection: %w", errno)
	case n == 0:
		return errClosed
	}
	s.held += n
	used, err := s.feed(s.in[:s.held])
	s.held = copy(s.in, s.in[used:s.held])
	return err
}

// flush writes what has gathered in out. What the socket does not take now stays there.
func (s *h2socket) flush() error {
	if s.blocked || len(s.out) == 0 {
		return nil
	}
	n, errno := writeSocket(s.fd, s.out)
	if errno != 0 && errno != syscall.EAGAIN {
		return fmt.Errorf("cannot write to an HTTP/2 connection: %w", errno)
	}
	if errno != 0 {
		n = 0
	}
	s.out = s.out[:copy(s.out, s.out[n:])]
	if len(s.out) == 0 {
		return nil
	}
	s.blocked = true
	return s.poll.watchWrites(s.fd, s.key, true)
}

// unblock writes again after the socket had taken all that it could. It may be called without need.
func (s *h2socket) unblock() error {
	if !s.blocked {
		return nil
	}
	s.blocked = false
	if err := s.flush(); err != nil || s.blocked {
		return err
	}
	return s.poll.watchWrites(s.fd, s.key, false)
}
