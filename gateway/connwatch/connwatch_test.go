package connwatch

import (
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer reports what it is told.
type peer struct{ gone chan bool }

func newPeer() *peer { return &peer{gone: make(chan bool, 8)} }

func (p *peer) PeerGone(reset bool) { p.gone <- reset }

func (p *peer) await(t *testing.T) (reset bool) {
	t.Helper()
	select {
	case reset = <-p.gone:
		return reset
	case <-time.After(5 * time.Second):
		t.Fatal("the watcher did not tell that the peer has gone")
		return false
	}
}

func pair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

func watch(t *testing.T, w *Watcher, c *net.TCPConn, p Peer) (k Token) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var werr error
	if err := raw.Control(func(fd uintptr) { k, werr = w.Watch(fd, p) }); err != nil || werr != nil {
		t.Fatal(err, werr)
	}
	return k
}

func newWatcher(t *testing.T) *Watcher {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestTellsOfHangUps(t *testing.T) {
	for _, tc := range []struct {
		name  string
		leave func(c *net.TCPConn)
		reset bool
	}{
		{"close", func(c *net.TCPConn) { c.Close() }, false},
		{"half-close", func(c *net.TCPConn) { c.CloseWrite() }, false},
		{"reset", func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, true},
		{"close with bytes that nobody has read", func(c *net.TCPConn) { c.Write(make([]byte, 4096)); c.Close() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, p := newWatcher(t), newPeer()
			here, there := pair(t)
			watch(t, w, here, p)
			tc.leave(there)
			if reset := p.await(t); reset != tc.reset {
				t.Errorf("reset = %v, want %v", reset, tc.reset)
			}
		})
	}
}

func TestTellsOfPeerThatHasGoneAlready(t *testing.T) {
	w, gone, late := newWatcher(t), newPeer(), newPeer()
	here, there := pair(t)
	k := watch(t, w, here, gone)
	there.Close()
	gone.await(t)
	w.Forget(k)
	other, err := here.File() // a second descriptor of the same connection: an epoll set takes each only once
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	raw, err := other.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { w.Watch(fd, late) })
	late.await(t)
}

func TestForgottenIsNotTold(t *testing.T) {
	w, forgotten, kept := newWatcher(t), newPeer(), newPeer()
	a, aPeer := pair(t)
	b, bPeer := pair(t)
	k := watch(t, w, a, forgotten)
	w.Forget(k)
	w.Forget(k) // twice does no harm
	watch(t, w, b, kept)
	aPeer.Close()
	bPeer.Close()
	kept.await(t) // the events come in order, so the other one would have been told by now
	select {
	case <-forgotten.gone:
		t.Error("a forgotten peer was told")
	default:
	}
	if n := w.Watching(); n != 1 {
		t.Errorf("Watching() = %d, want 1", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	w := newWatcher(t)
	const n = 300 // more than one batch of events
	all := newPeer()
	all.gone = make(chan bool, n)
	var others []*net.TCPConn
	for range n {
		here, there := pair(t)
		watch(t, w, here, all)
		others = append(others, there)
	}
	for _, c := range others {
		c.Close()
	}
	for range n {
		all.await(t)
	}
}
