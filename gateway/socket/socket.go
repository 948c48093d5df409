// Package socket reads and writes TCP connections with one bare system call each, parked on the Go runtime's poller.
//
// The runtime announces every ordinary system call to its scheduler, which wakes the background monitor thread of an otherwise
// idle process: for a proxy of paced token streams that costs more than the call itself. Calls on a non-blocking socket never
// block, so nothing is lost by leaving the announcement out.
//
// Poll also lets a caller leave out the read that would only find the socket empty: between two calls of its step the
// runtime keeps every readiness event, so a step that read less than it asked for has drained the socket and may simply wait
// for the next event (epoll(7), "Edge-triggered and level-triggered"). The exception is a FIN that came with the last bytes; see
// ShortReadDrains.
package socket

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// ErrWouldBlock is returned by the Try functions when the socket is not ready.
var ErrWouldBlock = errors.New("the socket is not ready")

// past wakes whoever waits on a connection when it is set as a deadline.
var past = time.Unix(1, 0)

// Conn is a TCP connection with bare reads and writes. One goroutine may read while another one writes.
type Conn struct {
	tcp *net.TCPConn
	raw syscall.RawConn

	readStep, writeStep, writeOnceStep func(fd uintptr) bool

	in     []byte
	inN    int
	inErr  error
	out    [2][]byte // what is left to write
	outN   int
	outErr error
}

// New wraps a TCP connection, which the Conn then owns.
func New(tcp *net.TCPConn) (*Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{tcp: tcp, raw: raw}
	c.readStep, c.writeStep, c.writeOnceStep = c.stepRead, c.stepWrite, c.stepWriteOnce
	return c, nil
}

// TCP returns the connection beneath.
func (c *Conn) TCP() *net.TCPConn { return c.tcp }

// Control runs f with the connection's file descriptor.
func (c *Conn) Control(f func(fd uintptr)) error { return c.raw.Control(f) }

// Poll calls step at once, and again whenever the socket becomes readable, until step returns true. The file descriptor stays
// valid within step, whatever other goroutines do to the connection. It returns an error when the connection is closed or its read
// deadline passes (os.ErrDeadlineExceeded).
func (c *Conn) Poll(step func(fd uintptr) (done bool)) error { return c.raw.Read(step) }

// Read reads what is there, at least one byte, and waits while there is nothing.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in = p
	err := c.raw.Read(c.readStep)
	c.in = nil
	if err != nil {
		return 0, err
	}
	return c.inN, c.inErr
}

func (c *Conn) stepRead(fd uintptr) bool {
	c.inN, c.inErr = TryRead(fd, c.in)
	return c.inErr != ErrWouldBlock
}

// Write writes all of p, waiting while the peer takes nothing.
func (c *Conn) Write(p []byte) (int, error) { return c.WriteBoth(p, nil) }

// WriteBoth writes all of a and then all of b, in one system call where the socket takes it. It returns how many bytes of both
// were written.
func (c *Conn) WriteBoth(a, b []byte) (int, error) { return c.write(a, b, c.writeStep) }

// WriteNow writes what the socket takes of a and b without waiting; writing less than all is no error.
func (c *Conn) WriteNow(a, b []byte) (int, error) { return c.write(a, b, c.writeOnceStep) }

func (c *Conn) write(a, b []byte, step func(uintptr) bool) (int, error) {
	c.out[0], c.out[1], c.outN, c.outErr = a, b, 0, nil
	err := c.raw.Write(step)
	c.out[0], c.out[1] = nil, nil
	if err == nil {
		err = c.outErr
	}
	return c.outN, err
}

func (c *Conn) stepWrite(fd uintptr) bool {
	for len(c.out[0])+len(c.out[1]) > 0 {
		if err := c.writeSome(fd); err != nil {
			if err == ErrWouldBlock {
				return false
			}
			c.outErr = err
			return true
		}
	}
	return true
}

func (c *Conn) stepWriteOnce(fd uintptr) bool {
	if err := c.writeSome(fd); err != nil && err != ErrWouldBlock {
		c.outErr = err
	}
	return true
}

func (c *Conn) writeSome(fd uintptr) error {
	n, err := TryWrite(fd, c.out[0], c.out[1])
	c.outN += n
	if n < len(c.out[0]) {
		c.out[0] = c.out[0][n:]
	} else {
		c.out[1] = c.out[1][n-len(c.out[0]):]
		c.out[0] = nil
	}
	return err
}

// Wake makes a goroutine that waits to read or write return os.ErrDeadlineExceeded, now or when it next waits.
func (c *Conn) Wake() { c.tcp.SetDeadline(past) }

// WakeReader is Wake for reads alone.
func (c *Conn) WakeReader() { c.tcp.SetReadDeadline(past) }

// Rest takes back Wake.
func (c *Conn) Rest() { c.tcp.SetDeadline(time.Time{}) }

// Abort closes the connection with a reset, so that the peer learns of it at once, even when it reads nothing.
func (c *Conn) Abort() {
	c.tcp.SetLinger(0)
	c.tcp.Close()
}

// Close closes the connection; bytes already written are still delivered.
func (c *Conn) Close() error { return c.tcp.Close() }

// result turns what a system call returned into a count and an error.
func result(n uintptr, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EAGAIN:
		return 0, ErrWouldBlock
	default:
		return 0, errno
	}
}

// readResult is result for reads, where zero bytes are the end of the stream.
func readResult(n uintptr, errno syscall.Errno) (int, error) {
	if errno == 0 && n == 0 {
		return 0, io.EOF
	}
	return result(n, errno)
}
