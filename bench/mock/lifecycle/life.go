// Package lifecycle knows how far a mock replica is in its life: it loads its model, serves, and drains; meanwhile a fault may make its
// health checks fail. Whatever answers probes asks here, and Health is the gRPC service that does.
package lifecycle

import (
	"sync"
	"sync/atomic"
	"time"
)

// LoadingMessage is what requests are told that come before the model is loaded.
const LoadingMessage = "This mock replica is still loading its model."

// Life is one replica's. The zero value serves and is ready. Safe for concurrent use.
type Life struct {
	loads    atomic.Int64 // when the model is loaded, in nanoseconds since 1970; 0 if it is
	draining atomic.Bool

	mu      sync.Mutex
	unready time.Time     // health checks fail until then
	changed chan struct{} // closed at a change, and made anew; nil if nobody watches
}

// forever is later than any test or demo lasts.
const forever = 100 * 365 * 24 * time.Hour

// Load makes the model load from now on for so long; 0 ends it.
func (l *Life) Load(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loads.Store(0)
	if d > 0 {
		l.loads.Store(time.Now().Add(d).UnixNano())
	}
	l.tell()
}

// Loading says whether the model still loads, so that no request can run.
func (l *Life) Loading() bool {
	at := l.loads.Load()
	return at != 0 && time.Now().UnixNano() < at
}

// Drain makes health checks fail for good. Requests can still run.
func (l *Life) Drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining.Store(true)
	l.tell()
}

// Draining says whether every answer should be its connection's last.
func (l *Life) Draining() bool { return l.draining.Load() }

// SetUnready makes health checks fail until a time, while requests run; the zero time ends it.
func (l *Life) SetUnready(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unready = until
	l.tell()
}

// Unready says whether SetUnready makes health checks fail now.
func (l *Life) Unready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.unready)
}

// tell wakes who watches. The caller holds the lock.
func (l *Life) tell() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Ready says whether health checks succeed.
func (l *Life) Ready() bool { return !l.Loading() && !l.Draining() && !l.Unready() }

// Watch says whether health checks succeed, and what may change it: when until has passed, or when changed is closed.
func (l *Life) Watch() (ready bool, until time.Duration, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	now := time.Now()
	end := l.unready
	if at := time.Unix(0, l.loads.Load()); l.loads.Load() != 0 && at.After(end) {
		end = at
	}
	if end.After(now) {
		return false, end.Sub(now), l.changed
	}
	return !l.Draining(), forever, l.changed
}
