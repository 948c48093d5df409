package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	firstAcceptPause = 5 * time.Millisecond
	lastAcceptPause  = time.Second
)

// clientKeepAlive finds clients that vanished without a FIN (power, NAT tables) within about a minute, so that a long stream to
// one of them does not hold a GPU until it ends.
var clientKeepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// listen opens a TCP port. The standard library sets TCP_NODELAY on every connection that it accepts.
func listen(address string) (net.Listener, error) {
	config := net.ListenConfig{KeepAliveConfig: clientKeepAlive}
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return l, nil
}

// listener accepts connections while slots are free and serves each on a goroutine of its own.
type listener struct {
	net.Listener
	slots  *slots
	serve  func(net.Conn) // serves a connection to its end and closes it
	logger *slog.Logger
	closed chan struct{}
	once   sync.Once
}

func newListener(l net.Listener, s *slots, serve func(net.Conn), logger *slog.Logger) *listener {
	return &listener{Listener: l, slots: s, serve: serve, logger: logger, closed: make(chan struct{})}
}

// run accepts until close. An error of accept, such as too many open files, is logged and tried again after a pause that grows:
// the connections that are open go on, and what they free lets the next ones in.
func (l *listener) run() {
	pause := firstAcceptPause
	for l.slots.wait() {
		c, err := l.Accept()
		if err == nil {
			pause = firstAcceptPause
			l.slots.take()
			go func() {
				defer l.slots.free()
				l.serve(c)
			}()
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.logger.Error("cannot accept a connection, trying again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return
		}
		pause = min(2*pause, lastAcceptPause)
	}
}

// close stops accepting; connections that are open go on.
func (l *listener) close() {
	l.once.Do(func() {
		close(l.closed)
		l.slots.close()
		l.Listener.Close()
	})
}
