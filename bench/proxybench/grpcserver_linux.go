package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/http2/hpack"
)

// grpcServer answers gRPC.
type grpcServer struct {
	backend *backend
	busy    []*grpcReplica // with bodies that are being sent
}

// grpcReplica is an HTTP/2 connection.
type grpcReplica struct {
	*h2socket
	server   *grpcServer
	isBusy   bool // is among the server's busy
	isClosed bool
}

// accepted implements server.
func (g *grpcServer) accepted(fd int) peer {
	c := &grpcReplica{server: g}
	c.h2socket = newH2socket(newH2conn(c, false, streamWindow), g.backend.poll, fd, fd)
	return c
}

// patience implements server.
func (g *grpcServer) patience() time.Duration {
	for _, c := range g.busy {
		if !c.blocked && c.canSend() {
			return 0
		}
	}
	return time.Hour
}

// work implements server. It sends one message of each stream in turn, as an inference engine has a token for every sequence in each
// of its steps.
func (g *grpcServer) work() {
	going := g.busy[:0]
	for _, c := range g.busy {
		if !c.blocked && !c.isClosed {
			c.turn(c.flushed)
			c.flushed()
		}
		if c.isBusy = !c.isClosed && len(c.sending) > 0; c.isBusy {
			going = append(going, c)
		}
	}
	g.busy = going
}

// ready implements peer.
func (c *grpcReplica) ready(events uint32) {
	var err error
	if events&syscall.EPOLLOUT != 0 {
		err = c.unblock()
	}
	if err == nil && events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		err = c.read()
	}
	if err != nil {
		// What the proxy did wrong is told; that it closes connections is its business.
		if errno := syscall.Errno(0); !errors.Is(err, errClosed) && !errors.As(err, &errno) {
			fmt.Fprintln(os.Stderr, "gave a connection up:", err)
		}
		c.drop()
		return
	}
	if len(c.sending) == 0 {
		c.flushed()
	} else if !c.isBusy {
		c.isBusy = true
		c.server.busy = append(c.server.busy, c)
	}
}

func (c *grpcReplica) drop() {
	if !c.isClosed {
		c.isClosed = true
		c.server.backend.drop(c.fd)
	}
}

// flushed writes what has gathered and reports whether all of it went.
func (c *grpcReplica) flushed() bool {
	if c.isClosed {
		return false
	}
	if err := c.flush(); err != nil {
		c.drop()
		return false
	}
	return !c.blocked
}

// begun implements h2owner.
func (c *grpcReplica) begun(*h2stream) error {
	if len(c.streams) > mostStreams {
		return errStreams
	}
	return nil
}

// gotHeaders implements h2owner.
func (c *grpcReplica) gotHeaders(s *h2stream, fields []hpack.HeaderField, end bool) error {
	var err error
	switch {
	case s.headed:
		err = fmt.Errorf("the request has trailers: %q", fields)
	case end:
		err = fmt.Errorf("the request has no message")
	default:
		s.call, err = methodOf(fields)
	}
	if err != nil {
		c.refuse(s, err)
		return nil
	}
	s.headed, s.want = true, s.call.request
	return nil
}

// gotData implements h2owner.
func (c *grpcReplica) gotData(s *h2stream, b []byte, end bool) error {
	switch {
	case !s.expect(b):
		c.refuse(s, fmt.Errorf("the request differs from what was sent, after %d of %d bytes", len(s.call.request)-len(s.want), len(s.call.request)))
	case end && len(s.want) > 0:
		c.refuse(s, fmt.Errorf("the request ended %d bytes early", len(s.want)))
	case end:
		c.answer(s)
	}
	return nil
}

// answer begins a response, which follows by turns.
func (c *grpcReplica) answer(s *h2stream) {
	c.sendHeaders(s, &responseHeaders, false)
	s.body, s.step, s.trailers = s.call.response, s.call.message, &responseTrailers
	s.each = s.call.flushed
	c.send(s)
}

// refuse answers a request that did not arrive as it was sent, which makes the whole measurement invalid.
func (c *grpcReplica) refuse(s *h2stream, why error) {
	const noError = 0
	c.sendHeaders(s, refusal(why), true)
	c.sendReset(s, noError)
	c.end(s)
}

// gotReset implements h2owner.
func (c *grpcReplica) gotReset(s *h2stream, _ uint32) error {
	c.end(s)
	return nil
}

// gotGoAway implements h2owner. A client that says so has still the answers to come that it waits for.
func (c *grpcReplica) gotGoAway(uint32, uint32) error { return nil }
