//go:build unix && !linux

package socket

import "syscall"

// ShortReadDrains is false where the rule has not been checked: readers read until ErrWouldBlock.
const ShortReadDrains = false

// TryRead reads into p what is there: ErrWouldBlock if nothing is, io.EOF at the end of the stream.
func TryRead(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		if err != syscall.EINTR {
			errno, _ := err.(syscall.Errno)
			return readResult(uintptr(max(n, 0)), errno)
		}
	}
}

// TryWrite writes what the socket takes of a and then b: ErrWouldBlock if it takes nothing.
func TryWrite(fd uintptr, a, b []byte) (int, error) {
	if len(a) == 0 {
		a, b = b, nil
	}
	for {
		n, err := syscall.Write(int(fd), a)
		if err == syscall.EINTR {
			continue
		}
		errno, _ := err.(syscall.Errno)
		n, err = result(uintptr(max(n, 0)), errno)
		if err == nil && n == len(a) && len(b) > 0 {
			m, err := TryWrite(fd, b, nil)
			if err == ErrWouldBlock {
				err = nil
			}
			return n + m, err
		}
		return n, err
	}
}

// Pending reports whether bytes or an end of stream are waiting on a socket that should be silent.
func Pending(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err != syscall.EAGAIN
}
