package socket

import (
	"syscall"
	"unsafe"
)

// ShortReadDrains says that a read which returned less than was asked for has emptied the socket, so that the next event is sure
// to come. It holds for bytes but not for a FIN that arrived together with them: whoever relies on it must learn of a FIN by
// other means (package connwatch) and read on then.
const ShortReadDrains = true

// TryRead reads into p what is there: ErrWouldBlock if nothing is, io.EOF at the end of the stream. The descriptor must be
// non-blocking and must not be closed meanwhile.
func TryRead(fd uintptr, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno != syscall.EINTR {
			return readResult(n, errno)
		}
	}
}

// TryWrite writes what the socket takes of a and then b: ErrWouldBlock if it takes nothing.
func TryWrite(fd uintptr, a, b []byte) (int, error) {
	if len(a) == 0 {
		a, b = b, nil
	}
	for {
		var n uintptr
		var errno syscall.Errno
		if len(b) == 0 {
			n, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(len(a)))
		} else {
			v := [2]syscall.Iovec{
				{Base: unsafe.SliceData(a), Len: uint64(len(a))},
				{Base: unsafe.SliceData(b), Len: uint64(len(b))},
			}
			n, _, errno = syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v)), 2)
		}
		if errno != syscall.EINTR {
			return result(n, errno)
		}
	}
}

// Pending reports whether bytes or an end of stream are waiting on a socket that should be silent.
func Pending(fd uintptr) bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno != syscall.EAGAIN
}
