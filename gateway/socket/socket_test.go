package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(t testing.TB) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(here.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); there.Close() })
	return c, there.(*net.TCPConn)
}

func TestReadWaitsAndEnds(t *testing.T) {
	c, there := pair(t)
	go func() {
		there.Write([]byte("hello"))
		there.CloseWrite()
	}()
	got, err := io.ReadAll(readerFunc(c.Read))
	if err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v; want hello and the end", got, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestReadOfResetConnection(t *testing.T) {
	c, there := pair(t)
	there.SetLinger(0)
	there.Close()
	if _, err := c.Read(make([]byte, 8)); err == nil || err == io.EOF {
		t.Errorf("error %v, want that of a reset", err)
	}
}

func TestWriteBothWaitsForSlowReader(t *testing.T) {
	c, there := pair(t)
	a, b := bytes.Repeat([]byte("a"), 100), bytes.Repeat([]byte("b"), 8<<20)
	result := make(chan []byte)
	n, err := c.WriteNow(a, b)
	if err != nil || n < len(a) || n >= len(a)+len(b) {
		t.Fatalf("WriteNow wrote %d bytes, %v; want the first %d and not all of %d", n, err, len(a), len(a)+len(b))
	}
	go func() {
		got, _ := io.ReadAll(there)
		result <- got
	}()
	if m, err := c.WriteBoth(b[n-len(a):], []byte("end")); err != nil || n+m != len(a)+len(b)+3 {
		t.Fatalf("WriteBoth wrote %d bytes, %v", m, err)
	}
	c.Close()
	want := append(append(a, b...), "end"...)
	if got := <-result; !bytes.Equal(got, want) {
		t.Errorf("the peer read %d bytes, want %d, the same ones", len(got), len(want))
	}
}

func TestWriteToClosedPeer(t *testing.T) {
	c, there := pair(t)
	there.SetLinger(0)
	there.Close()
	big := make([]byte, 1<<20)
	for range 100 {
		if _, err := c.Write(big); err != nil {
			return
		}
	}
	t.Error("writing to a peer that has reset the connection never failed")
}

func TestWakeAndRest(t *testing.T) {
	c, there := pair(t)
	woken := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 8))
		woken <- err
	}()
	c.Wake()
	if err := <-woken; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a woken reader got %v, want os.ErrDeadlineExceeded", err)
	}
	c.Rest()
	there.Write([]byte("x"))
	if n, err := c.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("after Rest, Read gave %d, %v; want 1 byte", n, err)
	}
}

func TestAbortReachesPeerThatReadsNothing(t *testing.T) {
	c, there := pair(t)
	c.WriteNow(make([]byte, 8<<20), nil) // fills both buffers: a FIN would have to wait behind them
	c.Abort()
	there.SetDeadline(time.Now().Add(5 * time.Second))
	_, err := io.Copy(io.Discard, there)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer read until %v, want a reset", err)
	}
}

// TestPollKeepsEventsBetweenSteps is the property that lets a step leave out the read that would find nothing: bytes that arrive while a
// step is busy elsewhere call it again.
func TestPollKeepsEventsBetweenSteps(t *testing.T) {
	if !ShortReadDrains {
		t.Skip("reads go on until there is nothing on this system")
	}
	c, there := pair(t)
	b := make([]byte, 64)
	steps, reads := 0, 0
	err := c.Poll(func(fd uintptr) bool {
		steps++
		if steps == 1 {
			there.Write([]byte("a")) // arrives after Poll began
			return false
		}
		n, err := TryRead(fd, b)
		if err != nil {
			t.Errorf("step %d: %v, want bytes", steps, err)
			return true
		}
		reads += n
		if reads < 1000 {
			there.Write([]byte("a")) // arrives before the step returns
			return false
		}
		return true
	})
	if err != nil || steps != 1001 {
		t.Errorf("%d steps and %v, want 1001 steps, none of them in vain", steps, err)
	}
}

func TestPending(t *testing.T) {
	c, there := pair(t)
	pending := func() (yes bool) {
		c.Control(func(fd uintptr) { yes = Pending(fd) })
		return yes
	}
	if pending() {
		t.Error("a silent connection has something pending")
	}
	there.Write([]byte("x"))
	b := make([]byte, 1)
	c.Poll(func(fd uintptr) bool { return pending() })
	if c.Read(b); pending() {
		t.Error("a connection that was read empty has something pending")
	}
	there.Close()
	c.Poll(func(fd uintptr) bool { return pending() })
}

func TestNoAllocations(t *testing.T) {
	c, there := pair(t)
	b, out := make([]byte, 64), []byte("hello")
	n := testing.AllocsPerRun(100, func() {
		c.Write(out)
		there.Read(b)
		there.Write(out)
		c.Read(b)
	})
	if n != 0 {
		t.Errorf("%v allocations for a write and a read, want 0", n)
	}
}

func BenchmarkEcho(b *testing.B) {
	c, there := pair(b)
	go io.Copy(there, there)
	buf, out := make([]byte, 512), make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(out)
		for n := 0; n < len(out); {
			m, err := c.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
	}
}
