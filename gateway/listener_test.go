package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// faultyListener fails its first accepts, then hands out the connections of a channel.
type faultyListener struct {
	net.Listener
	failures int64
	accepts  atomic.Int64
	conns    chan net.Conn
	closed   chan struct{}
}

func newFaultyListener(failures int64) *faultyListener {
	return &faultyListener{failures: failures, conns: make(chan net.Conn, 16), closed: make(chan struct{})}
}

func (l *faultyListener) Accept() (net.Conn, error) {
	if l.accepts.Add(1) <= l.failures {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *faultyListener) Close() error { close(l.closed); return nil }

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestAcceptSurvivesTooManyOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := newFaultyListener(10)
		served := make(chan net.Conn, 1)
		logs := newLogRecorder()
		l := newListener(faulty, newSlots(0), func(c net.Conn) { served <- c }, slog.New(logs))
		go l.run()
		start := time.Now()
		client, server := net.Pipe()
		faulty.conns <- server
		if c := <-served; c != server {
			t.Errorf("served %v, want the connection that came after the failures", c)
		}
		// 5+10+20+40+80+160+320+640 ms, then twice 1 s.
		if waited := time.Since(start); waited != 3275*time.Millisecond {
			t.Errorf("10 failures took %v of pauses, want 3.275s", waited)
		}
		if n := logs.count("cannot accept a connection, trying again"); n != 10 {
			t.Errorf("logged %d failures, want 10", n)
		}
		l.close()
		client.Close()
		server.Close()
	})
}

func TestCloseEndsPauseOfFailingAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener(newFaultyListener(1<<30), newSlots(0), nil, discard())
		done := make(chan struct{})
		go func() { l.run(); close(done) }()
		time.Sleep(3100 * time.Millisecond) // virtual time: in the middle of a pause
		start := time.Now()
		l.close()
		<-done
		if waited := time.Since(start); waited != 0 {
			t.Errorf("run returned %v after close, want at once", waited)
		}
	})
}

func TestAcceptPausesAtTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := newFaultyListener(0)
		release := make(chan struct{})
		s := newSlots(2)
		l := newListener(faulty, s, func(net.Conn) { <-release }, discard())
		go l.run()
		for range 5 {
			faulty.conns <- nil
		}
		synctest.Wait()
		if n, accepts := s.count(), faulty.accepts.Load(); n != 2 || accepts != 2 {
			t.Fatalf("at a cap of 2: %d served and %d accepted, want 2 and 2", n, accepts)
		}
		release <- struct{}{}
		synctest.Wait()
		if n, accepts := s.count(), faulty.accepts.Load(); n != 2 || accepts != 3 {
			t.Errorf("after one ended: %d served and %d accepted, want 2 and 3", n, accepts)
		}
		s.setMost(4)
		synctest.Wait()
		if n := s.count(); n != 4 {
			t.Errorf("%d connections are served after the cap rose to 4", n)
		}
		l.close()
		close(release)
		<-s.empty()
	})
}

func TestListenSaysWhichAddressIsTaken(t *testing.T) {
	first, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = listen(first.Addr().String())
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listen on the same port: %v, want EADDRINUSE", err)
	}
}
