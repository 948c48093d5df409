package gateway

import "sync"

// slots counts the connections that are open and bounds them. The bound may change while connections are open; connections
// above a lowered bound are not cut, but none is accepted until enough of them ended.
type slots struct {
	mu      sync.Mutex
	changed sync.Cond // anything below
	open    int
	most    int // 0 is unlimited
	closed  bool
}

func newSlots(most int) *slots {
	s := &slots{most: most}
	s.changed.L = &s.mu
	return s
}

// wait returns true as soon as another connection may be accepted, and false once the slots are closed.
func (s *slots) wait() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && s.most > 0 && s.open >= s.most {
		s.changed.Wait()
	}
	return !s.closed
}

// take counts a connection as open.
func (s *slots) take() {
	s.mu.Lock()
	s.open++
	s.mu.Unlock()
	s.changed.Broadcast()
}

// free counts a connection as ended.
func (s *slots) free() {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
	s.changed.Broadcast()
}

// setMost changes the bound.
func (s *slots) setMost(most int) {
	s.mu.Lock()
	s.most = most
	s.mu.Unlock()
	s.changed.Broadcast()
}

// close makes wait return false.
func (s *slots) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.changed.Broadcast()
}

// count returns the number of open connections.
func (s *slots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// empty returns a channel that is closed once no connection is open. It is for the end of a listener's life, when no further
// connection is accepted.
func (s *slots) empty() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.mu.Lock()
		defer s.mu.Unlock()
		for s.open > 0 {
			s.changed.Wait()
		}
	}()
	return done
}
