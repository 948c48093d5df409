package main

import (
	"fmt"
	"os"
	"reflect"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/term"
)

// openPTY returns both ends of a pseudoterminal of 100 columns and 30 lines.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no pseudoterminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	var unlock, number uint32
	size := [4]uint16{30, 100}
	control := func(request uintptr, argument unsafe.Pointer) {
		c, err := master.SyscallConn() // Fd would make reads block for good
		if err != nil {
			t.Fatal(err)
		}
		c.Control(func(fd uintptr) {
			if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument)); e != 0 {
				t.Fatal(e)
			}
		})
	}
	control(syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	control(syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestTopOnATerminal watches, changes the order, quits, and finds the terminal as it was.
func TestTopOnATerminal(t *testing.T) {
	url := adminServer(t, "")
	for _, quit := range []string{"q", "\x03"} {
		master, slave := openPTY(t)
		before, err := term.GetState(int(slave.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		screen := newOutput()
		go func() {
			buffer := make([]byte, 4096)
			for {
				n, err := master.Read(buffer)
				if err != nil {
					return
				}
				screen.Write(buffer[:n])
			}
		}()
		flags, _, ok := parseTop([]string{"--admin", url}, screen)
		if !ok {
			t.Fatal(screen.String())
		}
		ended := make(chan error, 1)
		go func() { ended <- flags.show(t.Context(), &terminal{slave, slave, true}) }()
		screen.await(t, `(?s)\x1b\[\?1049h.*10\.0\.0\.1:8000.*by address`)
		master.WriteString("s")
		screen.await(t, `by state`)
		master.WriteString(quit)
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatalf("%q does not end it", quit)
		}
		screen.await(t, `\x1b\[\?7h\x1b\[\?25h\x1b\[\?1049l$`)
		after, err := term.GetState(int(slave.Fd()))
		if err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("the terminal is not as it was: %+v, %v; want %+v", after, err, before)
		}
		master.Close() // which ends the reading of keys
	}
}
