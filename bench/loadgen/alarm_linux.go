package loadgen

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// timerFile sleeps by a timerfd, which in an idle process is some 30 µs late. The runtime's own timers wait in epoll_wait, which counts
// milliseconds: sleeps of 1.3 ms by them were 850 µs late in the median.
type timerFile struct {
	file *os.File
	conn syscall.RawConn
}

// itimerspec is the kernel's struct itimerspec.
type itimerspec struct{ interval, value syscall.Timespec }

func newAlarm() (alarm, error) {
	const clockMonotonic = 1
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, fmt.Errorf("cannot make a timer: %w", errno)
	}
	file := os.NewFile(fd, "timerfd")
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot make a timer: %w", err)
	}
	return &timerFile{file, conn}, nil
}

func (t *timerFile) sleep(d time.Duration) {
	spec := itimerspec{value: syscall.NsecToTimespec(max(int64(d), 1))}
	var errno syscall.Errno
	err := t.conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
	if err != nil || errno != 0 {
		time.Sleep(d) // cannot happen to a timer that is open, and would only be less exact
		return
	}
	var expirations [8]byte
	t.file.Read(expirations[:]) // fails when the deadline that interrupt sets has passed
}

func (t *timerFile) interrupt() { t.file.SetReadDeadline(time.Unix(1, 0)) }
func (t *timerFile) close()     { t.file.Close() }
